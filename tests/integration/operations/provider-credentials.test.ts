/**
 * Provider credentials over a real `.env`, a real vault and a provider on loopback.
 */

import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/base/config.ts';
import type { ErrorCode } from '../../../src/base/errors.ts';
import { AipassError } from '../../../src/base/errors.ts';
import { Redactor } from '../../../src/base/redactor.ts';
import { CredentialRecords, organizationIdOf } from '../../../src/credentials/credential-records.ts';
import { EnvWriter } from '../../../src/credentials/env-writer.ts';
import { Vault } from '../../../src/credentials/vault.ts';
import { ProviderCredentials } from '../../../src/operations/provider-credentials.ts';
import { createProviders } from '../../../src/providers/registry.ts';
import type { LimitWindow } from '../../../src/protocol/pool.ts';
import { startLoopbackProvider, type LoopbackProvider } from '../../support/loopback-provider.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { makeTempHome, type TempHome } from '../../support/temp-home.ts';

const KEY = 'key-canary-0123456789abcdef';
const never = new AbortController().signal;

let home: TempHome;
let provider: LoopbackProvider;
let clock: ManualClock;
let opened: Opened;

interface Opened {
  readonly credentials: ProviderCredentials;
  readonly records: CredentialRecords;
  readonly vault: Vault;
  readonly checked: string[];
  /** What the state document held after each time that it was written. */
  readonly onDisk: string[];
  beforePersist: () => Promise<void>;
  windows: readonly LimitWindow[];
}

beforeEach(async () => {
  home = makeTempHome();
  provider = await startLoopbackProvider();
  provider.route('/v1/models', {
    kind: 'json',
    body: { data: [{ id: 'm-1' }, { id: 'm-2' }] },
    headers: { 'x-ratelimit-limit-requests': '100', 'x-ratelimit-remaining-requests': '75' },
  });
  clock = new ManualClock('2026-11-28T12:00:00Z');
  await mkdir(dirname(home.paths.envFile), { recursive: true, mode: 0o700 });
  opened = await open();
});

afterEach(async () => {
  await provider.close();
  await home.remove();
});

async function open(saved?: unknown): Promise<Opened> {
  const config = parseConfig(
    JSON.stringify({
      providers: {
        local: { baseUrl: provider.baseUrl, keyCheck: null, headers: { 'x-gateway-secret': 'header-canary' } },
        zeta: { baseUrl: provider.baseUrl },
        // Whose list of models is public.
        openrouter: { baseUrl: provider.baseUrl, keyCheck: null },
      },
    }),
    'config.jsonc',
  );
  const providers = createProviders(config);
  const vault = new Vault({
    paths: home.paths,
    knownProviders: () => providers.names(),
    redactor: new Redactor(),
    clock,
    logger: { info: () => {}, warn: () => {} },
  });
  await vault.load();
  const organizationId = organizationIdOf('default');
  const checked: string[] = [];
  const result: Pick<Opened, 'windows' | 'onDisk' | 'beforePersist'> = {
    windows: [],
    onDisk: [],
    beforePersist: async () => {},
  };
  const records = new CredentialRecords({
    organizationId,
    saved,
    clock,
    randomId: randomUUID,
    onChange: () => {},
    persist: async () => {
      await result.beforePersist();
      result.onDisk.push(JSON.stringify(records.save()));
    },
  });
  const credentials = new ProviderCredentials({
    organizationId,
    records,
    writer: new EnvWriter({
      path: home.paths.envFile,
      reload: async () => {
        await vault.load();
        records.sync(vault.keys(), vault.isEnvWhole());
      },
    }),
    vault,
    providers,
    pools: {
      checked: (name, keyId, _revision, verdict, status) => {
        checked.push(`${name} ${keyId} ${verdict} ${status}`);
      },
      keyOf: () => ({
        revision: 'r',
        quarantine: null,
        windows: new Map(result.windows.map((window) => [window.name, window])),
      }),
      keysChanged: () => {},
    },
    clock,
    allowedHosts: () => [],
    onChange: () => {},
  });
  credentials.sync();
  return Object.assign(result, { credentials, records, vault, checked });
}

