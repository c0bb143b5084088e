import { expect, it } from 'vitest';
import { configSchema } from '../../../src/base/config-schema.ts';
import { compareConfigs } from '../../../src/service/config-reloader.ts';

const config = (value: unknown) => configSchema.parse(value);

it('settings that differ are named, with those that need a restart apart', () => {
  const before = config({ log: { level: 'info' }, limits: { inFlight: 8 } });
  const after = config({ log: { level: 'debug' }, limits: { inFlight: 9, connections: 5 }, defaultProvider: 'groq' });
  expect(compareConfigs(before, after)).toEqual({
    applied: ['limits.inFlight'],
    needRestart: ['defaultProvider', 'limits.connections', 'log.level'],
  });
});

it('the same configuration written otherwise is no change', () => {
  expect(compareConfigs(config({}), config({ limits: {} }))).toEqual({ applied: [], needRestart: [] });
});

it('of a provider all is taken up but what its pool was made with, and each setting is named', () => {
  const local = { baseUrl: 'http://127.0.0.1:1' };
  const before = config({ providers: { local, other: local } });
  const after = config({
    providers: {
      local: { ...local, timeoutMs: 5, pool: { strategy: 'random' }, keys: { LOCAL_API_KEY: { weight: 2 } } },
      added: { ...local, pool: { strategy: 'random' } },
    },
  });
  expect(compareConfigs(before, after)).toEqual({
    applied: ['providers.added', 'providers.local.keys', 'providers.local.timeoutMs', 'providers.other'],
    needRestart: ['providers.local.pool'],
  });
});

it('the pool settings of a built-in provider that was absent need a restart, because its pool may be in use', () => {
  const openai = { timeoutMs: 5, pool: { strategy: 'random' } };
  const absent = config({});
  const present = config({ providers: { openai } });
  const expected = { applied: ['providers.openai.timeoutMs'], needRestart: ['providers.openai.pool'] };
  expect(compareConfigs(absent, present)).toEqual(expected);
  expect(compareConfigs(present, absent)).toEqual(expected);
});

it('an empty section that comes is a change', () => {
  const present = config({ providers: { openai: {} } });
  expect(compareConfigs(config({}), present)).toEqual({ applied: ['providers.openai'], needRestart: [] });
});
