/**
 * The operations over keys, providers and secrets: a real vault over a temporary home, providers on
 * loopback.
 */

import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { ALL_RIGHTS, type Right } from '../../../src/callers/access.ts';
import { createDispatcher, type DispatchOutcome } from '../../../src/operations/dispatcher.ts';
import { openOrganizations } from '../../../src/operations/open.ts';
import { DEFAULT_ORGANIZATION } from '../../../src/protocol/credential.ts';
import { credentialOperations } from '../../../src/operations/credential-operations.ts';
import { keyOperations } from '../../../src/operations/key-operations.ts';
import { secretOperations } from '../../../src/operations/secret-operations.ts';
import { statusOperation } from '../../../src/operations/status-operation.ts';
import { openProviders } from '../../../src/providers/open.ts';
import type { RawEvent } from '../../../src/usage/event.ts';
import { createUsage } from '../../../src/usage/open.ts';
import { refusalOf, startLoopbackProvider } from '../../support/loopback-provider.ts';
import { makeTempHome, type TempHome } from '../../support/temp-home.ts';
import { testRuntime } from '../../support/test-runtime.ts';

const GROQ_KEY = `gsk_${'0123456789abcdef'.repeat(3)}`;
const GROQ_KEY_2 = `gsk_${'fedcba9876543210'.repeat(3)}`;

interface SetUp {
  readonly keys?: Record<string, string>;
  readonly config?: unknown;
  readonly prepare?: (home: TempHome) => Promise<void>;
}

/** Puts two opaque secrets into the home. */
async function storeSecrets({ paths }: TempHome): Promise<void> {
  await mkdir(join(paths.secrets, 'telegram'), { mode: 0o700 });
  await writeFile(join(paths.secrets, 'telegram', 'bot.json'), '{"token":"123:abc"}', { mode: 0o600 });
  await writeFile(join(paths.secrets, 'telegram', 'raw'), 'raw-value\n', { mode: 0o600 });
}

async function setUp({ keys = {}, config = {}, prepare }: SetUp = {}) {
  const home = makeTempHome();
  await home.writeKeys(keys);
  await prepare?.(home);
  const { paths } = home;
  const runtime = testRuntime(home, { config, clock: { ...systemClock, now: () => 5000 } });
  const { logger } = runtime;
  const { defaultProvider } = runtime.config.current;
  const stack = new AsyncDisposableStack();
  runtime.warnings.register(() => [{ subject: 'first', problem: 'p', hint: 'h' }]);
  const providers = openProviders(runtime, stack);
  const organizations = await openOrganizations(runtime, providers, stack);
  const { vault, pools } = organizations.keys(DEFAULT_ORGANIZATION);
  const recorded: RawEvent[] = [];
  const record = (event: RawEvent): void => void recorded.push(event);
  const dispatch = createDispatcher(
    {
      ...keyOperations({ organizations, providers, defaultProvider, record }),
      ...credentialOperations({ organizations, clock: runtime.clock, record }),
      ...secretOperations(vault, paths.secrets, record),
      ...statusOperation({
        gate: { load: { connections: 2, requestsInFlight: 1 } },
        ...runtime,
        logFile: null,
        defaultProvider,
        startedAt: 1000,
        vault,
        providers,
        pools,
        usage: createUsage(runtime),
        accounts: { statuses: () => Promise.resolve([]) },
        restart: 'r',
        lastRun: null,
        auditEnd: () => ({ seq: 0, hash: '' }),
      }),
    },
    { logger, audit: () => {} },
  );
  return {
    home,
    recorded,
    /** Asks, and returns the result or the error as the wire would carry it. */
    async ask(op: string, params: unknown = {}, rights: ReadonlySet<Right> = ALL_RIGHTS): Promise<unknown> {
      const outcome: DispatchOutcome = await dispatch(op, params, {
        caller: {
          name: 'test',
          client: null,
          rights,
          organizations: new Map([['default', rights]]),
          peer: null,
          session: 'session-1',
        },
        signal: new AbortController().signal,
        closed: new AbortController().signal,
        currentRights: () => ({ rights, organizations: new Map([['default', rights]]) }),
        abort: () => {},
        emit: () => {},
        notify: () => {},
      });
      return outcome.kind === 'done' ? outcome.result : outcome.error.toWire();
    },
    [Symbol.asyncDispose]: async () => {
      await stack.disposeAsync();
      await home.remove();
    },
  };
}