/** Takes no sample. */
const noSample = (): Promise<never> => Promise.reject(new AipassError('PROVIDER_REJECTED', 'no sample in this test'));

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    if (!(error instanceof AipassError)) throw error;
    if (JSON.stringify(error.toWire()).includes(KEY.slice(4, 12)))
      throw new Error('the error quotes the key', { cause: error });
    return error.code;
  }
}

const env = (): Promise<string> => readFile(home.paths.envFile, 'utf8');

async function writeEnv(text: string): Promise<void> {
  await writeFile(home.paths.envFile, text, { mode: 0o600 });
  await opened.vault.load();
  opened.credentials.sync();
}

/** Opens what a daemon finds that was killed with this state document and this `.env`. */
async function reopen(onDisk: string | undefined, text: string): Promise<void> {
  await writeFile(home.paths.envFile, text, { mode: 0o600 });
  opened = await open(JSON.parse(onDisk ?? 'null'));
}

describe('creating a credential', () => {
  it('writes the key into the first free variable and serves it at once', async () => {
    await writeEnv('# mine\nLOCAL_API_KEY=first-key-1234\nLOCAL_API_KEY_2=your-key-here\n');
    const created = await opened.credentials.create({ provider: 'local', account_key: ' prod ', api_key: `${KEY}\n` });
    expect(created).toMatchObject({
      provider: 'local',
      account_key: 'prod',
      display_name: 'prod',
      api_key_last_four: 'cdef',
      has_api_key: true,
      key_id: 'LOCAL_API_KEY_2',
      active: true,
      revision: 1,
    });
    expect(await env()).toBe(`# mine\nLOCAL_API_KEY=first-key-1234\nLOCAL_API_KEY_2=${KEY}\n`);
    expect(opened.vault.keys('local').map(({ keyId }) => keyId)).toEqual(['LOCAL_API_KEY', 'LOCAL_API_KEY_2']);
    expect(JSON.stringify(created)).not.toContain(KEY.slice(0, 8));
  });

  it('lets one of two at once win, and uses one variable', async () => {
    const params = { provider: 'local', account_key: 'a', api_key: KEY };
    const codes = await Promise.all([
      codeOf(opened.credentials.create(params)),
      codeOf(opened.credentials.create(params)),
    ]);
    expect(codes.toSorted()).toEqual(['CONFLICT', 'none']);
    expect((await env()).match(/LOCAL_API_KEY/g)).toHaveLength(1);
    expect(opened.credentials.list({})).toHaveLength(1);
  });

  it('adds and imports a key once where several ask at once', async () => {
    const add = () => opened.credentials.add({ provider: 'local', api_key: KEY, force: true }, never);
    const results = await Promise.allSettled([
      add(),
      opened.credentials.import({ text: `LOCAL_API_KEY=${KEY}` }),
      add(),
    ]);
    expect(results).toMatchObject([
      { status: 'fulfilled', value: { key_id: 'LOCAL_API_KEY' } },
      { status: 'fulfilled', value: { keys: [{ known_as: 'LOCAL_API_KEY', key_id: null }] } },
      { status: 'rejected', reason: { code: 'CONFLICT' } },
    ]);
    expect(await env()).toBe(`LOCAL_API_KEY=${KEY}\n`);
  });

  it('returns the first result for the same Idempotency-Key, and refuses it for another request', async () => {
    const params = { provider: 'local', account_key: 'a', api_key: KEY, idempotency_key: 'once' };
    const [first, second] = await Promise.all([opened.credentials.create(params), opened.credentials.create(params)]);
    expect(second.id).toBe(first.id);
    expect(await codeOf(opened.credentials.create({ ...params, account_key: 'b' }))).toBe('CONFLICT');
    expect(await codeOf(opened.credentials.create({ ...params, api_key: `${KEY}-b` }))).toBe('CONFLICT');
    const both = await Promise.all([
      codeOf(opened.credentials.create({ ...params, account_key: 'c', idempotency_key: 'twice' })),
      codeOf(opened.credentials.create({ ...params, account_key: 'd', idempotency_key: 'twice' })),
    ]);
    expect(both).toEqual(['none', 'CONFLICT']);
  });

  it('returns it after a restart, for a day', async () => {
    const params = { provider: 'local', account_key: 'a', api_key: KEY, idempotency_key: 'once' };
    const { id } = await opened.credentials.create(params);
    opened = await open(JSON.parse(opened.onDisk.at(-1) ?? ''));
    expect((await opened.credentials.create(params)).id).toBe(id);
    expect(await codeOf(opened.credentials.create({ ...params, api_key: `${KEY}-b` }))).toBe('CONFLICT');
    clock.advance(86_400_001);
    expect(await codeOf(opened.credentials.create(params))).toBe('CONFLICT');
    await expect(opened.credentials.create(params)).rejects.toThrow(/already exists/);
  });

  it.each([
    ['too short', 'short'],
    ['a placeholder', 'sk-your-key-here'],
    ['with a blank inside', 'key with blanks'],
    ['not ASCII', 'schlüssel-12345'],
    ['nothing but blanks', ' \n\t '],
    ['a reference that the vault does not serve', '${OTHER_API_KEY}'],
    ['shown masked', 'sk-abcd***wxyz'],
  ])('refuses a key that is %s', async (_, key) => {
    expect(await codeOf(opened.credentials.create({ provider: 'local', account_key: 'a', api_key: key }))).toBe(
      'BAD_REQUEST',
    );
    expect(opened.credentials.list({})).toEqual([]);
  });

  it('names the supported providers, sorted, for one that is not', async () => {
    const refusal = opened.credentials.create({ provider: 'nope', account_key: 'a' });
    await expect(refusal).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(refusal).rejects.toThrow(/^Unsupported provider 'nope'\. Supported: \['anthropic', .*, 'zeta'\]$/);
  });

  it('names the provider that was probably meant', async () => {
    for (const [name, meant] of [
      ['claude', 'anthropic'],
      ['Gemini', 'google'],
      ['openroter', 'openrouter'],
    ] as const) {
      await expect(opened.credentials.create({ provider: name, account_key: 'a' })).rejects.toMatchObject({
        hint: expect.stringContaining(`did you mean "${meant}"?`),
      });
    }
  });

  it.each(['zero\u200bwidth', 'half\ud800', 'line\u2028end', 'nul\u0000', '\u202eright'])(
    'refuses the name %j',
    async (name) => {
      expect(await codeOf(opened.credentials.create({ provider: 'local', account_key: name }))).toBe('BAD_REQUEST');
    },
  );

  it('needs no key', async () => {
    const created = await opened.credentials.create({ provider: 'local', account_key: 'later', display_name: '' });
    expect(created).toMatchObject({ has_api_key: false, api_key_last_four: null, key_id: null, display_name: 'later' });
  });
});

