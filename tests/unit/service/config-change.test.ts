import { expect, it } from 'vitest';
import { configSchema } from '../../../src/base/config-schema.ts';
import { compareConfigs } from '../../../src/service/config-change.ts';

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
