import { expect, test } from 'vitest';
import { Secret } from '../../../src/base/secret.ts';
import { isSendable, judgeKeyShape } from '../../../src/providers/key-shape.ts';
import { createProviders } from '../../../src/providers/registry.ts';

const providers = createProviders({ providers: {} });

function judge(provider: string, key: string): ReturnType<typeof judgeKeyShape> {
  return judgeKeyShape(providers.get(provider), new Secret(key));
}

test.each([
  ['openrouter', `sk-or-v1-${'0'.repeat(64)}`],
  ['openai', `sk-proj-${'A'.repeat(120)}`],
  ['anthropic', `sk-ant-api03-${'a'.repeat(93)}AA`],
  ['google', `AIza${'B'.repeat(35)}`],
  ['google', `AQ.Ab8${'B'.repeat(47)}`],
  ['ollama', 'anything'],
])('a usual key of %s is valid', (provider, key) => {
  expect(judge(provider, key)).toEqual({ kind: 'valid' });
});

test('a key with the wrong prefix is suspect, and the reason names the right one', () => {
  expect(judge('openrouter', `sk-ant-api03-${'q'.repeat(60)}`)).toEqual({
    kind: 'suspect',
    reason: 'keys of openrouter begin with "sk-or-v1-", this one does not',
  });
});

test('a key that is too short is suspect, and the reason gives both lengths', () => {
  expect(judge('openrouter', 'sk-or-v1-zzzzzzzz')).toEqual({
    kind: 'suspect',
    reason: 'keys of openrouter have at least 40 characters, this one has 17',
  });
});

test('a key with a blank, a quote of another alphabet or a line end is suspect and cannot be sent', () => {
  for (const key of [
    `sk-or-v1-${'0'.repeat(30)} ${'0'.repeat(30)}`,
    `“sk-or-v1-${'0'.repeat(64)}”`,
    `sk-or-v1-${'0'.repeat(64)}\n`,
  ]) {
    expect(judge('openrouter', key).kind).toBe('suspect');
    expect(isSendable(new Secret(key))).toBe(false);
  }
});

test('no reason quotes any part of the key', () => {
  const key = 'canary-7f3a91';
  const reasons = providers
    .list()
    .map((provider) => judgeKeyShape(provider, new Secret(key)))
    .map((verdict) => (verdict.kind === 'suspect' ? verdict.reason : ''));
  expect(reasons.filter((reason) => reason !== '').length).toBeGreaterThan(10);
  expect(reasons.join(' ')).not.toMatch(/canary|7f3a91/);
});