describe('a crash', () => {
  const address = 'https://proxy.example.org/v1';
  const fields = { account_key: 'team', display_name: 'Team', base_url: address, active: false };

  it('between the state and .env loses nothing of a new credential, and makes none without its key', async () => {
    const { id } = await opened.credentials.create({ provider: 'local', api_key: KEY, ...fields });
    const [onDisk] = opened.onDisk;
    expect(onDisk).not.toContain(KEY.slice(4, 9));
    await reopen(onDisk, `LOCAL_API_KEY=${KEY}\n`);
    expect(opened.credentials.list({})).toMatchObject([{ id, ...fields, has_api_key: true, revision: 1 }]);
    await reopen(onDisk, '');
    expect(opened.credentials.list({})).toEqual([]);
    await reopen(onDisk, 'LOCAL_API_KEY=written-by-hand-1234\n');
    expect(opened.credentials.list({})).toMatchObject([{ account_key: 'default', base_url: null }]);
  });

  it.each([
    ['the old key', 'old-key-canary-1234', 'https://old.example.org', 'Old'],
    ['the new key', KEY, address, 'Team'],
  ])('while a key moves leaves %s with its own address', async (_, key, baseUrl, displayName) => {
    const old = { provider: 'local', account_key: 'team', display_name: 'Old' };
    const { id } = await opened.credentials.create({
      ...old,
      api_key: 'old-key-canary-1234',
      base_url: 'https://old.example.org',
    });
    await opened.credentials.update({ id, api_key: KEY, base_url: address, display_name: 'Team' });
    await reopen(opened.onDisk.at(-1), `LOCAL_API_KEY=${key}\n`);
    expect(opened.credentials.list({})).toMatchObject([{ id, base_url: baseUrl, display_name: displayName }]);
  });

  it.each([
    ['that others may write to', (): Promise<void> => chmod(home.paths.envFile, 0o666)],
    ['that is not there', (): Promise<void> => rm(home.paths.envFile)],
    ['with a damaged line', (): Promise<void> => writeFile(home.paths.envFile, `LOCAL_API_KEY="${KEY}\n`)],
  ])('leaves a key with its own address where the daemon starts with an .env %s', async (_, damage) => {
    const { id } = await opened.credentials.create({ provider: 'local', api_key: KEY, ...fields });
    const [onDisk] = opened.onDisk;
    await damage();
    opened = await open(JSON.parse(onDisk ?? ''));
    expect(opened.credentials.list({})).toEqual([]);
    // What is undecided outlasts another restart.
    opened = await open(JSON.parse(JSON.stringify(opened.records.save())));
    await chmod(dirname(home.paths.envFile), 0o700);
    await rm(home.paths.envFile, { force: true });
    await writeEnv(`LOCAL_API_KEY=${KEY}\n`);
    expect(opened.credentials.list({})).toMatchObject([{ id, ...fields, has_api_key: true }]);
  });

  it('keeps a credential from being changed until .env decides which of its addresses holds', async () => {
    const { id } = await opened.credentials.create({ provider: 'local', account_key: 'team', api_key: `${KEY}-1` });
    await opened.credentials.update({ id, api_key: KEY, base_url: address });
    const onDisk = opened.onDisk.at(-1) ?? '';
    await chmod(home.paths.envFile, 0o666);
    opened = await open(JSON.parse(onDisk));
    expect(await codeOf(opened.credentials.update({ id, active: false }))).toBe('CONFLICT');
    await chmod(home.paths.envFile, 0o600);
    await opened.vault.load();
    opened.credentials.sync();
    await opened.credentials.update({ id, active: false });
    expect(opened.credentials.list({})).toMatchObject([{ id, base_url: address, active: false }]);
  });

  it('after an answer undoes nothing that was answered', async () => {
    const { id } = await opened.credentials.create({ provider: 'local', account_key: 'bare' });
    expect(opened.onDisk.at(-1)).toContain(id);
    await opened.credentials.update({ id, base_url: address, active: false });
    expect(JSON.parse(opened.onDisk.at(-1) ?? '')).toMatchObject([{ baseUrl: address, active: false }]);
    await opened.credentials.delete({ id });
    expect(opened.onDisk.at(-1)).toBe('[]');
  });

  it.each(['create', 'update', 'move'])(
    'of the disk fails a request to %s, which then changed nothing',
    async (kind) => {
      const { id } = await opened.credentials.create({ provider: 'local', account_key: 'a', api_key: KEY });
      const before = [opened.credentials.list({}), await env()];
      opened.beforePersist = () => Promise.reject(new AipassError('INTERNAL', 'the disk is full'));
      const { credentials } = opened;
      const asked =
        kind === 'create'
          ? credentials.create({ provider: 'local', account_key: 'b', api_key: `${KEY}-b` })
          : credentials.update({
              id,
              base_url: address,
              ...(kind === 'move' ? { api_key: `${KEY}-2` } : { api_key: KEY }),
            });
      expect(await codeOf(asked)).toBe('INTERNAL');
      expect([opened.credentials.list({}), await env()]).toEqual(before);
    },
  );

  it('is not needed for two changes at once to keep both', async () => {
    const { id } = await opened.credentials.create({ provider: 'local', account_key: 'a', api_key: KEY });
    await Promise.all([
      opened.credentials.update({ id, api_key: `${KEY}-2` }),
      opened.credentials.update({ id, display_name: 'Shown' }),
      opened.credentials.update({ id, active: false }),
    ]);
    expect(opened.credentials.get(id)).toMatchObject({ display_name: 'Shown', active: false, revision: 4 });
    expect(await env()).toBe(`LOCAL_API_KEY=${KEY}-2\n`);
  });
});

