/**
 * `npm run demo`: the whole thing with no account and no network. The real daemon on a temporary home, a provider on
 * 127.0.0.1, a key dropped into `.env`, picked up, lent, and used for a streamed completion; then the status.
 *
 * Exits 0 and leaves nothing behind; what goes wrong is printed and exits 1.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect, type Aipass } from 'aipassd';
import { startLoopbackProvider, streamOf } from '../tests/support/loopback-provider.ts';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));
const KEY = `demo-${'0123456789'.repeat(4)}`;

/** Bounds each wait of the demo. */
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
provider.acceptKeys([KEY]);
let daemon: ChildProcess | undefined;
try {
  say('1. Starting the daemon on an empty home, with a provider called "demo" on 127.0.0.1');
  writeFileSync(
    env.AIPASSD_CONFIG,
    JSON.stringify({ defaultProvider: 'demo', providers: { demo: { baseUrl: provider.baseUrl } } }),
  );
  daemon = spawn(process.execPath, [CLI, 'run'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  await using aipass = await connectSoon();

  say(`2. Dropping a key into ${envFile}`);
  appendFileSync(envFile, `DEMO_API_KEY=${KEY}\n`);
  const began = performance.now();
  const key = await keySoon(aipass);
  say(`   lent after ${Math.round(performance.now() - began)} ms: ${key.slice(0, 6)}****${key.slice(-4)}`);

  say('3. Asking for a streamed completion');
  const stream = aipass.stream({ model: 'demo-1', messages: [{ role: 'user', content: 'Why is the sky blue?' }] });
  process.stdout.write('   ');
  for await (const { content } of stream) process.stdout.write(content ?? '');
  const { usage, keyId, finishReason } = await stream.result;
  say(`\n   paid by ${keyId}, ${usage?.totalTokens} tokens, finish reason "${finishReason}"`);

  say('4. aipassd status');
  const status = spawn(process.execPath, [CLI, 'status'], { env, stdio: 'inherit' });
  const [code] = await once(status, 'exit');
  if (code !== 0) throw new Error(`aipassd status ended with ${String(code)}`);
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
  say('5. The daemon is stopped, and its home removed');
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
