import { describe, expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { Secret } from '../../../src/base/secret.ts';
import { FirstKey } from '../../../src/pools/first-key.ts';

const keys = {
  groq: [
    { keyId: 'GROQ_API_KEY', value: new Secret('gsk_first') },
    { keyId: 'GROQ_API_KEY_2', value: new Secret('gsk_second') },
  ],
};
const pool = new FirstKey({
  keysOf: (provider) => (provider === 'groq' ? keys.groq : []),
  needsKey: (provider) => provider !== 'ollama',
  whyNone: (provider) => new AipassError('NOT_FOUND', `no API key for ${provider}`),
});

describe('FirstKey', () => {
  it('lends the first key, again and again', () => {
    for (let time = 0; time < 2; time += 1) {
      const lease = pool.lease({ provider: 'groq' });
      expect(lease).toMatchObject({ provider: 'groq', keyId: 'GROQ_API_KEY' });
      expect(lease.value?.reveal()).toBe('gsk_first');
      lease.settle({ kind: 'succeeded' });
      lease.settle({ kind: 'cancelled' });
    }
  });

  it('lends nothing to a provider that needs nothing', () => {
    expect(pool.lease({ provider: 'ollama' })).toMatchObject({ keyId: null, value: null });
  });

  it('says why there is no key where one is needed', () => {
    expect(() => pool.lease({ provider: 'openai' })).toThrow(
      expect.objectContaining({ code: 'NOT_FOUND', message: 'no API key for openai' }),
    );
  });
});