it('uses an address for the key that it came with, while both are being written', async () => {
  const { id } = await opened.credentials.create({ provider: 'local', account_key: 'a', api_key: KEY });
  const seen: unknown[] = [];
  const look = (): void => {
    for (const key of opened.vault.keys('local')) seen.push([key.value.reveal(), opened.records.of(key)?.baseUrl]);
  };
  opened.vault.onChange(look);
  opened.beforePersist = async () => look();
  await opened.credentials.update({ id, api_key: `${KEY}-2`, base_url: provider.baseUrl });
  expect(seen).toEqual([
    [KEY, null],
    [`${KEY}-2`, provider.baseUrl],
  ]);
});

describe('keys that people manage by hand', () => {
  it('belong to an organization whose id another program can derive from its name (RFC 9562)', () => {
    expect(organizationIdOf('acme')).toBe('fcfe51cd-bf7c-5154-9de5-93615bd78393');
  });

  it('are credentials with ids that survive a lost state', async () => {
    await writeEnv('LOCAL_API_KEY=first-key-1234\nLOCAL_API_KEY_2=second-key-1234\n');
    const before = opened.credentials.list({}).map(({ id, account_key: name }) => [id, name]);
    expect(before.map(([, name]) => name)).toEqual(['2', 'default']);
    opened = await open('damaged');
    expect(opened.credentials.list({}).map(({ id, account_key: name }) => [id, name])).toEqual(before);
  });

  it('lose their key when the variable vanishes, and join their record again when it returns', async () => {
    await writeEnv('LOCAL_API_KEY=first-key-1234\n');
    const id = opened.credentials.list({})[0]?.id ?? '';
    await opened.credentials.update({ id, display_name: 'Mine' });
    await writeEnv('# nothing\n');
    expect(opened.credentials.get(id)).toMatchObject({ has_api_key: false, display_name: 'Mine' });
    await writeEnv('LOCAL_API_KEY=another-key-1234\n');
    expect(opened.credentials.list({})).toHaveLength(1);
    expect(opened.credentials.get(id)).toMatchObject({ has_api_key: true, display_name: 'Mine' });
  });
});

