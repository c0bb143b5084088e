/**
 * Provider credentials over HTTP as the web app had them, and the matrix of rights with real users
 * and organizations.
 */

import { chmodSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startClientProgram } from '../support/client-program.ts';
import { completionOf, startLoopbackProvider } from '../support/loopback-provider.ts';
import { runProgram } from '../support/run-program.ts';
import { LOCAL_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';
import { until } from '../support/until.ts';

/** No part of it may stand in a time, an id or a hash by chance. */
const KEY = 'key-canary-QxZwVkJhGtYpMsLr';
const BASE = '/api/v1/provider-credentials';
const NOWHERE = '00000000-0000-4000-8000-000000000000';

interface Answer<Body> {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Body;
}

/** Everything that came back, to be searched for pieces of keys. */
const seen: string[] = [];

/** Sends one request to gateway.sock. */
function ask<Body = unknown>(
  running: TestDaemon,
  method: string,
  path: string,
  { body, headers = {} }: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Answer<Body>> {
  const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        socketPath: running.home.paths.gatewaySocket,
        method,
        path,
        headers: { host: 'aipassd', ...(text === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      },
      (response) => {
        let received = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (received += chunk));
        response.on('end', () => {
          seen.push(received);
          const document: Body = JSON.parse(received === '' ? 'null' : received);
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: document });
        });
      },
    );
    sent.on('error', reject).end(text);
  });
}

async function create(running: TestDaemon, fields: object): Promise<{ readonly id: string }> {
  const { status, body } = await ask<{ readonly id: string }>(running, 'POST', BASE, {
    body: { provider: 'local', ...fields },
  });
  expect(status).toBe(201);
  return body;
}