async function listCredentials(test: Awaited<ReturnType<typeof setUp>>): Promise<readonly unknown[]> {
  const listed: unknown = Reflect.get(Object(await test.ask('credential.list')), 'credentials');
  return Array.isArray(listed) ? listed : [];
}

describe('key.get', () => {
  it('releases the first key of the provider, of the default one where none is named, or the named key', async () => {
    await using test = await setUp({
      keys: { GROQ_API_KEY: GROQ_KEY, GROQ_API_KEY_2: GROQ_KEY_2 },
      config: { defaultProvider: 'groq' },
    });
    const first = { provider: 'groq', keyId: 'GROQ_API_KEY', key: GROQ_KEY };
    expect(await test.ask('key.get', { provider: 'groq' })).toStrictEqual(first);
    expect(await test.ask('key.get')).toStrictEqual(first);
    expect(await test.ask('key.get', { keyId: 'GROQ_API_KEY_2' })).toStrictEqual({
      provider: 'groq',
      keyId: 'GROQ_API_KEY_2',
      key: GROQ_KEY_2,
    });
  });

  it('needs the right to reveal, which the masked list does not', async () => {
    await using test = await setUp({ keys: { GROQ_API_KEY: GROQ_KEY } });
    expect(await test.ask('key.get', { provider: 'groq' }, new Set(['see', 'use']))).toMatchObject({
      code: 'FORBIDDEN',
    });
    expect(await test.ask('key.list', { provider: 'groq' }, new Set(['see']))).toHaveProperty('keys');
  });

  it('says for each way of not having a key what to do', async () => {
    await using test = await setUp({
      keys: { GROQ_API_KEY: GROQ_KEY, OPENAI_API_KEY: 'your-key-here' },
      config: { providers: { 'my-llm': { baseUrl: 'http://127.0.0.1:1/v1', needsKey: false } } },
    });
    const { envFile } = test.home.paths;
    expect(await test.ask('key.get', { provider: 'mistral' })).toStrictEqual({
      code: 'NOT_FOUND',
      message: 'no API key for mistral',
      hint: expect.stringContaining(`MISTRAL_API_KEY=… to ${envFile}`),
    });
    expect(await test.ask('key.get', { provider: 'openai' })).toStrictEqual({
      code: 'NOT_FOUND',
      message: expect.stringContaining('OPENAI_API_KEY'),
      hint: expect.stringMatching(/aipassd add openai;.*\.env/),
    });
    expect(await test.ask('key.get', { provider: 'my-llm' })).toStrictEqual({
      code: 'NOT_FOUND',
      message: expect.stringContaining('my-llm'),
      hint: expect.stringContaining('aipassd add my-llm'),
    });
    expect(await test.ask('key.get', { provider: 'groq', keyId: 'GROQ_API_KEY_9' })).toStrictEqual({
      code: 'NOT_FOUND',
      message: 'groq has no key "GROQ_API_KEY_9"',
      hint: 'its keys are: GROQ_API_KEY',
    });
    expect(await test.ask('key.get', { provider: 'grogq' })).toStrictEqual({
      code: 'NOT_FOUND',
      message: 'unknown provider "grogq"',
      hint: `did you mean "groq"? Else add GROGQ_API_KEY=… to ${envFile}`,
    });
    expect(await test.ask('key.get', { provider: 'coingecko' })).toStrictEqual({
      code: 'NOT_FOUND',
      message: 'unknown provider "coingecko"',
      hint: expect.stringMatching(/COINGECKO_API_KEY=….*aipassd list-providers/),
    });
    expect(await test.ask('key.get', { provider: 'zzz zzzzzzzz' })).toMatchObject({
      hint: expect.stringContaining('see: aipassd list-providers'),
    });
  });

  it('reports what is wrong with a variable that is there and cannot be used', async () => {
    await using test = await setUp({
      keys: { GROQ_API_KEY: '${BASE}', OPENAI_API_KEY: '“sk-smart-quotes”', FOO_API_KEY: 'op://vault/foo/key' },
    });
    for (const [provider, variable] of [
      ['groq', 'GROQ_API_KEY'],
      ['openai', 'OPENAI_API_KEY'],
      ['foo', 'FOO_API_KEY'],
    ] as const) {
      expect(await test.ask('key.get', { provider })).toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringMatching(new RegExp(`^${variable} holds `)),
        hint: expect.stringContaining('.secrets/aipass/.env: '),
      });
    }
  });

  it.each(['../groq', '__proto__', 'constructor', 'a\u001b[2J\nb', '.'])(
    'knows no provider by a hostile name, and repeats none as it is: %j',
    async (provider) => {
      await using test = await setUp({ keys: { GROQ_API_KEY: GROQ_KEY } });
      const error = await test.ask('key.get', { provider });
      expect(error).toMatchObject({ code: 'NOT_FOUND' });
      expect(JSON.stringify(error)).not.toMatch(/\\u001b|\\n/);
    },
  );

  it.each([{ provider: '' }, { provider: 7 }, { provider: 'x'.repeat(65) }, { keyId: '' }, { key: 'x' }, [], 'groq'])(
    'refuses parameters that are none: %j',
    async (params) => {
      await using test = await setUp();
      expect(await test.ask('key.get', params)).toMatchObject({ code: 'BAD_REQUEST', hint: expect.any(String) });
    },
  );
});