describe('changing a credential', () => {
  let id: string;
  beforeEach(async () => {
    id = (await opened.credentials.create({ provider: 'local', account_key: 'a', api_key: KEY })).id;
  });

  it('leaves what is absent or null, and moves time and revision even where nothing changes', async () => {
    const before = opened.credentials.get(id);
    const after = await opened.credentials.update({ id, api_key: null, base_url: null, display_name: null });
    expect({ ...after, updated_at: '', revision: 0 }).toEqual({ ...before, updated_at: '', revision: 0 });
    expect(after.revision).toBe(before.revision + 1);
    expect(after.updated_at > before.updated_at).toBe(true);
  });

  it("removes the variable with '' and keeps it for this credential", async () => {
    expect(await opened.credentials.update({ id, api_key: '' })).toMatchObject({
      has_api_key: false,
      api_key_last_four: null,
      key_id: 'LOCAL_API_KEY',
    });
    expect(await env()).toBe('');
    const other = await opened.credentials.create({ provider: 'local', account_key: 'b', api_key: `${KEY}-b` });
    expect(other.key_id).toBe('LOCAL_API_KEY_2');
  });

  it('refuses another revision', async () => {
    await opened.credentials.update({ id, active: false, if_revision: 1 });
    expect(await codeOf(opened.credentials.update({ id, active: true, if_revision: 1 }))).toBe('CONFLICT');
    expect(opened.credentials.get(id).active).toBe(false);
    const stale = { id, if_revision: [1, 3] };
    expect(await codeOf(opened.credentials.rotate({ ...stale, api_key: `${KEY}-2` }, never))).toBe('CONFLICT');
    expect(await codeOf(opened.credentials.delete(stale))).toBe('CONFLICT');
    expect(provider.requests).toEqual([]);
    await opened.credentials.delete({ id, if_revision: [1, 2] });
    expect(opened.credentials.list({})).toEqual([]);
  });

  it('sends a key to a new address only together with the key', async () => {
    const address = 'https://proxy.example.org/v1/';
    expect(await codeOf(opened.credentials.update({ id, base_url: address }))).toBe('BAD_REQUEST');
    expect(await opened.credentials.update({ id, base_url: address, api_key: `${KEY}-2` })).toMatchObject({
      base_url: 'https://proxy.example.org/v1',
    });
    expect(await codeOf(opened.credentials.update({ id, base_url: '' }))).toBe('BAD_REQUEST');
  });

  it.each([
    'http://example.org',
    'https://user@example.org',
    'https://example.org?x=1',
    'https://10.0.0.1',
    'https://169.254.169.254/latest',
    'https://[fd00::1]',
    'https://[::ffff:10.0.0.1]',
    'https://[::ffff:a00:1]',
    'https://[::10.0.0.1]',
    'https://[2002:a00:1::]',
    'https://[64:ff9b::a00:1]',
    'https://0x0a000001',
    'https://10.1',
    'http://localhost.',
    'ftp://example.org',
    'nonsense',
  ])('refuses the address %s', async (address) => {
    expect(await codeOf(opened.credentials.update({ id, base_url: address, api_key: KEY }))).toBe('BAD_REQUEST');
  });

  it('does not write over a file that an editor saved at the same moment', async () => {
    const saved = `LOCAL_API_KEY=${KEY}\nOTHER_API_KEY=added-by-editor\n`;
    const change = new EnvWriter({ path: home.paths.envFile, reload: async () => {} }).change((text) => {
      // The editor saves between our reading and our writing.
      writeFileSync(home.paths.envFile, saved);
      return { edit: { kind: 'edited', text: `${text}MINE_API_KEY=x\n` }, result: undefined };
    });
    expect(await codeOf(change)).toBe('CONFLICT');
    expect(await env()).toBe(saved);
  });

  it('is gone with its variable when it is deleted', async () => {
    await opened.credentials.delete({ id });
    expect(await env()).toBe('');
    expect(opened.credentials.list({})).toEqual([]);
    expect(await codeOf(opened.credentials.delete({ id }))).toBe('NOT_FOUND');
  });
});

