/**
 * `npm run test:credentials-python`: a Python program with httpx against a daemon, written to the
 * web app's documented requests. It asks as an admin over gateway.sock and over loopback, and as a
 * member over loopback. Where httpx cannot be installed it says so, and passes.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../support/port-of.ts';
import { Program } from '../support/run-program.ts';
import { createTestDaemon } from '../support/test-daemon.ts';

const VENV = fileURLToPath(new URL('../../.cache/credentials-python/', import.meta.url));
const PROGRAM = fileURLToPath(new URL('programs/use_credentials.py', import.meta.url));
const PYTHON = join(VENV, 'bin', 'python');
const HTTPX = 'httpx==0.28.1';

const problem = install();
if (problem === undefined) await test();
else process.stdout.write(`skipped: ${HTTPX} cannot be installed (${problem})\n`);

/** Installs httpx into a folder of its own; returns why that is not possible. */
function install(): string | undefined {
  if (!existsSync(PYTHON)) {
    const made = spawnSync('python3', ['-m', 'venv', VENV], { encoding: 'utf8' });
    if (made.status !== 0) return made.error?.message ?? made.stderr.trim();
  }
  const words = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', HTTPX];
  const installed = spawnSync(PYTHON, words, { encoding: 'utf8' });
  return installed.status === 0 ? undefined : (installed.error?.message ?? installed.stderr.trim().split('\n').at(-1));
}

async function test(): Promise<void> {
  const port = await freePort();
  await using running = await createTestDaemon({ gateway: { port } });
  running.provider.acceptKeys(['py-canary-web-0123456789']);
  running.provider.route('/v1/models', {
    kind: 'json',
    body: { data: [{ id: 'm-1' }, { id: 'm-2' }] },
    headers: {
      'x-ratelimit-limit-requests': '100',
      'x-ratelimit-remaining-requests': '99',
      'x-ratelimit-limit-tokens': '1000',
      'x-ratelimit-remaining-tokens': '250',
      'x-ratelimit-reset-tokens': '6m0s',
    },
  });
  const { stdout: token } = await running.cli(['gateway-token', 'python', '--see']);
  const { stdout: adminToken } = await running.cli(['gateway-token', 'python-admin', '--admin']);
  await using program = new Program(PYTHON, [PROGRAM, running.home.paths.gatewaySocket, `http://127.0.0.1:${port}`], {
    env: { AIPASS_TOKEN: token.trim(), AIPASS_ADMIN_TOKEN: adminToken.trim() },
  });
  const { code, stdout, stderr } = await program.ended;
  process.stdout.write(code === 0 ? stdout : stderr);
  if (code !== 0) process.exitCode = 1;
}