describe('what is shown of keys', () => {
  it('is masked, and judged by its shape', async () => {
    await using test = await setUp({
      keys: { GROQ_API_KEY: GROQ_KEY, GROQ_API_KEY_2: 'short', MINE_API_KEY: 'anything' },
    });
    const list = await test.ask('key.list');
    expect(list).toStrictEqual({
      keys: [
        { provider: 'groq', keyId: 'GROQ_API_KEY', masked: 'gsk_01****cdef', state: 'ready' },
        { provider: 'groq', keyId: 'GROQ_API_KEY_2', masked: '****', state: 'suspect', reason: expect.any(String) },
        { provider: 'mine', keyId: 'MINE_API_KEY', masked: '****', state: 'ready' },
      ],
    });
    expect(await test.ask('key.list', { provider: 'mine' })).toStrictEqual({
      keys: [expect.objectContaining({ keyId: 'MINE_API_KEY' })],
    });
    expect(await test.ask('key.list', { provider: 'openai' })).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('lists every known provider, and those that only have a key', async () => {
    await using test = await setUp({
      keys: { GROQ_API_KEY: GROQ_KEY, MINE_API_KEY: 'anything-at-all' },
      config: { providers: { groq: { timeoutMs: 1 }, extra: { baseUrl: 'https://example.org/v1' } } },
    });
    const list = await test.ask('provider.list');
    expect(list).toMatchObject({
      defaultProvider: 'openrouter',
      providers: expect.arrayContaining([
        expect.objectContaining({ name: 'openrouter', source: 'built-in', keys: [] }),
        expect.objectContaining({
          name: 'groq',
          source: 'overridden',
          keys: [expect.objectContaining({ keyId: 'GROQ_API_KEY' })],
        }),
        expect.objectContaining({ name: 'extra', source: 'configured', baseUrl: 'https://example.org/v1' }),
        expect.objectContaining({
          name: 'mine',
          source: 'unknown',
          baseUrl: '',
          keys: [expect.objectContaining({ keyId: 'MINE_API_KEY' })],
        }),
      ]),
    });
    expect(JSON.stringify(list)).not.toContain(GROQ_KEY);
  });
});

describe('provider.validate', () => {
  it('judges by the shape alone, and asks nobody, unless it is told to', async () => {
    await using upstream = await startLoopbackProvider();
    await using test = await setUp({
      keys: { GROQ_API_KEY: GROQ_KEY, GROQ_API_KEY_2: 'short' },
      config: { providers: { groq: { baseUrl: upstream.baseUrl } } },
    });
    expect(await test.ask('provider.validate', { provider: 'groq' })).toMatchObject({
      provider: 'groq',
      keys: [
        { keyId: 'GROQ_API_KEY', verdict: 'valid', checked: 'offline' },
        { keyId: 'GROQ_API_KEY_2', verdict: 'suspect', checked: 'offline' },
      ],
    });
    expect(upstream.requests).toHaveLength(0);
  });

  it('suspects a key that its file cuts at a "#", though the rest has the right shape', async () => {
    await using test = await setUp({ keys: { GROQ_API_KEY: `${GROQ_KEY}#tail` } });
    expect(await test.ask('provider.validate', { provider: 'groq' })).toMatchObject({
      keys: [{ verdict: 'suspect', detail: expect.stringContaining('quotes') }],
    });
  });

  it('asks the provider about every key, and keeps their order', async () => {
    await using upstream = await startLoopbackProvider();
    const keys = Object.fromEntries(
      Array.from({ length: 9 }, (_, n) => [`OPENROUTER_API_KEY_${n + 2}`, `sk-or-v1-${n}`]),
    );
    upstream.acceptKeys(['sk-or-v1-3']);
    await using test = await setUp({ keys, config: { providers: { openrouter: { baseUrl: upstream.baseUrl } } } });
    expect(await test.ask('provider.validate', { online: true })).toMatchObject({
      provider: 'openrouter',
      keys: Object.entries(keys).map(([keyId, value]) => ({
        keyId,
        verdict: value === 'sk-or-v1-3' ? 'valid' : 'invalid',
        checked: 'online',
      })),
    });
    expect(upstream.requests).toHaveLength(9);
  });

  it('asks about the named key only', async () => {
    await using upstream = await startLoopbackProvider();
    await using test = await setUp({
      keys: { OPENROUTER_API_KEY: 'sk-or-v1-first', OPENROUTER_API_KEY_2: 'sk-or-v1-second' },
      config: { providers: { openrouter: { baseUrl: upstream.baseUrl } } },
    });
    expect(await test.ask('provider.validate', { keyId: 'OPENROUTER_API_KEY_2', online: true })).toMatchObject({
      keys: [{ keyId: 'OPENROUTER_API_KEY_2', verdict: 'valid', checked: 'online' }],
    });
    expect(upstream.requests.map(({ key }) => key)).toStrictEqual(['sk-or-v1-second']);
  });

  it('gives no verdict where the provider is unknown, has no endpoint for it, or fails', async () => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/key', refusalOf(500, 'on fire'));
    await using test = await setUp({
      keys: { MINE_API_KEY: 'anything', EXTRA_API_KEY: 'whatever-it-is', OPENROUTER_API_KEY: 'sk-or-v1-first' },
      config: {
        providers: { extra: { baseUrl: upstream.baseUrl }, openrouter: { baseUrl: upstream.baseUrl } },
      },
    });
    const verdict = (provider: string) => test.ask('provider.validate', { provider, online: true });
    expect(await verdict('mine')).toMatchObject({ keys: [{ verdict: 'unknown', checked: 'offline' }] });
    expect(await verdict('extra')).toMatchObject({ keys: [{ verdict: 'unknown', checked: 'offline' }] });
    expect(await verdict('openrouter')).toMatchObject({ keys: [{ verdict: 'unknown', checked: 'online' }] });
  });
});

describe('credential.usage', () => {
  it('takes a paid sample on request only, and records it as a call of the organization', async () => {
    await using upstream = await startLoopbackProvider();
    upstream.route('/v1/models', { kind: 'json', body: { data: [{ id: 'small' }] } });
    await using test = await setUp({
      keys: { GROQ_API_KEY: GROQ_KEY },
      config: { providers: { groq: { baseUrl: upstream.baseUrl } } },
    });
    const id: unknown = Reflect.get(Object((await listCredentials(test))[0]), 'id');
    expect(await test.ask('credential.usage', { id })).toMatchObject({ reachable: true, sample_model: null });
    expect(test.recorded).toEqual([]);
    expect(await test.ask('credential.usage', { id, sample: true })).toMatchObject({
      sample_model: 'small',
      sample_input_tokens: 5,
      sample_output_tokens: 2,
    });
    expect(test.recorded).toMatchObject([
      {
        operation: 'credential.sample',
        organization: 'default',
        provider: 'groq',
        keyId: 'GROQ_API_KEY',
        model: 'small',
        status: 'success',
        promptTokens: 5,
        completionTokens: 2,
      },
    ]);
  });
});

describe('provider.models', () => {
  it('asks with the first key', async () => {
    await using upstream = await startLoopbackProvider();
    await using test = await setUp({
      keys: { GROQ_API_KEY: GROQ_KEY },
      config: { defaultProvider: 'groq', providers: { groq: { baseUrl: upstream.baseUrl } } },
    });
    expect(await test.ask('provider.models')).toMatchObject({
      provider: 'groq',
      models: [{ id: 'test/small' }, { id: 'test/large' }],
    });
    expect(upstream.requests.map(({ key }) => key)).toStrictEqual([GROQ_KEY]);
  });

  it('asks without a key where none is needed, and says what is missing where one is', async () => {
    await using upstream = await startLoopbackProvider();
    await using test = await setUp({
      config: { providers: { ollama: { baseUrl: upstream.baseUrl }, groq: { baseUrl: upstream.baseUrl } } },
    });
    expect(await test.ask('provider.models', { provider: 'ollama' })).toHaveProperty('models');
    expect(await test.ask('provider.models', { provider: 'groq' })).toMatchObject({ message: 'no API key for groq' });
    expect(upstream.requests.map(({ key }) => key)).toStrictEqual([undefined]);
  });
});

describe('opaque secrets', () => {
  it('are listed without their values, and released by name', async () => {
    await using test = await setUp({ prepare: storeSecrets });
    const list = await test.ask('secret.list', { provider: 'telegram' });
    expect(list).toMatchObject({
      secrets: [
        { name: 'telegram/bot', format: 'json' },
        { name: 'telegram/raw', format: 'text', chars: 9 },
      ],
    });
    expect(await test.ask('secret.list')).toStrictEqual(list);
    expect(await test.ask('secret.list', { provider: 'tele' })).toStrictEqual({ secrets: [] });
    expect(JSON.stringify(list)).not.toContain('abc');
    expect(await test.ask('secret.get', { name: 'telegram/raw' })).toStrictEqual({
      name: 'telegram/raw',
      value: 'raw-value',
    });
    expect(await test.ask('secret.get', { name: 'telegram/bot', json: true })).toStrictEqual({
      name: 'telegram/bot',
      value: { token: '123:abc' },
    });
  });

  it('need the right to reveal', async () => {
    await using test = await setUp({ prepare: storeSecrets });
    expect(await test.ask('secret.get', { name: 'telegram/raw' }, new Set(['see', 'use']))).toMatchObject({
      code: 'FORBIDDEN',
    });
  });

  it.each(['telegram', '../aipass/.env', 'telegram/../../x', 'telegram/', '/etc/passwd', 'telegram/a/b', 'a\u0000/b'])(
    'are not reached by a name that is none: %j',
    async (name) => {
      await using test = await setUp({ prepare: storeSecrets });
      expect(await test.ask('secret.get', { name })).toMatchObject({ code: 'BAD_REQUEST' });
    },
  );

  it('that are not there say where to look', async () => {
    await using test = await setUp({ prepare: storeSecrets });
    expect(await test.ask('secret.get', { name: 'telegram/nothing' })).toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('get-secret --list'),
    });
  });
});