describe('the usage of a credential', () => {
  let id: string;
  beforeEach(async () => {
    provider.acceptKeys([KEY]);
    id = (await opened.credentials.create({ provider: 'local', account_key: 'a', api_key: KEY })).id;
  });

  it('is what the free endpoints tell, and null where they tell nothing', async () => {
    expect(await opened.credentials.usage(id, {}, never)).toMatchObject({
      reachable: true,
      error: null,
      models: ['m-1', 'm-2'],
      requests: { limit: 100, remaining: 75, reset_at: null, reset_in_ms: null },
      tokens: null,
      sample_model: null,
      debug_rate_limit_headers: ['x-ratelimit-limit-requests', 'x-ratelimit-remaining-requests'],
    });
    expect(opened.checked).toEqual(['local LOCAL_API_KEY valid 200']);
  });

  it('is asked for once by fifty readers, and again after a minute', async () => {
    await Promise.all(Array.from({ length: 50 }, () => opened.credentials.usage(id, {}, never)));
    expect(provider.requests).toHaveLength(1);
    await opened.credentials.usage(id, {}, never);
    expect(provider.requests).toHaveLength(1);
    clock.advance(60_001);
    await opened.credentials.usage(id, {}, never);
    expect(provider.requests).toHaveLength(2);
  });

  it('is asked for anew on request, at most every 5 s, and after a change', async () => {
    await opened.credentials.usage(id, { refresh: true }, never);
    await expect(opened.credentials.usage(id, { refresh: true }, never)).rejects.toMatchObject({ retryAfterMs: 5000 });
    clock.advance(5001);
    await opened.credentials.usage(id, { refresh: true }, never);
    expect(provider.requests).toHaveLength(2);
    await opened.credentials.update({ id, display_name: 'x' });
    await opened.credentials.usage(id, {}, never);
    expect(provider.requests).toHaveLength(3);
  });

  it.each(['by a request', 'by hand'])('is that of a key that was just changed %s, not of the old one', async (how) => {
    provider.route('/v1/models', { kind: 'paced', headers: { 'content-type': 'application/json' } });
    provider.acceptKeys([KEY, `${KEY}-2`]);
    const old = opened.credentials.usage(id, {}, never);
    const first = await provider.nextRequest();
    if (how === 'by hand') await writeEnv(`LOCAL_API_KEY=${KEY}-2\n`);
    else await opened.credentials.update({ id, api_key: `${KEY}-2` });
    const asked = opened.credentials.usage(id, {}, never);
    const second = await provider.nextRequest();
    await first.stream.raw('{"data":[{"id":"old"}]}');
    first.stream.end();
    expect(await old).toMatchObject({ models: ['old'] });
    // The end of the old request leaves the new one to be joined.
    const joined = opened.credentials.usage(id, {}, never);
    await second.stream.raw('{"data":[{"id":"new"}]}');
    second.stream.end();
    expect(await Promise.all([asked, joined])).toMatchObject([{ models: ['new'] }, { models: ['new'] }]);
    expect(provider.requests.map(({ key }) => key)).toEqual([KEY, `${KEY}-2`]);
  });

  it('says that a key is not accepted, and tells the pool', async () => {
    await opened.credentials.update({ id, api_key: `${KEY}-wrong` });
    expect(await opened.credentials.usage(id, {}, never)).toMatchObject({
      reachable: false,
      error: 'the key is not accepted (401)',
    });
    expect(opened.checked).toEqual(['local LOCAL_API_KEY invalid 401']);
  });

  it('takes from earlier traffic what this answer lacks', async () => {
    const window = { name: 'tokens', unit: 'tokens', per: 'minute', limit: 1000, remaining: 400, used: 600 } as const;
    const resetAt = clock.now() + 30_000;
    opened.windows = [{ ...window, percent: 60, resetAt, seenAt: clock.now() - 1000 }];
    expect(await opened.credentials.usage(id, {}, never)).toMatchObject({
      tokens: { limit: 1000, remaining: 400, used: 600, pct_used: 60, reset_in_ms: 30_000 },
    });
  });

  it('sends nothing for a credential without a key', async () => {
    const { id: bare } = await opened.credentials.create({ provider: 'local', account_key: 'bare' });
    expect(await opened.credentials.usage(bare, {}, never)).toMatchObject({ reachable: false, error: 'no api key' });
    expect(provider.requests).toHaveLength(0);
  });
});

