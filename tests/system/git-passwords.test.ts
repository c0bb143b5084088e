import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AUTHORITY, CompanyNetwork } from '../support/company-network.ts';
import { portOf } from '../support/port-of.ts';
import { CLI_PATH } from '../support/run-cli.ts';
import { Program, type ProgramResult } from '../support/run-program.ts';
import { createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';
import { until } from '../support/until.ts';

const TOKEN = 'ghp_canary0123456789abcdefghijklmnopqr';

let running: TestDaemon;
/** Every Authorization that the server of the repository saw. */
let seen: string[];
let server: ReturnType<typeof createServer>;
let serve: RequestListener;

beforeEach(async () => {
  running = await createTestDaemon();
  seen = [];
  const root = join(running.home.path, 'served');
  const env = { ...running.home.env, GIT_CONFIG_NOSYSTEM: '1' };
  const prepare = (...words: string[]): void => void execFileSync('git', words, { env, stdio: 'pipe' });
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.com'];
  prepare('init', '-q', '--bare', '-b', 'trunk', join(root, 'r.git'));
  prepare('init', '-q', '-b', 'trunk', join(root, 'work'));
  prepare('-C', join(root, 'work'), ...identity, 'commit', '-q', '--allow-empty', '-m', 'first');
  prepare('-C', join(root, 'work'), 'push', '-q', join(root, 'r.git'), 'trunk');
  // The files of a repository are a repository: git's own "dumb" protocol.
  prepare('-C', join(root, 'r.git'), 'update-server-info');
  serve = (request, response) => {
    const { authorization } = request.headers;
    if (authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    seen.push(Buffer.from(authorization.replace('Basic ', ''), 'base64').toString());
    const file = join(root, new URL(request.url ?? '/', 'http://git').pathname);
    if (seen.at(-1)?.endsWith(`:${TOKEN}`) !== true) response.writeHead(401).end();
    else if (existsSync(file)) response.end(readFileSync(file));
    else response.writeHead(404).end();
  };
  server = createServer((request, response) => serve(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await running[Symbol.asyncDispose]();
});

async function store(host: string, content: string): Promise<void> {
  const path = join(running.home.paths.secrets, 'git', host);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, content, { mode: 0o600 });
  const aipass = await running.connect();
  const name = `git/${host.replace(/\.json$/, '')}`;
  await until('the secret is there', async () =>
    (await aipass.request('secret.list', {})).secrets.some((one) => one.name === name),
  );
}

/** Runs git in `aipassd exec --git`. */
async function git(words: readonly string[], env: Record<string, string> = {}): Promise<ProgramResult> {
  const quiet = { GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_NOSYSTEM: '1' };
  await using program = new Program(process.execPath, [CLI_PATH, 'exec', '--git', '--', 'git', ...words], {
    env: { ...running.home.env, ...quiet, ...env },
    cwd: running.home.path,
  });
  return await program.result();
}

describe('git under aipassd exec --git', () => {
  it('takes the password of a host from its secret, and no helper of the user is asked', async () => {
    const host = `127.0.0.1:${portOf(server)}`;
    await store(host, `${TOKEN}\n`);
    await writeFile(
      join(running.home.path, '.gitconfig'),
      '[credential]\n\thelper = "!echo username=theirs; echo password=wrong; true"\n',
    );
    const { code, stdout, stderr } = await git(['ls-remote', `http://${host}/r.git`]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/\trefs\/heads\/trunk\n/);
    expect(new Set(seen)).toEqual(new Set([`x-access-token:${TOKEN}`]));
    const audit = readFileSync(running.home.paths.audit, 'utf8').trim().split('\n');
    expect(audit.map((line): unknown => JSON.parse(line))).toContainEqual(
      expect.objectContaining({ operation: 'secret.get', credential: `git/${host}`, outcome: 'released' }),
    );
  });

  it('takes user and password over TLS from a document', async () => {
    await using network = await CompanyNetwork.start((request, response) => serve(request, response));
    const authority = join(running.home.path, 'authority.pem');
    await writeFile(authority, AUTHORITY);
    await store('llm.corp.invalid.json', JSON.stringify({ username: 'ann', password: TOKEN }));
    const env = { https_proxy: network.proxy, GIT_SSL_CAINFO: authority };
    const { code, stdout } = await git(['ls-remote', 'https://llm.corp.invalid/r.git'], env);
    expect(code).toBe(0);
    expect(stdout).toContain('refs/heads/trunk');
    expect(new Set(seen)).toEqual(new Set([`ann:${TOKEN}`]));
  });

  it('gets nothing for a host without a secret, and is told how to store one', async () => {
    const host = `127.0.0.1:${portOf(server)}`;
    await store('127.0.0.1', TOKEN);
    const { code, stderr } = await git(['ls-remote', `http://${host}/r.git`]);
    expect(code).not.toBe(0);
    expect(stderr).toContain(`aipassd set-secret git/${host}`);
    expect(seen).toEqual([]);
  });

  it('has no secret in its environment or its arguments, and a refused password changes none', async () => {
    const host = `127.0.0.1:${portOf(server)}`;
    await store(host, 'of-last-year');
    expect((await git(['ls-remote', `http://${host}/r.git`])).code).not.toBe(0);
    const listed = await running.cli(['get-secret', '--list']);
    expect(listed.stdout).toContain(`git/${host}`);
    await store(host, TOKEN);
    const probe = [
      '-c',
      "alias.probe=!env; cat /proc/$PPID/cmdline /proc/$$/cmdline 2>/dev/null | tr '\\0' ' '",
      'probe',
    ];
    const { stdout } = await git(probe);
    expect(stdout).toContain('GIT_CONFIG_VALUE_1=!');
    expect(stdout).not.toContain(TOKEN);
  });

  it('shows its variables with --print', async () => {
    const ran = await running.cli(['exec', '--git', '--print', '--', 'git']);
    expect(ran.stdout).toContain('export GIT_CONFIG_KEY_1=credential.helper\n');
    expect(ran.stdout).toMatch(/^export GIT_CONFIG_VALUE_1='!.*git-credential'$/m);
  });

  it('needs no API key of any provider', async () => {
    await running.home.writeKeys({});
    const aipass = await running.connect();
    await until('no key is left', async () => (await aipass.status()).pools.length === 0);
    expect((await git(['--version'])).code).toBe(0);
    expect((await running.cli(['exec', '--', 'true'])).code).toBe(2);
  });
});

describe('aipassd git-credential', () => {
  it('ignores what it does not know, and what is not for it', async () => {
    for (const [action, stdin] of [
      ['store', `protocol=https\nhost=github.com\nusername=a\npassword=${TOKEN}\n\n`],
      ['erase', 'protocol=https\nhost=github.com\n\n'],
      ['capability', ''],
      ['get', 'protocol=http\nhost=github.com\n\n'],
      ['get', ''],
    ] as const) {
      expect(await running.cli(['git-credential', action], { stdin })).toEqual({
        code: 0,
        signal: null,
        stdout: '',
        stderr: '',
      });
    }
    await running.daemon.stop();
    const stdin = 'protocol=https\nhost=github.com\n\n';
    expect(await running.cli(['git-credential', 'get'], { stdin })).toMatchObject({ code: 3, stdout: '' });
  });
});
