/**
 * Runs every program of examples/ against a real daemon, so that none of them can rot.
 */

import { chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { streamOf } from '../support/loopback-provider.ts';
import { CLI_PATH } from '../support/run-cli.ts';
import { runProgram, type ProgramResult } from '../support/run-program.ts';
import { TokenEndpoint } from '../support/token-endpoint.ts';
import { LOCAL_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

const EXAMPLES = new URL('../../examples/', import.meta.url).pathname;

/** Arguments and expected output of each example; a new example needs an entry. */
const EXPECTED: Readonly<Record<string, { readonly args: () => readonly string[]; readonly prints: RegExp }>> = {
  'key.ts': { args: () => ['local'], prints: new RegExp(`ends with ${LOCAL_KEY.slice(-4)}$`, 'm') },
  'token.ts': { args: () => ['test'], prints: /^Bearer token of 14 characters, valid until 20/m },
  'completion.ts': { args: () => ['hello', 'm'], prints: /^pong\npaid by LOCAL_API_KEY, 7 tokens$/m },
  'stream.ts': { args: () => ['hello', 'm'], prints: /^one two\nended with "stop"$/m },
  'pooled-client.ts': { args: () => ['local', `${running.provider.baseUrl}/ping`], prints: /^\{"pong":true\}$/m },
  'key_from_python.py': { args: () => ['local'], prints: new RegExp(`ends with ${LOCAL_KEY.slice(-4)}$`, 'm') },
  'get-key.sh': {
    args: () => ['local', 'MY_KEY', '/bin/sh', '-c', 'echo "${#MY_KEY} characters"'],
    prints: new RegExp(`^${LOCAL_KEY.length} characters$`, 'm'),
  },
};

let running: TestDaemon;
let endpoint: TokenEndpoint;

beforeAll(async () => {
  running = await createTestDaemon();
  endpoint = await TokenEndpoint.start();
  endpoint.reply = () => ({ body: { access_token: 'access-token-1', token_type: 'Bearer', expires_in: 3600 } });
  const folder = join(running.home.paths.secrets, 'oauth');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const account = {
    client_id: 'app',
    grant_type: 'client_credentials',
    client_secret: 's',
    token_endpoint: endpoint.url,
  };
  await writeFile(join(folder, 'test.json'), JSON.stringify(account), { mode: 0o600 });
  running.provider.route('/v1/ping', { kind: 'json', body: { pong: true } });
  const bin = join(running.home.path, 'bin');
  await mkdir(bin);
  await symlink(CLI_PATH, join(bin, 'aipassd'));
  await chmod(CLI_PATH, 0o755);
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

describe('examples', () => {
  it('have an expectation each', async () => {
    const programs = (await readdir(EXAMPLES)).filter((name) => /\.(ts|py|sh)$/.test(name));
    expect(programs.sort()).toEqual(Object.keys(EXPECTED).sort());
  });

  it.each(Object.entries(EXPECTED))('%s does what it says', async (name, { args, prints }) => {
    if (name === 'stream.ts') running.provider.queue(streamOf(['one ', 'two']));
    const { code, stdout, stderr } = await run(name, args());
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(prints);
    expect(stdout).not.toContain(LOCAL_KEY);
  });

  it('get-key.sh puts the key into the environment without another program in between', async () => {
    // An env in the PATH would get the key as an argument, which every user of the machine reads.
    const spy = join(running.home.path, 'bin', 'env');
    const seen = join(running.home.path, 'arguments-of-env');
    await writeFile(spy, `#!/bin/sh\necho "$@" >> '${seen}'\nexec /usr/bin/env "$@"\n`, { mode: 0o755 });
    const { code } = await run('get-key.sh', ['local', 'MY_KEY', '/bin/sh', '-c', 'test -n "$MY_KEY"']);
    await rm(spy);
    expect(code).toBe(0);
    expect(await readFile(seen, 'utf8').catch(() => '')).not.toContain(LOCAL_KEY);
  });

  it('get-key.sh prints its usage where arguments are missing', async () => {
    expect(await run('get-key.sh', ['local'])).toMatchObject({
      code: 64,
      stdout: '',
      stderr: expect.stringMatching(/^usage: /),
    });
  });

  it.each(['pooled-client.ts', 'key_from_python.py'])(
    '%s ends with the code and the hint of a failure',
    async (name) => {
      const { code, stderr } = await run(name, ['nosuch']);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^NOT_FOUND: .*\n {2}\S/);
      expect(stderr.trim().split('\n')).toHaveLength(2);
    },
  );

  it('the Python program finds the daemon by the record of its run where the environment names no runtime folder', async () => {
    const { AIPASSD_RUNTIME_DIR: _, ...rest } = running.home.env;
    const env = { ...rest, XDG_RUNTIME_DIR: join(running.home.path, 'no-session') };
    const { code, stdout, stderr } = await runProgram('python3', [join(EXAMPLES, 'key_from_python.py'), 'local'], {
      env,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`ends with ${LOCAL_KEY.slice(-4)}`);
  });
});

function run(name: string, args: readonly string[]): Promise<ProgramResult> {
  const path = join(EXAMPLES, name);
  const env = { ...running.home.env, PATH: [join(running.home.path, 'bin'), running.home.env['PATH']].join(delimiter) };
  if (name.endsWith('.ts')) return runProgram(process.execPath, [path, ...args], { env });
  return runProgram(name.endsWith('.py') ? 'python3' : '/bin/sh', [path, ...args], { env });
}
