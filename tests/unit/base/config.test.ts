import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseConfig, readConfig } from '../../../src/base/config.ts';
import { AipassError } from '../../../src/base/errors.ts';
import { makeTempHome } from '../../support/temp-home.ts';

const DEFAULTS = {
  defaultProvider: 'openrouter',
  providers: {},
  fallbacks: [],
  oauth: {},
  schedules: { refresh: '* * * * *', prune: '17 4 * * *', check: '*/30 * * * *' },
  usage: { retentionDays: 30, totalsRetentionDays: 400 },
  hooks: {},
  log: { level: 'info' },
  access: {
    use: { users: [], groups: [] },
    reveal: { users: [], groups: [] },
    admin: { users: [], groups: [] },
  },
  organizations: {},
  network: { allowedHosts: [] },
  gateway: {},
  audit: { retentionDays: 365, maxBytes: 268_435_456 },
  limits: {
    frameBytes: 33_554_432,
    connections: 4096,
    inFlight: 1024,
    perUser: { connections: 3072, inFlight: 16_384, waitingBytes: 268_435_456 },
  },
};

function refusal(text: string): AipassError {
  try {
    parseConfig(text, '/c/config.jsonc');
  } catch (error) {
    if (error instanceof AipassError) return error;
  }
  throw new Error('the configuration was not refused');
}

describe('the configuration', () => {
  it('is complete without a file', async () => {
    await using home = makeTempHome();
    expect(readConfig(home.paths.config)).toStrictEqual(DEFAULTS);
  });

  it.each(['', '  \n', '{}', '// nothing yet\n', '{ /* nothing */ }'])('is complete when it is empty: %j', (text) => {
    expect(parseConfig(text, 'c')).toStrictEqual(DEFAULTS);
  });

  it('may have comments, trailing commas and a schema', () => {
    const text = `{
      // which one to ask
      "$schema": "./config.schema.json",
      "defaultProvider": "groq", /* fast */
      "limits": { "inFlight": 8, },
    }`;
    expect(parseConfig(text, 'c')).toStrictEqual({
      ...DEFAULTS,
      $schema: './config.schema.json',
      defaultProvider: 'groq',
      limits: { ...DEFAULTS.limits, inFlight: 8 },
    });
  });

  it('takes every setting of a provider and of its keys', () => {
    const provider = {
      baseUrl: 'http://127.0.0.1:8080/v1',
      authHeader: 'x-api-key',
      needsKey: false,
      headers: { 'HTTP-Referer': 'https://example.org', 'X-Title': 'aipassd' },
      keyShape: { prefix: 'sk-', minLength: 20 },
      modelsUrl: null,
      models: ['a', 'b'],
      keyCheck: { method: 'POST', url: 'https://example.org/key' },
      timeoutMs: 5000,
      pool: { strategy: 'least-used', maxWaitMs: 100 },
      keys: {
        MY_API_KEY_2: {
          account: 'work',
          weight: 2.5,
          priority: 0,
          models: ['a'],
          maxInFlight: 3,
          quotas: [
            { calls: 10, per: 'day', zone: 'Europe/Vienna' },
            { dollars: 0.5, per: 'month' },
          ],
        },
      },
    };
    const read = parseConfig(JSON.stringify({ providers: { my_llm: provider } }), 'c').providers['my_llm'];
    expect(read).toStrictEqual({
      ...provider,
      keys: {
        MY_API_KEY_2: {
          ...provider.keys.MY_API_KEY_2,
          quotas: [
            { calls: 10, per: 'day', zone: 'Europe/Vienna' },
            { dollars: 0.5, per: 'month', zone: 'UTC' },
          ],
        },
      },
    });
  });

  it('may switch the log file off', () => {
    expect(parseConfig('{"log":{"file":null}}', 'c').log).toStrictEqual({ level: 'info', file: null });
  });
});