describe('the HTTP API of provider credentials', () => {
  let running: TestDaemon;
  beforeAll(async () => {
    running = await createTestDaemon();
  });
  afterAll(async () => {
    await running[Symbol.asyncDispose]();
  });

  it('lists what stands in .env as credentials, and creates, reads, changes and deletes', async () => {
    const before = await ask(running, 'GET', BASE);
    expect(before.status).toBe(200);
    expect(before.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(before.body).toMatchObject([
      { provider: 'local', account_key: 'default', has_api_key: true, api_key_last_four: LOCAL_KEY.slice(-4) },
      { provider: 'openrouter', account_key: 'default' },
    ]);

    const { id } = await create(running, { account_key: 'team', api_key: KEY });
    expect(readFileSync(running.home.paths.envFile, 'utf8')).toContain(`LOCAL_API_KEY_2=${KEY}\n`);
    const one = await ask(running, 'GET', `${BASE}/${id}`);
    expect(one.body).toMatchObject({ account_key: 'team', display_name: 'team', active: true, revision: 1 });

    const changed = await ask(running, 'PATCH', `${BASE}/${id}`, {
      body: { active: false },
      headers: { 'if-match': '"1"' },
    });
    expect(changed).toMatchObject({ status: 200, body: { active: false, revision: 2 } });
    const stale = await ask(running, 'PATCH', `${BASE}/${id}`, { body: {}, headers: { 'if-match': '"1"' } });
    expect(stale.status).toBe(412);
    const pool: { readonly keys: unknown }[] = JSON.parse((await running.cli(['pool', 'local', '--json'])).stdout);
    expect(pool[0]?.keys).toMatchObject([{ state: 'ready' }, { keyId: 'LOCAL_API_KEY_2', state: 'off' }]);

    expect((await ask(running, 'DELETE', `${BASE}/${id}`)).status).toBe(204);
    expect(readFileSync(running.home.paths.envFile, 'utf8')).not.toContain('LOCAL_API_KEY_2');
    expect(await ask(running, 'GET', `${BASE}/${id}`)).toMatchObject({ status: 404, body: { detail: 'Not Found' } });
  });

  it('answers in the words of the web app', async () => {
    await create(running, { account_key: 'words' });
    const duplicate = await ask(running, 'POST', BASE, { body: { provider: 'local', account_key: 'words' } });
    expect(duplicate).toMatchObject({
      status: 409,
      body: { detail: "A 'local' credential with account key 'words' already exists." },
    });
    const unsupported = await ask<{ readonly detail: string }>(running, 'POST', BASE, {
      body: { provider: 'nope', account_key: 'a' },
    });
    expect(unsupported.status).toBe(422);
    expect(unsupported.body.detail).toMatch(/^Unsupported provider 'nope'\. Supported: \['/);
  });

  it.each([
    ['POST', BASE, { account_key: 'a', api_key: KEY }, 422, ['body', 'provider']],
    ['POST', BASE, { provider: 'local', account_key: 7, api_key: KEY }, 422, ['body', 'account_key']],
    ['POST', BASE, { provider: 'local', account_key: 'a', api_key: 'short' }, 422, ['body', 'api_key']],
    ['POST', BASE, `{"api_key": "${KEY}"`, 422, ['body']],
    ['GET', `${BASE}/not-a-uuid`, undefined, 422, ['path', 'id']],
  ])('%s %s with wrong input is 422, and says where without quoting it', async (method, path, body, status, loc) => {
    const answer = await ask<{ readonly detail: readonly { readonly loc: unknown }[] }>(running, method, path, {
      body,
    });
    expect(answer.status).toBe(status);
    expect(answer.body.detail.map((problem) => problem.loc)).toContainEqual(loc);
  });

  it.each(['[]', 'null', '"text"', ''])('a change needs an object (got %s)', async (body) => {
    const { id } = await create(running, { account_key: `object ${body}` });
    const headers = { 'content-type': 'application/json' };
    const answer = await ask(running, 'PATCH', `${BASE}/${id}`, { body, headers });
    expect(answer).toMatchObject({ status: 422, body: { detail: [{ loc: ['body'], type: 'json_invalid' }] } });
    expect(await ask(running, 'GET', `${BASE}/${id}`)).toMatchObject({ headers: { etag: '"1"' } });
  });

  it.each([
    ['?active=maybe', 'active'],
    ['?limit=0x2', 'limit'],
    ['?limit=1e1', 'limit'],
    ['?limit=0', 'limit'],
    ['?limit=10001', 'limit'],
    ['?provider=', 'provider'],
  ])('%s is 422, and says which part of the query is wrong', async (query, name) => {
    const answer = await ask(running, 'GET', `${BASE}${query}`);
    expect(answer).toMatchObject({ status: 422, body: { detail: [{ loc: ['query', name] }] } });
  });

  it.each([
    ['True', 200],
    ['yes', 200],
    ['0', 0],
    ['False', 0],
  ])('reads the flag %s as FastAPI does', async (flag, some) => {
    const { body } = await ask<readonly unknown[]>(running, 'GET', `${BASE}?provider=local&active=${flag}`);
    expect(body.length > 0).toBe(some > 0);
  });

  it('If-Match holds for DELETE and a rotation too, and may be a list', async () => {
    const { id } = await create(running, { account_key: 'matched', api_key: `${KEY}-matched` });
    const path = `${BASE}/${id}`;
    const stale = { headers: { 'if-match': '"2"' } };
    expect((await ask(running, 'DELETE', path, stale)).status).toBe(412);
    const body = { api_key: `${KEY}-rotated` };
    expect((await ask(running, 'POST', `${path}/rotate`, { body, ...stale })).status).toBe(412);
    expect(await ask(running, 'GET', path)).toMatchObject({ status: 200, headers: { etag: '"1"' } });
    const either = { headers: { 'if-match': '"1", "2"' } };
    expect((await ask(running, 'PATCH', path, { body: {}, ...either })).status).toBe(200);
    expect((await ask(running, 'DELETE', path, either)).status).toBe(204);
  });

  it.each(['"0"', 'abc', '"2", "3"', ''])('If-Match: %s matches no revision', async (tag) => {
    const { id } = await create(running, { account_key: `tag ${tag}` });
    const answer = await ask(running, 'PATCH', `${BASE}/${id}`, { body: {}, headers: { 'if-match': tag } });
    expect(answer.status).toBe(412);
  });

  it('refuses what cannot change, other types, long bodies and other methods', async () => {
    const { id } = await create(running, { account_key: 'fixed' });
    expect((await ask(running, 'PATCH', `${BASE}/${id}`, { body: { provider: 'other' } })).status).toBe(422);
    const text = { body: 'provider=local', headers: { 'content-type': 'text/plain' } };
    expect((await ask(running, 'POST', BASE, text)).status).toBe(415);
    const long = { provider: 'local', account_key: 'x'.repeat(70_000) };
    expect((await ask(running, 'POST', BASE, { body: long })).status).toBe(413);
    const put = await ask(running, 'PUT', BASE, { body: {} });
    expect([put.status, put.headers['allow']]).toEqual([405, 'GET, HEAD, POST']);
    expect((await ask(running, 'HEAD', BASE)).status).toBe(200);
  });

  it('tests a key that is not saved: a bad one is an answer, not an error', async () => {
    running.provider.route('/v1/models', { kind: 'json', body: { data: [{ id: 'm' }] } });
    running.provider.acceptKeys([LOCAL_KEY]);
    const params = { provider: 'local', account_key: 'x', api_key: KEY };
    const bad = await ask(running, 'POST', `${BASE}/test`, { body: params });
    expect(bad).toMatchObject({ status: 200, body: { reachable: false, error: 'the key is not accepted (401)' } });
    const [first] = (await ask<readonly { readonly id: string }[]>(running, 'GET', BASE)).body;
    const usage = await ask(running, 'GET', `${BASE}/${first?.id ?? ''}/usage?refresh=true`);
    expect(usage).toMatchObject({ status: 200, body: { reachable: true, models: ['m'], tokens: null } });
    const again = await ask(running, 'GET', `${BASE}/${first?.id ?? ''}/usage?refresh=true`);
    expect([again.status, again.headers['retry-after']]).toEqual([429, '5']);
  });

  it('is described by the OpenAPI document', async () => {
    const { body } = await ask<{ readonly paths: Readonly<Record<string, object>> }>(
      running,
      'GET',
      '/api/v1/openapi.json',
    );
    const { paths } = body;
    expect(Object.keys(paths[`/provider-credentials/{id}`] ?? {}).toSorted()).toEqual(['delete', 'get', 'patch']);
  });

  it('shows no five characters of a key that follow each other, in any answer, log or audit entry', async () => {
    const { paths } = running.home;
    await running.daemon.stop();
    const texts = [...seen, readFileSync(paths.log, 'utf8'), readFileSync(paths.audit, 'utf8')];
    expect(texts.length).toBeGreaterThan(10);
    for (let at = 0; at + 5 <= KEY.length; at += 1) {
      expect(texts.filter((text) => text.includes(KEY.slice(at, at + 5)))).toEqual([]);
    }
  });
});

/** Users that no machine has: the configuration names them by number. */
const USERS = { ANN: 54_101, BOB: 54_102, EVE: 54_103, LOOKER: 54_104, DAN: 54_105 } as const;

describe.runIf(process.getuid?.() === 0)('organizations', () => {
  let running: TestDaemon;
  let acmeId: string;
  let ownId: string;

  beforeAll(async () => {
    running = await createTestDaemon({
      access: { use: { users: [USERS.LOOKER] } },
      organizations: { acme: { members: { users: [USERS.BOB] }, admins: { users: [USERS.ANN] } } },
    });
    for (const folder of [running.home.path, dirname(running.home.paths.socket)]) chmodSync(folder, 0o711);
    const acme = { headers: { 'x-organization': 'acme' }, body: { provider: 'local', account_key: 'a', api_key: KEY } };
    acmeId = (await ask<{ readonly id: string }>(running, 'POST', BASE, acme)).body.id;
    ownId = (await ask<readonly { readonly id: string }[]>(running, 'GET', BASE)).body[0]?.id ?? '';
  });
  afterAll(() => running[Symbol.asyncDispose]());

  /** Asks as another user and returns the status. */
  async function statusAs(uid: number, method: string, path: string, organization?: string): Promise<number> {
    const { stdout, stderr } = await runProgram(process.execPath, [
      '--input-type=module',
      '--eval',
      `import { request } from 'node:http';
      process.setgroups([]); process.setgid(${uid}); process.setuid(${uid});
      const headers = { host: 'aipassd', 'content-type': 'application/json', ...${JSON.stringify(organization === undefined ? {} : { 'x-organization': organization })} };
      request({ socketPath: ${JSON.stringify(running.home.paths.gatewaySocket)}, method: '${method}', path: '${path}', headers },
        (response) => { console.log(response.statusCode); response.resume(); }).on('error', (error) => console.log(error.code)).end(${JSON.stringify(method === 'GET' || method === 'DELETE' ? '' : '{}')});`,
    ]);
    expect(stderr).toBe('');
    return Number(stdout);
  }

  it('keep their keys in a file of their own', () => {
    const path = `${running.home.paths.secrets}/organizations/acme/.env`;
    expect(readFileSync(path, 'utf8')).toBe(`LOCAL_API_KEY=${KEY}\n`);
  });

  it('serve their pool to members, and record the use under their name', async () => {
    const aipass = await running.connect('owner');
    const chat = { model: 'm', messages: [{ role: 'user', content: 'x' }] } as const;
    await aipass.complete({ ...chat, organization: 'acme' });
    expect(running.provider.requests.at(-1)?.key).toBe(KEY);
    await aipass.complete(chat);
    expect(running.provider.requests.at(-1)?.key).toBe(LOCAL_KEY);
    const { groups } = await aipass.stats({ by: 'organization' });
    expect(new Set(groups.map(({ name }) => name))).toEqual(new Set(['acme', 'default']));
  });

  it.each([
    // An admin of acme: everything there, whatever it names; nothing elsewhere.
    ['ANN', 'GET', BASE, undefined, 200],
    ['ANN', 'GET', `${BASE}/ACME`, undefined, 200],
    ['ANN', 'GET', `${BASE}/OWN`, undefined, 404],
    ['ANN', 'GET', `${BASE}/${NOWHERE}`, undefined, 404],
    ['ANN', 'PATCH', `${BASE}/ACME`, 'acme', 200],
    ['ANN', 'POST', BASE, undefined, 422],
    ['ANN', 'DELETE', `${BASE}/OWN`, undefined, 404],
    ['ANN', 'GET', BASE, 'default', 404],
    // A member: reads, and is told so before anything is looked up.
    ['BOB', 'GET', `${BASE}/ACME`, undefined, 200],
    ['BOB', 'PATCH', `${BASE}/${NOWHERE}`, undefined, 403],
    ['BOB', 'POST', BASE, undefined, 403],
    ['BOB', 'POST', `${BASE}/test`, undefined, 403],
    ['BOB', 'DELETE', `${BASE}/ACME`, undefined, 403],
    // Somebody with rights on the daemon's own keys: acme does not exist for him.
    ['LOOKER', 'GET', BASE, undefined, 200],
    ['LOOKER', 'GET', `${BASE}/ACME`, undefined, 404],
    ['LOOKER', 'GET', BASE, 'acme', 404],
    ['LOOKER', 'GET', BASE, 'nowhere', 404],
    ['LOOKER', 'DELETE', `${BASE}/OWN`, undefined, 403],
    // Nobody at all.
    ['EVE', 'GET', BASE, undefined, 403],
    ['EVE', 'POST', BASE, 'acme', 403],
  ] as const)('%s, %s: as the matrix has it', async (who, method, path, organization, status) => {
    const known = path.replace('ACME', acmeId).replace('OWN', ownId);
    expect(await statusAs(USERS[who], method, known, organization)).toBe(status);
  });
});

/**
 * One for each organization: its member, one who belongs to both, and somebody who belongs to none
 * but may see the daemon's own keys.
 */
describe.runIf(process.getuid?.() === 0)('what was used, with which keys and by whom', () => {
  let running: TestDaemon;
  const chat = { model: 'm', messages: [{ role: 'user', content: 'x' }] } as const;

  beforeAll(async () => {
    running = await createTestDaemon({
      access: { use: { users: [USERS.LOOKER] } },
      organizations: {
        acme: { members: { users: [USERS.BOB, USERS.DAN, 'nobody-of-that-name'] }, admins: { users: [USERS.ANN] } },
        zenith: { members: { users: [USERS.EVE, USERS.DAN] }, admins: { users: [] } },
      },
    });
    for (const folder of [running.home.path, dirname(running.home.paths.socket)]) chmodSync(folder, 0o711);
    const aipass = await running.connect('owner');
    for (const organization of ['acme', 'zenith']) {
      await aipass.credentials.create({
        organization,
        provider: 'local',
        account_key: 'a',
        api_key: `${KEY}-${organization}`,
      });
      const other = await running.connect(`${organization}-caller`);
      await other.complete({ ...chat, organization });
    }
    const own = await running.connect('default-caller');
    await own.complete(chat);
    await own.complete(chat);
  });
  afterAll(() => running[Symbol.asyncDispose]());

  /** Asks as another user over aipassd.sock; returns each result, or the code of the error. */
  async function askAs(uid: number, requests: readonly (readonly [string, object])[]): Promise<unknown[]> {
    const { stdout, stderr } = await runProgram(process.execPath, [
      '--input-type=module',
      '--eval',
      `import { connect } from ${JSON.stringify(new URL('../../dist/client/index.js', import.meta.url).href)};
      process.setgroups([]); process.setgid(${uid}); process.setuid(${uid});
      const aipass = await connect({ socket: ${JSON.stringify(running.home.paths.socket)} });
      const answers = [];
      for (const [operation, params] of ${JSON.stringify(requests)}) {
        const chunks = [];
        await aipass.request(operation, params, { onChunk: (chunk) => chunks.push(chunk) })
          .then((result) => answers.push(chunks.length > 0 ? chunks.join('') : result), (error) => answers.push(error.code));
      }
      console.log(JSON.stringify(answers));
      await aipass.close();`,
    ]);
    expect(stderr).toBe('');
    const answers: unknown[] = JSON.parse(stdout);
    return answers;
  }

  it.each([
    ['a member of acme', USERS.BOB, 'acme', 1],
    ['an admin of acme', USERS.ANN, 'acme', 1],
    ['a member of zenith', USERS.EVE, 'zenith', 1],
    ["somebody who may see the daemon's own keys", USERS.LOOKER, 'default', 2],
  ])('is shown to %s for that organization alone', async (_, uid, slug, requests) => {
    const caller = `${slug}-caller`;
    const answers = await askAs(uid, [
      ['organization.list', {}],
      ['usage.stats', {}],
      ['usage.stats', { by: 'organization' }],
      ['usage.stats', { by: 'caller', organization: slug }],
      ['usage.stats', { by: 'hour' }],
      ['usage.stats', { by: 'session' }],
      ['usage.session', {}],
      ['usage.events', {}],
      ['usage.recent', { seconds: 3600 }],
      ['usage.export', { format: 'jsonl' }],
      ['key.list', {}],
      ['pool.list', {}],
      ['pool.explain', { provider: 'local' }],
      ['provider.list', {}],
    ]);
    expect(answers.filter((answer) => typeof answer === 'string' && answer.length < 30)).toEqual([]);
    const total = { total: { requests } };
    expect(answers).toMatchObject([
      { organizations: [{ slug }] },
      total,
      { ...total, groups: [{ name: slug }] },
      { groups: [{ name: caller }] },
      { groups: [{ figures: { requests } }] },
      { groups: [{ figures: { requests } }] },
      { session: { figures: { requests } } },
      { events: Array.from({ length: requests }, () => ({ caller, organization: slug })) },
      { total: requests, byKey: expect.arrayContaining([{ keyId: 'LOCAL_API_KEY', requests }]) },
      expect.stringContaining(caller),
      { keys: expect.any(Array) },
      { pools: expect.any(Array) },
      { provider: 'local' },
      { providers: expect.any(Array) },
    ]);
    const others = ['acme', 'zenith', 'default-caller'].filter((word) => !caller.startsWith(word));
    for (const word of others) expect(JSON.stringify(answers)).not.toContain(word);
  });

  it.each([
    ['usage.stats', {}],
    ['usage.session', {}],
    ['usage.events', {}],
    ['usage.recent', { seconds: 60 }],
    ['usage.export', { format: 'csv' }],
    ['usage.track', { generationId: 'gen-1' }],
    ['key.list', {}],
    ['pool.list', {}],
    ['pool.explain', {}],
    ['pool.check', {}],
    ['provider.list', {}],
    ['provider.validate', {}],
    ['provider.models', {}],
    ['event.subscribe', {}],
    ['credential.list', {}],
    ['completion.create', chat],
  ])('%s for an organization of others is what it is for an absent one', async (operation, params) => {
    const foreign = await askAs(
      USERS.BOB,
      ['zenith', 'default', 'absent'].map((organization) => [operation, { ...params, organization }]),
    );
    expect(foreign).toEqual(['NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND']);
  });

  it('names no organization of others in the status, the warnings and the metrics', async () => {
    const [status] = await askAs(USERS.LOOKER, [['status.get', {}]]);
    expect(status).toMatchObject({ pools: expect.any(Array) });
    expect(JSON.stringify(status)).not.toMatch(/acme|zenith/);
    const owner = await running.connect('owner');
    expect(JSON.stringify((await owner.status()).warnings)).toContain('acme');
    expect((await owner.stats({ by: 'organization' })).groups.map(({ name }) => name)).toEqual([
      'default',
      'acme',
      'zenith',
    ]);
    expect((await owner.stats()).total.requests).toBe(2);
    expect((await owner.stats({ organization: 'zenith' })).total.requests).toBe(1);
  });

  it('is shown to a member of several organizations by organization, for all of its own', async () => {
    const answers = await askAs(USERS.DAN, [
      ['usage.stats', { by: 'organization' }],
      ['usage.stats', { by: 'organization', organization: 'zenith' }],
      ['usage.stats', { by: 'organization', organization: 'default' }],
      ['usage.stats', { by: 'caller' }],
    ]);
    expect(answers).toMatchObject([
      { total: { requests: 2 }, groups: [{ name: 'acme' }, { name: 'zenith' }] },
      { total: { requests: 1 }, groups: [{ name: 'zenith' }] },
      'NOT_FOUND',
      'FORBIDDEN',
    ]);
  });

  it.each([
    ['a member', USERS.BOB, ['acme'], false],
    ['a member of several', USERS.DAN, ['acme', 'zenith'], false],
    ["somebody who may see the daemon's own keys", USERS.LOOKER, [undefined], true],
  ])('is in the metrics of %s, those of the daemon for its own people only', async (_, uid, slugs, ofDaemon) => {
    const { stdout, stderr } = await runProgram(process.execPath, [
      '--input-type=module',
      '--eval',
      `import { request } from 'node:http';
      process.setgroups([]); process.setgid(${uid}); process.setuid(${uid});
      request({ socketPath: ${JSON.stringify(running.home.paths.gatewaySocket)}, path: '/metrics', headers: { host: 'aipassd' } },
        (response) => { console.log(response.statusCode); response.pipe(process.stdout); }).end();`,
    ]);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^200\n/);
    const counts = stdout.split('\n').filter((line) => line.startsWith('aipassd_requests_total'));
    expect(counts.map((line) => /organization="([^"]*)"/.exec(line)?.[1])).toEqual(slugs);
    const others = stdout
      .split('\n')
      .filter((line) => !line.startsWith('#') && /^(?:aipassd_connections|process_)/.test(line));
    expect(others.length > 0).toBe(ofDaemon);
  });

  it('is on record under the organization', async () => {
    const created = readFileSync(running.home.paths.audit, 'utf8')
      .trim()
      .split('\n')
      .map((line): { readonly operation?: string; readonly organization?: string } => JSON.parse(line))
      .filter(({ operation }) => operation === 'credential.create');
    expect(created.map(({ organization }) => organization)).toEqual(['acme', 'zenith']);
    const { stdout } = await running.cli(['stats', '--organization', 'acme', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ total: { requests: 1 } });
    const pools: unknown = JSON.parse((await running.cli(['pool', '--organization', 'zenith', '--json'])).stdout);
    expect(pools).toMatchObject([{ provider: 'local', keys: [{ keyId: 'LOCAL_API_KEY' }] }]);
  });

  it('is told to a member by the events of its organization, until it is a member no more', async () => {
    await using follower = startClientProgram(
      running.home.paths.socket,
      `
        process.setgroups([]); process.setgid(${USERS.DAN}); process.setuid(${USERS.DAN});
        const aipass = await connect({ socket, caller: 'follower' });
        for (const organization of ['acme', 'zenith']) await aipass.request('event.subscribe', { organization });
        aipass.on('secrets-changed', ({ names }) => console.log(names.join()));
        console.log('listening');
      `,
    );
    await until('it listens', () => follower.stdout.includes('listening'));
    const aipass = await running.connect('owner');
    const add = (organization: string, account_key: string) =>
      aipass.credentials.create({ organization, provider: 'local', account_key, api_key: `${KEY}-${account_key}` });
    await add('acme', 'second');
    await until('it is told', () => follower.stdout.includes('LOCAL_API_KEY_2'));

    const before = running.daemon.stdout.split('the configuration was reloaded').length;
    const config = JSON.parse(readFileSync(running.home.paths.config, 'utf8'));
    const { acme, zenith } = config.organizations;
    const without = { ...acme, members: { users: [USERS.BOB] } };
    await running.home.writeConfig({ ...config, organizations: { acme: without, zenith } });
    await until('it is reloaded', () => running.daemon.stdout.split('the configuration was reloaded').length > before);
    await add('acme', 'third');
    await add('zenith', 'second');
    await until('it is told of the other', () => follower.stdout.split('LOCAL_API_KEY_2').length > 2);
    expect(follower.stdout).not.toContain('LOCAL_API_KEY_3');
  });
});

it('a key with an address of its own goes there for completions too, without the headers of the configuration', async () => {
  await using running = await createTestDaemon({ local: { headers: { 'x-gateway-secret': 'header-canary' } } });
  await using other = await startLoopbackProvider({ reply: completionOf('from elsewhere') });
  const aipass = await running.connect();
  const { credentials } = await aipass.request('credential.list', { provider: 'local' });
  await aipass.request('credential.update', { id: credentials[0]?.id ?? '', base_url: other.baseUrl, api_key: KEY });
  const { content } = await aipass.complete({ model: 'm', messages: [{ role: 'user', content: 'x' }] });
  expect(content).toBe('from elsewhere');
  expect([running.provider.requests.length, other.requests[0]?.key]).toEqual([0, KEY]);
  expect(JSON.stringify(other.requests[0]?.headers)).not.toContain('header-canary');
});