describe('testing and rotating', () => {
  beforeEach(() => provider.acceptKeys([KEY, `${KEY}-2`]));

  it('tests a credential without saving anything', async () => {
    await writeEnv('# mine\n');
    const params = { provider: 'local', account_key: '', api_key: KEY };
    expect(await opened.credentials.test(params, noSample, never)).toMatchObject({
      account_key: 'test',
      reachable: true,
    });
    const bad = await opened.credentials.test({ ...params, api_key: 'nope' }, noSample, never);
    expect(bad).toMatchObject({ reachable: false, error: 'the key is not accepted (401)' });
    expect(await env()).toBe('# mine\n');
    expect(opened.credentials.list({})).toEqual([]);
  });

  it('calls no key accepted that nothing proves', async () => {
    const { id } = await opened.credentials.create({ provider: 'openrouter', account_key: 'a', api_key: KEY });
    expect(await opened.credentials.usage(id, {}, never)).toMatchObject({
      reachable: false,
      error: 'openrouter has no free endpoint that proves a key',
      models: ['m-1', 'm-2'],
    });
    expect(opened.checked).toEqual([]);
  });

  it('sends the key of a test to its own address only', async () => {
    await using other = await startLoopbackProvider();
    other.route('/v1/models', { kind: 'json', body: { data: [] } });
    await opened.credentials.test(
      { provider: 'local', account_key: 'a', api_key: KEY, base_url: other.baseUrl },
      noSample,
      never,
    );
    expect([provider.requests.length, other.requests.length]).toEqual([0, 1]);
    // Headers of the configuration can hold secrets, and stay with the provider.
    expect(JSON.stringify(other.requests[0]?.headers)).not.toContain('header-canary');
    await opened.credentials.test({ provider: 'local', account_key: 'a', api_key: KEY }, noSample, never);
    expect(JSON.stringify(provider.requests[0]?.headers)).toContain('header-canary');
  });

  it('replaces a key only by one that the provider accepts', async () => {
    const { id } = await opened.credentials.create({ provider: 'local', account_key: 'a', api_key: KEY });
    expect(await codeOf(opened.credentials.rotate({ id, api_key: `${KEY}-wrong` }, never))).toBe('PROVIDER_REJECTED');
    expect(await env()).toBe(`LOCAL_API_KEY=${KEY}\n`);
    await opened.credentials.rotate({ id, api_key: `${KEY}-2` }, never);
    expect(await env()).toBe(`LOCAL_API_KEY=${KEY}-2\n`);
  });

  it('keeps the key where the provider cannot be asked', async () => {
    const { id } = await opened.credentials.create({ provider: 'local', account_key: 'a', api_key: KEY });
    provider.route('/v1/models', { kind: 'reset' });
    expect(await codeOf(opened.credentials.rotate({ id, api_key: `${KEY}-2` }, never))).toBe('PROVIDER_UNAVAILABLE');
    expect(await env()).toBe(`LOCAL_API_KEY=${KEY}\n`);
  });

  it("keeps the key where a network's own page answers in the provider's place", async () => {
    const { id } = await opened.credentials.create({ provider: 'local', account_key: 'a', api_key: KEY });
    provider.route('/v1/models', { kind: 'text', body: '<html>Welcome to the hotel</html>' });
    expect(await codeOf(opened.credentials.rotate({ id, api_key: `${KEY}-2` }, never))).toBe('PROVIDER_UNAVAILABLE');
    expect(await env()).toBe(`LOCAL_API_KEY=${KEY}\n`);
    expect(opened.checked).toEqual([]);
  });
});

function names(params: Parameters<ProviderCredentials['list']>[0]): string[] {
  return opened.credentials.list(params).map(({ provider: name, account_key: account }) => `${name}/${account}`);
}

describe('listing', () => {
  beforeEach(async () => {
    for (const [name, account] of [
      ['zeta', 'b'],
      ['local', 'b'],
      ['local', 'B'],
      ['local', 'a'],
    ] as const)
      await opened.credentials.create({ provider: name, account_key: account, active: account !== 'a' });
  });

  it('is ordered by provider, then account key, by code point', () => {
    expect(names({})).toEqual(['local/B', 'local/a', 'local/b', 'zeta/b']);
  });

  it('can be filtered and paged', () => {
    expect(names({ provider: 'local', active: true })).toEqual(['local/B', 'local/b']);
    const [first] = opened.credentials.list({ limit: 1 });
    expect(names({ after: first?.id, limit: 2 })).toEqual(['local/a', 'local/b']);
  });
});
