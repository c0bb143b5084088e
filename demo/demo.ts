/**
 * `npm run demo`: what aipassd does, with no account and no network. The real daemon on a temporary
 * home, with a provider and an OAuth server on 127.0.0.1. A key in `.env` is used at once, and a
 * completion goes to the next key where the first meets a limit. An expired token is refreshed, and
 * the usage of all that is shown.
 *
 * Exits 0 and leaves nothing behind; a failure is printed and exits 1.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect, type Aipass } from 'aipassd';
import { refusalOf, startLoopbackProvider, streamOf } from '../tests/support/loopback-provider.ts';
import { TokenEndpoint } from '../tests/support/token-endpoint.ts';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
const KEYS = ['a', 'b'].map((letter) => `demo-${letter}${'0123456789'.repeat(4)}`);

/** Maximum time of each wait of the demo, in milliseconds. */
const LIMIT_MS = 10_000;

const home = mkdtempSync(join(tmpdir(), 'aipd-'));
const env = {
  ...process.env,
  AIPASSD_SECRETS_DIR: join(home, 'secrets'),
  AIPASSD_CONFIG: join(home, 'config.jsonc'),
  AIPASSD_STATE_DIR: join(home, 'state'),
  AIPASSD_RUNTIME_DIR: join(home, 'run'),
};
const socket = join(home, 'run', 'aipassd.sock');
const envFile = join(home, 'secrets', 'aipass', '.env');

await using provider = await startLoopbackProvider({
  reply: streamOf(['Because ', 'blue ', 'light ', 'scatters ', 'most.']),
});
provider.acceptKeys(KEYS);
await using oauth = await TokenEndpoint.start();
oauth.reply = (_form, count) => ({ body: { access_token: `demo-token-${count}`, expires_in: 3600 } });
let daemon: ChildProcess | undefined;
try {
  say('1. Starting the daemon on an empty home, with a provider called "demo" on 127.0.0.1');
  writeFileSync(
    env.AIPASSD_CONFIG,
    JSON.stringify({ defaultProvider: 'demo', providers: { demo: { baseUrl: provider.baseUrl } } }),
  );
  daemon = spawn(process.execPath, [CLI, 'run'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  await using aipass = await connectSoon();

  say(`2. Dropping two keys into ${envFile}`);
  const began = performance.now();
  appendFileSync(
    envFile,
    KEYS.map((value, index) => `DEMO_API_KEY${index === 0 ? '' : `_${index + 1}`}=${value}\n`).join(''),
  );
  const key = await keySoon(aipass);
  say(`   in use after ${Math.round(performance.now() - began)} ms: ${key.slice(0, 6)}****${key.slice(-4)}`);

  say('3. Asking for a streamed completion, while the first key has met its limit');
  provider.queue(refusalOf(429, 'Rate limit reached', { 'retry-after': '120' }));
  const stream = aipass.stream({ model: 'demo-1', messages: [{ role: 'user', content: 'Why is the sky blue?' }] });
  process.stdout.write('   ');
  for await (const { content } of stream) process.stdout.write(content ?? '');
  const { usage, keyId, finishReason } = await stream.result;
  say(`\n   answered with ${keyId}, ${usage?.totalTokens} tokens, finish reason "${finishReason}"`);

  say('4. Asking for an OAuth token that expired an hour ago');
  const account = { token_endpoint: oauth.url, client_id: 'demo', refresh_token: 'demo-refresh', access_token: 'old' };
  mkdirSync(join(home, 'secrets', 'aipass', 'oauth'), { recursive: true, mode: 0o700 });
  writeFileSync(
    join(home, 'secrets', 'aipass', 'oauth', 'calendar.json'),
    JSON.stringify({ ...account, expires_at: Math.floor(Date.now() / 1000) - 3600 }),
    { mode: 0o600 },
  );
  const { accessToken, expiresAt } = await soon(() => aipass.token('calendar'));
  say(`   renewed: ${accessToken}, valid for ${Math.round(((expiresAt ?? 0) - Date.now()) / 60_000)} min`);

  say('5. aipassd status');
  await run('status');
  say('\n6. aipassd stats --by key');
  await run('stats', '--by', 'key');
} catch (error) {
  console.error('the demo failed:', error);
  process.exitCode = 1;
} finally {
  if (daemon && daemon.exitCode === null) {
    const gone = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    await gone;
  }
  rmSync(home, { recursive: true, force: true });
  say('7. The daemon is stopped, and its home removed');
}

function say(text: string): void {
  console.log(text);
}

/** Tries until something succeeds or the limit has passed. */
async function soon<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + LIMIT_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(10);
    }
  }
}

function connectSoon(): Promise<Aipass> {
  return soon(() => connect({ caller: 'demo', socket }));
}

function keySoon(aipass: Aipass): Promise<string> {
  return soon(() => aipass.key('demo'));
}

/** Runs one command of the program, and shows what it prints. */
async function run(...words: readonly string[]): Promise<void> {
  const command = spawn(process.execPath, [CLI, ...words], { env, stdio: 'inherit' });
  const [code] = await once(command, 'exit');
  if (code !== 0) throw new Error(`aipassd ${words.join(' ')} ended with ${String(code)}`);
}