describe('a wrong configuration', () => {
  it('is refused whole, with the file and what to do', () => {
    const error = refusal('{"defaultProvider": 7}');
    expect(error.code).toBe('BAD_REQUEST');
    expect(error.message).toContain('/c/config.jsonc');
    expect(error.message).toContain('"defaultProvider"');
    expect(error.hint).toContain('/c/config.jsonc');
  });

  it('is told by line when it is no JSON', () => {
    expect(refusal('{\n  "log": {},\n  "usage" {}\n}').message).toContain('line 3');
    expect(refusal('{"a": 1').message).toContain('line 1');
  });

  it.each([
    ['{"defaultProvder": "groq"}', '"defaultProvder"', 'defaultProvider'],
    ['{"limits": {"frameByte": 1}}', '"limits.frameByte"', 'frameBytes'],
    ['{"providers": {"groq": {"baseURL": "http://x.org"}}}', '"providers.groq.baseURL"', 'baseUrl'],
    ['{"providers": {"groq": {"pool": {"stratgy": "random"}}}}', '"providers.groq.pool.stratgy"', 'strategy'],
    [
      '{"providers": {"groq": {"keys": {"K": {"quotas": [{"per": "day", "call": 3}]}}}}}',
      '"providers.groq.keys.K.quotas.0.call"',
      'calls',
    ],
    ['{"providers": {"groq": {"keyCheck": {"url": "http://x.org", "metod": "GET"}}}}', 'keyCheck.metod"', 'method'],
    ['{"schedules": {"refesh": "* * * * *"}}', '"schedules.refesh"', 'refresh'],
  ])('with an unknown setting names the nearest known one: %s', (text, unknown, known) => {
    const { message } = refusal(text);
    expect(message).toContain('unknown setting');
    expect(message).toContain(unknown);
    expect(message).toContain(`did you mean "${known}"?`);
  });

  it('with a setting that resembles none names none', () => {
    const { message } = refusal('{"zzzzzzzz": 1}');
    expect(message).toContain('unknown setting "zzzzzzzz"');
    expect(message).not.toContain('did you mean');
  });

  it('names every problem at once', () => {
    const { message } = refusal('{"log": {"level": "loud"}, "limits": {"connections": 0}, "hook": {}}');
    expect(message).toContain('"log.level"');
    expect(message).toContain('"limits.connections"');
    expect(message).toContain('did you mean "hooks"?');
  });

  it.each([
    ['a user name and password in an address', '{"providers":{"a":{"baseUrl":"https://ann:pw@example.org"}}}'],
    ['an address that is not http', '{"providers":{"a":{"baseUrl":"ftp://example.org"}}}'],
    ['a header with a line break', '{"providers":{"a":{"headers":{"X-A":"1\\r\\nX-B: 2"}}}}'],
    ['a header whose name is none', '{"providers":{"a":{"headers":{"X A":"1"}}}}'],
    ['a time limit of zero', '{"providers":{"a":{"timeoutMs":0}}}'],
    ['a hook that is a shell line', '{"hooks":{"onRefreshed":"rm -rf /"}}'],
    ['an empty hook', '{"hooks":{"onRefreshed":[]}}'],
    ['a frame limit below 1 KiB', '{"limits":{"frameBytes":100}}'],
    ['retention for no day at all', '{"usage":{"retentionDays":0}}'],
    ['a list in place of a document', '[]'],
    ['null in place of a document', 'null'],
    ['a number in place of a document', '42'],
    ['a text in place of a document', '"x"'],
    ['null in place of a section', '{"log":null}'],
  ])('is refused for %s', (_what, text) => {
    expect(refusal(text).code).toBe('BAD_REQUEST');
  });

  it('says what a name must be like', () => {
    expect(refusal('{"providers":{"My LLM":{}}}').message).toContain('is not a name');
    expect(refusal('{"providers":{"a":{"keys":{"my key":{}}}}}').message).toContain('is not a variable name');
  });

  it('is refused when the file is there and cannot be read', async () => {
    await using home = makeTempHome();
    mkdirSync(home.paths.config);
    expect(() => readConfig(home.paths.config)).toThrow(
      expect.objectContaining({ code: 'BAD_REQUEST', message: expect.stringContaining('EISDIR') }),
    );
  });

  it('is read from its file as it stands', async () => {
    await using home = makeTempHome();
    writeFileSync(home.paths.config, '{"defaultProvider": "xai"}');
    chmodSync(home.paths.config, 0o400);
    expect(readConfig(home.paths.config).defaultProvider).toBe('xai');
  });
});

describe('what is wrong, in words', () => {
  it.each([
    ['{ "defaultProvider": "x"', 'line 1, column 25: a closing } is missing'],
    ['{\n  defaultProvider: "x" }', 'line 2, column 3'],
    ['null', 'not an object'],
    ['42', 'not an object'],
    ['{ "providers": { "x": { "headers": { "x-a": "b\\nc" } } } }', 'line break'],
    ['{ "providers": { "x": { "headers": { "x a": "b" } } } }', 'not the name of a header'],
    ['{ "schedules": { "refresh": "@hourly" } }', 'is not a cron pattern'],
    ['{ "providers": { "x": { "baseUrl": "localhost:8000" } } }', 'begin it with https:// or http://'],
    ['{ "providers": { "openai": { "apiKey": "sk-x" } } }', 'a key belongs in ~/.secrets/aipass/.env'],
  ])('%s', (text, words) => {
    expect(() => parseConfig(text, 'c.jsonc')).toThrow(words);
    expect(() => parseConfig(text, 'c.jsonc')).not.toThrow(/Expected|Invalid|Too small|sk-x/);
  });
});
