/**
 * `npm run soak [-- SECONDS]`: ten minutes of mixed load by 50 clients on the built daemon, while its files change, its
 * configuration is reloaded and its provider fails at random.
 *
 * Passed when no error came that the plan did not put there, file descriptors stay flat, and memory, which is sampled after
 * a warm-up of a fifth of the time, grows by less than 1 MB an hour or than the samples scatter.
 */

import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Aipass } from '../../src/client/index.ts';
import { AipassError } from '../../src/base/errors.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { completionOf, startLoopbackProvider, type Reply } from '../support/loopback-provider.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { judgeSlope } from './slope.ts';

const CLIENTS = 50;
const seconds = Number(process.argv[2] ?? 600);
const WARM_UP = 0.2;

/** Lists the errors that the plan puts there: a provider that fails, and a secret that is not there. */
const PLANNED: ReadonlySet<string> = new Set([
  'PROVIDER_UNAVAILABLE',
  'PROVIDER_REJECTED',
  'NOT_FOUND',
  'CANCELLED',
  'TIMED_OUT',
  'POOL_EXHAUSTED',
]);

let turn = 0;
await using provider = await startLoopbackProvider({
  reply: (): Reply => {
    turn += 1;
    if (turn % 17 === 0) return { kind: 'reset' };
    if (turn % 13 === 0) return { kind: 'json', status: 500, body: { error: { message: 'as planned' } } };
    if (turn % 11 === 0) return { kind: 'text', body: '<html>' };
    return completionOf('ok');
  },
});
await using home = makeTempHome();
const keys = (generation: number) => ({ OPENROUTER_API_KEY: `sk-or-v1-${String(generation).padStart(64, '0')}` });
await home.writeKeys(keys(0));
const config = (inFlight: number) => ({
  providers: { openrouter: { baseUrl: provider.baseUrl } },
  limits: { inFlight },
});
await home.writeConfig(config(1000));
await using daemon = await DaemonProcess.start(home);

const until = performance.now() + seconds * 1000;
const counts = new Map<string, number>();
const unplanned: string[] = [];

function count(what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

async function work(aipass: Aipass, at: number): Promise<void> {
  for (let round = at; performance.now() < until; round += 1) {
    try {
      if (round % 10 === 0)
        await aipass.complete({ provider: 'openrouter', model: 'm', messages: [{ role: 'user', content: 'x' }] });
      else if (round % 10 === 1) await aipass.secret('no/such');
      else if (round % 10 === 2) await aipass.status();
      else await aipass.key('openrouter');
      count('answered');
    } catch (error) {
      const code = error instanceof AipassError ? error.code : 'no AipassError';
      count(code);
      if (!PLANNED.has(code)) unplanned.push(String(error));
    }
    await sleep(5 + ((round * 7) % 20));
  }
}

async function disturb(): Promise<void> {
  for (let generation = 1; performance.now() < until; generation += 1) {
    await home.writeKeys(keys(generation));
    if (generation % 5 === 0) await home.writeConfig(config(1000 + generation));
    if (generation % 7 === 0) daemon.signal('SIGHUP');
    await sleep(1000);
  }
}

const samples: { readonly at: number; readonly mb: number; readonly fds: number }[] = [];
async function sample(): Promise<void> {
  const begun = performance.now();
  while (performance.now() < until) {
    await sleep(Math.min(5000, seconds * 20));
    const at = performance.now() - begun;
    if (at < seconds * 1000 * WARM_UP || performance.now() > until) continue;
    const mb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1]) / 1024;
    samples.push({ at, mb, fds: readdirSync(`/proc/${daemon.pid}/fd`).length });
  }
}

const clients = await Promise.all(
  Array.from({ length: CLIENTS }, (_, at) => connect({ caller: `soak-${at}`, socket: home.paths.socket })),
);
await Promise.all([...clients.map(work), disturb(), sample()]);
await Promise.all(clients.map((aipass) => aipass.close()));
const { code } = await daemon.stop();

const memory = judgeSlope(samples.map(({ at, mb }) => ({ x: at / 3_600_000, y: mb })));
const fds = samples.map((one) => one.fds);
const problems = [
  ...unplanned.slice(0, 5).map((error) => `not planned: ${error}`),
  ...(memory.grows ? [`memory grows by ${memory.slope.toFixed(1)} ± ${memory.error.toFixed(1)} MB an hour`] : []),
  ...(Math.max(...fds) - Math.min(...fds) > CLIENTS
    ? [`file descriptors from ${Math.min(...fds)} to ${Math.max(...fds)}`]
    : []),
  ...(code === 0 ? [] : [`the daemon ended with ${code}`]),
];
process.stdout.write(
  `${seconds} s, ${CLIENTS} clients: ${[...counts].map(([what, times]) => `${what} ${times}`).join(', ')}\n` +
    `memory ${samples[0]?.mb.toFixed(0)} → ${samples.at(-1)?.mb.toFixed(0)} MB, slope ${memory.slope.toFixed(1)} ± ${memory.error.toFixed(1)} MB/h; descriptors ${Math.min(...fds)} to ${Math.max(...fds)}\n`,
);
for (const problem of problems) process.stdout.write(`FELL  ${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