describe('status.get', () => {
  it('tells how the daemon is, with masked keys and all warnings, and no secret', async () => {
    await using test = await setUp({
      keys: { GROQ_API_KEY: GROQ_KEY },
      prepare: async ({ paths }) => chmod(paths.envFile, 0o644),
    });
    const status = await test.ask('status.get');
    expect(status).toMatchObject({
      version: '1.2.3',
      protocol: 1,
      pid: process.pid,
      node: process.versions.node,
      startedAt: 1000,
      uptimeMs: 4000,
      socket: test.home.paths.socket,
      connections: 2,
      requestsInFlight: 1,
      paths: { secrets: test.home.paths.secrets, config: test.home.paths.config, log: null },
      defaultProvider: 'openrouter',
      providers: [{ name: 'groq', keys: [{ masked: 'gsk_01****cdef' }] }],
      secrets: { count: 0 },
    });
    expect(status).toHaveProperty('warnings.0', { subject: 'first', problem: 'p', hint: 'h' });
    expect(status).toHaveProperty('warnings.1.hint', expect.stringContaining('chmod 600'));
    expect(JSON.stringify(status)).not.toContain(GROQ_KEY);
  });

  it('lists a provider without a key only where it needs none and is configured', async () => {
    await using test = await setUp({
      config: { providers: { ollama: { timeoutMs: 5000 }, groq: { timeoutMs: 5000 } } },
    });
    expect(await test.ask('status.get')).toMatchObject({ providers: [{ name: 'ollama', keys: [] }] });
  });

  it('takes no parameters', async () => {
    await using test = await setUp();
    expect(await test.ask('status.get', { verbose: true })).toMatchObject({ code: 'BAD_REQUEST' });
  });
});
