import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { request as sendRequest, type OutgoingHttpHeaders } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { completionOf, eventsOf, refusalOf, startLoopbackProvider } from '../support/loopback-provider.ts';
import { portOf } from '../support/port-of.ts';
import { CLI_PATH } from '../support/run-cli.ts';
import { Program, runProgram } from '../support/run-program.ts';
import { until } from '../support/until.ts';
import { LOCAL_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

let running: TestDaemon;
beforeEach(async () => {
  running = await createTestDaemon();
});
afterEach(() => running[Symbol.asyncDispose]());

/** Sends a request over gateway.sock, or to a port of loopback. */
function ask(
  path: string,
  {
    port,
    headers = {},
    body,
    method = body === undefined ? 'GET' : 'POST',
  }: { port?: number; headers?: OutgoingHttpHeaders; body?: string; method?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const to = port === undefined ? { socketPath: running.home.paths.gatewaySocket } : { host: '127.0.0.1', port };
    const request = sendRequest({ ...to, path, method, headers, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Starts `aipassd exec` with a Node program. */
function startExec(code: string, options: readonly string[] = [], env: Record<string, string> = {}): Program {
  const words = ['exec', ...options, '--', process.execPath, '-e', code];
  return new Program(process.execPath, [CLI_PATH, ...words], { env: { ...running.home.env, ...env } });
}

/** Returns a port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const port = portOf(server);
      server.close(() => resolve(port));
    });
  });
}

function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

const CHAT = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x' }] });
const JSON_TYPE = { 'content-type': 'application/json' };
/** Prints the base URL, the token and its process id, and runs on. */
const REPORT =
  'console.log(process.env.OPENAI_BASE_URL, process.env.OPENAI_API_KEY, process.pid); setInterval(() => {}, 1e6);';

describe('the gateway of a running daemon', () => {
  it("passes a client's bytes with the pool's key, and the provider's answer as it is", async () => {
    running.provider.answerWith(
      completionOf('hello', { service_tier: 'flex', usage: { prompt_tokens: 11, completion_tokens: 5 } }),
    );
    const body = '{"model":"m",  "messages":[], "n": 2, "unknown":{"a":[1,2]}}';
    const headers = {
      ...JSON_TYPE,
      authorization: 'Bearer client',
      'x-api-key': 'client',
      'x-beta': 'b',
      'user-agent': 'prog/1',
    };
    const answer = await ask('/local/v1/chat/completions', { body, headers });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ service_tier: 'flex' });
    const [seen] = running.provider.requests;
    expect(seen?.text).toBe(body);
    expect(seen?.headers).toMatchObject({ authorization: `Bearer ${LOCAL_KEY}`, 'x-beta': 'b' });
    expect(JSON.stringify(seen?.headers)).not.toContain('client');
    const aipass = await running.connect();
    expect(await aipass.stats({ by: 'caller' })).toMatchObject({
      groups: [{ name: 'prog', figures: { requests: 1, tokens: { prompt: 11, completion: 5 } } }],
    });
  });

  it.each([
    ['401', 401, {}],
    ['402', 402, {}],
    ['429 with a long wait', 429, { 'retry-after': '3600' }],
  ])('a %s at a path that its caller chose takes no key from others', async (_name, status, headers) => {
    await running.home.writeKeys({ LOCAL_API_KEY: LOCAL_KEY, LOCAL_API_KEY_2: `${LOCAL_KEY}-2` });
    const aipass = await running.connect();
    await until('both keys are there', async () => (await aipass.pools('local'))[0]?.keys.length === 2);
    running.provider.answerWith(refusalOf(status, 'not with this key', headers));
    for (const path of ['/local/v1/admin/keys', '/local/v1/admin/chat/completions', '/local/v1/files']) {
      expect((await ask(path, { body: CHAT, headers: JSON_TYPE })).status).toBeGreaterThanOrEqual(400);
    }
    running.provider.answerWith(completionOf('hello'));
    expect((await ask('/local/v1/chat/completions', { body: CHAT, headers: JSON_TYPE })).status).toBe(200);
    expect((await aipass.pools('local'))[0]?.keys).toMatchObject([{ state: 'ready' }, { state: 'ready' }]);
  });

  it('a refused key is not seen by the client', async () => {
    await running.home.writeKeys({ LOCAL_API_KEY: LOCAL_KEY, LOCAL_API_KEY_2: `${LOCAL_KEY}-2` });
    const aipass = await running.connect();
    await until('both keys are there', async () => (await aipass.pools('local'))[0]?.keys.length === 2);
    running.provider.queue(refusalOf(429, 'slow down', { 'retry-after': '30' }), {
      kind: 'events',
      events: eventsOf(['hi']),
    });
    const answer = await ask('/v1/chat/completions', {
      body: JSON.stringify({ model: 'm', stream: true, messages: [] }),
      headers: JSON_TYPE,
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toContain('"hi"');
    expect(running.provider.requests).toHaveLength(2);
    // The usage that was asked for on the client's behalf is taken out again.
    expect(answer.body).not.toContain('usage');
  });

  it('another provider of the dialect answers where the first one fails, if the token may call it', async () => {
    const spare = await startLoopbackProvider();
    try {
      spare.answerWith(completionOf('from the spare one'));
      running.provider.answerWith(refusalOf(429, 'slow down', { 'retry-after': '30' }));
      const config: { providers: object } = JSON.parse(readFileSync(running.home.paths.config, 'utf8'));
      await running.home.writeConfig({
        ...config,
        providers: { ...config.providers, spare: { baseUrl: spare.baseUrl, needsKey: false } },
        fallbacks: [{ provider: 'spare', model: 'other' }],
      });
      await running.daemon.stop();
      running.daemon = await DaemonProcess.start(running.home);
      const answer = await ask('/local/v1/chat/completions', { body: CHAT, headers: JSON_TYPE });
      expect(answer).toMatchObject({ status: 200, body: expect.stringContaining('from the spare one') });
      expect(spare.requests.map(({ text }): unknown => JSON.parse(text))).toMatchObject([{ model: 'other' }]);
      const aipass = await running.connect();
      const { port, token } = await aipass.request('gateway.open', { program: 'p', providers: ['local'] });
      const headers = { ...JSON_TYPE, authorization: `Bearer ${token}` };
      expect((await ask('/local/v1/chat/completions', { port, body: CHAT, headers })).status).toBe(429);
      expect(spare.requests).toHaveLength(1);
    } finally {
      await spare.close();
    }
  });

  it('an exhausted pool is a 429 that no SDK repeats', async () => {
    running.provider.answerWith(refusalOf(429, 'slow down', { 'retry-after': '30' }));
    const answer = await ask('/local/v1/chat/completions', { body: CHAT, headers: JSON_TYPE });
    expect(answer).toMatchObject({ status: 429, headers: { 'x-should-retry': 'false' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('a provider that redirects or answers with a web page is not passed on', async () => {
    running.provider.answerWith({ kind: 'text', status: 302, body: '', headers: { location: 'http://127.0.0.1:1/' } });
    expect((await ask('/local/v1/chat/completions', { body: CHAT, headers: JSON_TYPE })).status).toBeGreaterThanOrEqual(
      500,
    );
    const page = { kind: 'text', body: '<html>', headers: { 'content-type': 'text/html' } } as const;
    running.provider.answerWith(page);
    expect((await ask('/local/v1/chat/completions', { body: CHAT, headers: JSON_TYPE })).status).toBeGreaterThanOrEqual(
      500,
    );
    running.provider.answerWith({ ...page, status: 502 });
    const answer = await ask('/local/v1/chat/completions', { body: CHAT, headers: JSON_TYPE });
    expect([answer.status, answer.headers['content-type']]).toEqual([502, 'application/json']);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { message: expect.stringContaining('502') } });
  });

  it('health, metrics and the management API are beside it', async () => {
    await ask('/local/v1/chat/completions', { body: CHAT, headers: JSON_TYPE });
    expect((await ask('/healthz')).status).toBe(200);
    const metrics = await ask('/metrics');
    expect(metrics.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(metrics.body).toMatch(
      /aipassd_requests_total\{[^}]*gen_ai_provider_name="local"[^}]*status="success"\} 1\n/,
    );
    const status = await ask('/api/v1/status');
    expect(JSON.parse(status.body)).toMatchObject({ pid: running.daemon.pid, defaultProvider: 'local' });
    const head = await ask('/api/v1/openapi.json', { method: 'HEAD' });
    const { headers, body: text } = await ask('/api/v1/openapi.json');
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': headers['content-length'] }, body: '' });
    const document: unknown = JSON.parse(text);
    expect(document).toMatchObject({ openapi: '3.1.0', paths: { '/status': { get: {} } } });
    expect(await ask('/api/v1/nothing')).toMatchObject({ status: 404, body: expect.stringContaining('"NOT_FOUND"') });
  });

  it('a method that a path does not have is a 405 that lists what may be asked', async () => {
    for (const [method, path, allow] of [
      ['POST', '/api/v1/status', 'GET, HEAD'],
      ['DELETE', '/api/v1/openapi.json', 'GET, HEAD'],
      ['GET', '/api/v1/oauth/google/token', 'POST'],
      ['HEAD', '/api/v1/oauth/google/token', 'POST'],
      ['PUT', '/api/v1/oauth/google/subject', 'GET, HEAD'],
      ['PUT', '/api/v1/provider-credentials', 'GET, HEAD, POST'],
      ['POST', '/metrics', 'GET, HEAD'],
    ] as const) {
      const { status, headers, body } = await ask(path, { method });
      expect([method, path, status, headers['allow']]).toEqual([method, path, 405, allow]);
      expect(headers['content-type']).toBe('application/json');
      if (method === 'HEAD' || !path.startsWith('/api/')) continue;
      expect(JSON.parse(body)).toMatchObject({ detail: expect.any(String), request_id: headers['x-request-id'] });
    }
  });

  it('a GET of the management API that comes with a body is answered', async () => {
    const headers = { ...JSON_TYPE, 'content-length': '2' };
    expect((await ask('/api/v1/status', { method: 'GET', body: '{}', headers })).status).toBe(200);
  });

  it('a lost socket is made anew', async () => {
    const { rmSync } = await import('node:fs');
    rmSync(running.home.paths.gatewaySocket);
    await until('it answers again', () =>
      ask('/healthz').then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
  });
});

describe('a configured port', () => {
  it('that another program has leaves the daemon running with a warning, and is opened once it is free', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const port = portOf(other);
    const config: object = JSON.parse(readFileSync(running.home.paths.config, 'utf8'));
    await running.home.writeConfig({ ...config, gateway: { port } });
    await running.daemon.stop();
    running.daemon = await DaemonProcess.start(running.home);

    const aipass = await running.connect();
    const warned = async (): Promise<boolean> =>
      (await aipass.status()).warnings.some(({ subject }) => subject === 'gateway.port');
    expect(await warned()).toBe(true);
    expect(await aipass.key('local')).toBe(LOCAL_KEY);
    const refused = await running.cli(['exec', '--', process.execPath, '-e', '']);
    expect(refused.stderr).toContain('CONFLICT');

    other.close();
    const open = async (): Promise<boolean> => (await ask('/healthz', { port })).status > 0;
    await until('the port is open', () => open().catch(() => false));
    expect(await warned()).toBe(false);
    const stopped = await running.daemon.stop();
    expect(stopped.stderr).toBe('');
    await expect(open()).rejects.toThrow('ECONNREFUSED');
    running.daemon = await DaemonProcess.start(running.home);
  });
});

describe('tokens of named callers', () => {
  it('come with a warning where no listener takes them', async () => {
    const { code, stderr } = await running.cli(['gateway-token', 'early']);
    expect(code).toBe(0);
    expect(stderr).toContain('gateway.port');
    const { stdout } = await running.cli(['gateway-token', 'other', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'other', port: null, replaced: false });
  });

  it('serve from their user through a restart, until they are removed, and are stored as hashes', async () => {
    const port = await freePort();
    const config: object = JSON.parse(readFileSync(running.home.paths.config, 'utf8'));
    await running.home.writeConfig({ ...config, gateway: { port } });
    await running.daemon.stop();
    running.daemon = await DaemonProcess.start(running.home);
    expect((await running.cli(['gateway-token'])).stdout).toContain('aipassd gateway-token <name>');
    const { stdout, code } = await running.cli(['gateway-token', 'scraper', '--see']);
    expect(code).toBe(0);
    const headers = { authorization: `Bearer ${stdout.trim()}`, ...JSON_TYPE };
    expect((await ask('/metrics', { port, headers })).status).toBe(200);
    expect((await ask('/local/v1/chat/completions', { port, headers, body: CHAT })).status).toBe(200);
    await running.daemon.stop();
    expect(readFileSync(join(running.home.paths.state, 'state.json'), 'utf8')).not.toContain(stdout.trim());
    running.daemon = await DaemonProcess.start(running.home);
    expect((await ask('/metrics', { port, headers })).status).toBe(200);
    const aipass = await running.connect();
    expect(await aipass.stats({ by: 'caller' })).toMatchObject({ groups: [{ name: 'scraper' }] });
    const listed: unknown = JSON.parse((await running.cli(['gateway-token', '--json'])).stdout);
    expect(listed).toMatchObject([{ name: 'scraper', uid: process.getuid?.(), rights: ['see', 'use'] }]);
    expect((await running.cli(['gateway-token', 'scraper', '--remove'])).code).toBe(0);
    expect((await ask('/metrics', { port, headers })).status).toBe(401);
    expect((await running.cli(['gateway-token', 'scraper', '--remove'])).code).toBe(2);
    const audit = readFileSync(running.home.paths.audit, 'utf8');
    expect(audit.split('"gateway.token.remove"')).toHaveLength(2);
  });

  it('give no more than they were made for', async () => {
    const port = await freePort();
    const config: object = JSON.parse(readFileSync(running.home.paths.config, 'utf8'));
    await running.home.writeConfig({ ...config, gateway: { port } });
    await running.daemon.stop();
    running.daemon = await DaemonProcess.start(running.home);
    const plain = (await running.cli(['gateway-token', 'plain'])).stdout.trim();
    const foreign = (await running.cli(['gateway-token', 'foreign', '--uid', '54321'])).stdout.trim();
    const status = async (token: string) =>
      (await ask('/metrics', { port, headers: { authorization: `Bearer ${token}` } })).status;
    expect(await status(plain)).toBe(403);
    expect(await status(foreign)).toBe(403);
    // One that may change credentials may do so, and is still given no value.
    const admin = (await running.cli(['gateway-token', 'changer', '--admin'])).stdout.trim();
    const headers = { authorization: `Bearer ${admin}`, ...JSON_TYPE };
    const body = JSON.stringify({ provider: 'local', account_key: 'made over loopback' });
    expect((await ask('/api/v1/provider-credentials', { port, headers, body })).status).toBe(201);
    expect((await ask('/api/v1/oauth/google/token', { port, headers, body: '{}' })).status).toBe(403);
    // A second token of a name ends the first, which both sides report.
    const again = await running.cli(['gateway-token', 'plain']);
    expect(again.stderr).toContain('replaced');
    const ended = await ask('/metrics', { port, headers: { authorization: `Bearer ${plain}` } });
    expect(ended.status).toBe(401);
    expect(ended.body).toContain('aipassd gateway-token');
    const reader = (await running.cli(['gateway-token', 'reader', '--see'])).stdout.trim();
    const reading = { authorization: `Bearer ${reader}`, ...JSON_TYPE };
    expect((await ask('/api/v1/provider-credentials', { port, headers: reading, body })).status).toBe(403);
  });
});

describe('aipassd exec', () => {
  it('names the command that adds a key where the chosen provider has none', async () => {
    const { code, stderr } = await running.cli(['exec', '--provider', 'anthropic', '--print', '--', 'program']);
    expect(code).toBe(2);
    expect(stderr).toContain('aipassd add anthropic');
  });

  it('runs a program whose SDK sends by aipass.fetch to the address from its environment', async () => {
    const client = new URL('../../dist/client/index.js', import.meta.url).href;
    running.provider.answerWith(completionOf('over the socket'));
    await using program = startExec(`
      const { connect } = await import(${JSON.stringify(client)});
      const { OpenAI } = await import('openai');
      const aipass = await connect({ caller: 'by fetch' });
      const openai = new OpenAI({ apiKey: 'aipassd', fetch: aipass.fetch, maxRetries: 0 });
      const { choices } = await openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });
      console.log(choices[0].message.content);
      await aipass.close();`);
    const { code, stdout, stderr } = await program.ended;
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'over the socket\n', stderr: '' });
    const aipass = await running.connect();
    expect(await aipass.stats({ by: 'caller' })).toMatchObject({ groups: [{ name: 'by fetch' }] });
  });

  it('runs a program without a key, under its own name, and with its exit code', async () => {
    const program = startExec(
      `
        const { OPENAI_BASE_URL: url, OPENAI_API_KEY: token, SECRET } = process.env;
        const headers = { authorization: 'Bearer ' + token, 'content-type': 'application/json', 'x-session-id': 'mine' };
        fetch(url + '/chat/completions', { method: 'POST', headers, body: ${JSON.stringify(CHAT)} })
          .then(async (answer) => console.log((await answer.json()).choices[0].message.content, process.env.LOCAL_API_KEY === token))
          .then(() => process.exit(7));
      `,
      [],
      { LOCAL_API_KEY: LOCAL_KEY },
    );
    const { code, stdout, stderr } = await program.result();
    expect({ code, stdout, stderr }).toEqual({ code: 7, stdout: 'pong true\n', stderr: '' });
    const aipass = await running.connect();
    const { groups } = await aipass.stats({ by: 'caller' });
    expect(groups).toMatchObject([{ name: 'node', figures: { requests: 1, tokens: { prompt: 5 } } }]);
    expect((await aipass.usage.session('mine')).session).toMatchObject({ figures: { requests: 1 } });
  });

  it('passes a signal on, and ends as the program does', async () => {
    const program = startExec(
      "process.on('SIGTERM', () => process.exit(3)); console.log('up'); setInterval(() => {}, 1e6);",
    );
    await until('it runs', () => program.stdout.includes('up'));
    program.signal('SIGTERM');
    expect((await program.result()).code).toBe(3);
    const killed = startExec("process.kill(process.pid, 'SIGKILL');");
    expect((await killed.result()).code).toBe(137);
  });

  it('the token and the listener end with the run, also when it is killed', async () => {
    const program = startExec(REPORT);
    await until('it reports', () => program.stdout.includes('\n'));
    const [baseUrl = '', token = '', pid] = program.stdout.trim().split(' ');
    const port = Number(new URL(baseUrl).port);
    const headers = { authorization: `Bearer ${token}`, ...JSON_TYPE };
    const call = () => ask('/local/v1/chat/completions', { port, headers, body: CHAT });
    expect((await call()).status).toBe(200);
    expect((await ask('/local/v1/chat/completions', { port, headers: JSON_TYPE, body: CHAT })).status).toBe(401);
    program.signal('SIGKILL');
    await until('the listener is gone', () =>
      call().then(
        () => false,
        () => true,
      ),
    );
    // The program itself goes on, without access.
    process.kill(Number(pid));
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'a run keeps its access through a restart of the daemon (%s)',
    async (how) => {
      const program = startExec(REPORT, ['--provider', 'local']);
      await until('it reports', () => program.stdout.includes('\n'));
      const [baseUrl = '', token = ''] = program.stdout.trim().split(' ');
      const port = Number(new URL(baseUrl).port);
      const headers = { authorization: `Bearer ${token}`, ...JSON_TYPE };
      const status = (path: string): Promise<number | string> =>
        ask(path, { port, headers, body: CHAT }).then(
          (answer) => answer.status,
          (error: unknown) => String(Reflect.get(Object(error), 'code')),
        );
      const stateFile = join(running.home.paths.state, 'state.json');
      await until('its port is on disk', () => readIfThere(stateFile).includes(String(port)));
      running.daemon.signal(how);
      await running.daemon.ended();
      expect(await status('/local/v1/chat/completions')).toBe('ECONNREFUSED');
      running.daemon = await DaemonProcess.start(running.home);
      await until('the access is back', async () => (await status('/local/v1/chat/completions')) === 200);
      // The run is for one provider still, and its token is nowhere on disk.
      expect(await status('/openrouter/v1/chat/completions')).toBe(403);
      expect(readIfThere(stateFile)).not.toContain(token);
      const aipass = await running.connect();
      expect(await aipass.stats({ by: 'caller' })).toMatchObject({ groups: [{ name: 'node' }] });
      program.signal('SIGTERM');
      expect(await program.result()).toMatchObject({ stderr: '' });
      await until('the listener is gone', async () => (await status('/local/v1/chat/completions')) === 'ECONNREFUSED');
      await until('its port is forgotten', () => !readIfThere(stateFile).includes(String(port)));
    },
  );

  it('a run whose port another program took meanwhile is told that it has no access', async () => {
    const program = startExec(REPORT);
    await until('it reports', () => program.stdout.includes('\n'));
    const [baseUrl = '', token = ''] = program.stdout.trim().split(' ');
    const port = Number(new URL(baseUrl).port);
    await until('its port is on disk', () =>
      readIfThere(join(running.home.paths.state, 'state.json')).includes(String(port)),
    );
    await running.daemon.stop();
    const squatter = createServer((socket) => socket.end()).listen(port, '127.0.0.1');
    try {
      running.daemon = await DaemonProcess.start(running.home);
      await until('it is told', () => program.stderr.includes('CONFLICT'), 20_000);
      expect(program.stderr).toContain(String(port));
      // The token is not valid on another port either.
      const aipass = await running.connect();
      const run = await aipass.request('gateway.open', { program: 'other' });
      expect(run.port).not.toBe(port);
      const headers = { authorization: `Bearer ${token}` };
      expect((await ask('/local/v1/models', { port: run.port, headers })).status).toBe(401);
    } finally {
      squatter.close();
      program.signal('SIGTERM');
      await program.result();
    }
  });

  it('a run for one provider reaches no other', async () => {
    const program = startExec(REPORT, ['--provider', 'local']);
    await until('it reports', () => program.stdout.includes('\n'));
    const [baseUrl = '', token = ''] = program.stdout.trim().split(' ');
    const port = Number(new URL(baseUrl).port);
    const answer = await ask('/openrouter/v1/models', { port, headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(403);
    program.signal('SIGTERM');
    await program.result();
  });

  it("gives Google's own library the tokens of one account, and of no other", async () => {
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
    const account = { token: 'ya29.canary-google-access', refresh_token: '1//r', client_id: 'c', client_secret: 's' };
    const document = { ...account, token_uri: 'http://127.0.0.1:1/', scopes: ['a'], expiry: inAnHour };
    await writeFile(join(running.home.paths.secrets, 'google_creds.json'), JSON.stringify(document), { mode: 0o600 });
    const aipass = await running.connect();
    await until('the account is there', async () => (await aipass.status()).accounts.length === 1);
    const library = import.meta.resolve('google-auth-library');
    const program = startExec(
      `
        const file = process.env.GOOGLE_APPLICATION_CREDENTIALS;
        import(${JSON.stringify(library)}).then(async ({ GoogleAuth }) => {
          console.log(await new GoogleAuth({ scopes: ['a'] }).getAccessToken());
          const { token_url, client_secret } = JSON.parse(require('node:fs').readFileSync(file, 'utf8'));
          const headers = { authorization: 'Bearer ' + client_secret };
          const other = await fetch(token_url.replace('/google/', '/spotify/'), { method: 'POST', headers });
          console.log(other.status, (require('node:fs').statSync(file).mode & 0o777).toString(8), file);
        });
      `,
      ['--google', 'google'],
      { GOOGLE_CLOUD_PROJECT: 'p' },
    );
    const { code, stdout, stderr } = await program.result();
    const [token, rest = ''] = stdout.split('\n');
    expect({ code, token, stderr }).toEqual({ code: 0, token: 'ya29.canary-google-access', stderr: '' });
    expect(rest).toMatch(/^403 600 /);
    expect(existsSync(rest.split(' ')[2] ?? '')).toBe(false);
    const audit = readFileSync(running.home.paths.audit, 'utf8').trim().split('\n');
    expect(audit.map((line): unknown => JSON.parse(line))).toContainEqual(
      expect.objectContaining({ operation: 'token.get', credential: 'google', outcome: 'released' }),
    );
    expect((await running.cli(['exec', '--', 'true'])).code).toBe(0);
  });

  it('shows what it would set, with the lines for a configuration file', async () => {
    const { stdout, code } = await running.cli(['exec', '--print', '--', 'codex']);
    expect(code).toBe(0);
    expect(stdout).toContain("export OPENAI_BASE_URL='http://127.0.0.1:<port>/local/v1'\n");
    expect(stdout).toContain("export OPENAI_API_KEY='<token>'\n");
    expect(stdout).toContain('[model_providers.aipassd]');
    expect(stdout).not.toContain(LOCAL_KEY);
  });

  it('warns that a program has no provider of its dialect, and runs it all the same', async () => {
    const folder = join(running.home.path, 'bin');
    mkdirSync(folder, { recursive: true });
    for (const name of ['gemini', 'codex']) writeFileSync(join(folder, name), '#!/bin/sh\nexit 7\n', { mode: 0o755 });
    const without = await running.cli(['exec', '--', join(folder, 'gemini')]);
    expect(without).toMatchObject({ code: 7, stderr: expect.stringContaining('aipassd add google') });
    const printed = await running.cli(['exec', '--print', '--', 'gemini']);
    expect(printed).toMatchObject({ code: 0, stderr: expect.stringContaining('aipassd add google') });
    const other = await running.cli(['exec', '--provider', 'local', '--', join(folder, 'gemini')]);
    expect(other).toMatchObject({ code: 7, stderr: expect.stringContaining('--provider google') });
    expect(await running.cli(['exec', '--', join(folder, 'codex')])).toMatchObject({ code: 7, stderr: '' });
  });

  it("gives the program its user's umask", async () => {
    const script = 'umask 027; exec "$0" "$1" exec -- sh -c umask';
    const { stdout } = await runProgram('sh', ['-c', script, process.execPath, CLI_PATH], { env: running.home.env });
    expect(stdout).toBe('0027\n');
  });

  it('says what it cannot run, as shells do', async () => {
    expect((await running.cli(['exec', '--', '/nonexistent/program'])).code).toBe(127);
    expect((await running.cli(['exec', '--', '/etc/passwd'])).code).toBe(126);
    expect(await running.cli(['exec', '--', '/etc/passwd/x'])).toMatchObject({
      code: 126,
      stderr: expect.stringContaining('cannot run /etc/passwd/x: ENOTDIR'),
    });
    expect((await running.cli(['exec'])).code).toBe(1);
    expect(await running.cli(['exec', '--provider', 'nobody', '--', 'true'])).toMatchObject({ code: 2 });
    expect(await running.cli(['exec', '--google', 'nobody', '--', 'true'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('NOT_FOUND'),
    });
  });
});
