/**
 * `npm run soak [-- SECONDS]`: ten minutes of mixed load by 50 clients on the built daemon.
 * Meanwhile its files change, its configuration is reloaded, its OAuth tokens are refreshed and its
 * provider fails at random.
 *
 * Every now and then the load pauses and the daemon is measured at rest. What it holds while it
 * works is mostly what V8 has not collected yet. Passed when no error came that the plan did not
 * put there, and tokens were renewed and none refused. As many files are open at each rest, and no
 * more sockets than there are peers. After a warm-up, neither the heap after a collection nor the
 * resident memory at rest grows by more than 1 MB an hour. Or by no more than the samples scatter.
 * The heap is judged without what V8 compiled (see heap-probe.mjs).
 */

import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Aipass } from '../../src/client/index.ts';
import { AipassError } from '../../src/base/errors.ts';
import { saveGrantedAccount } from '../support/account-files.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { completionOf, startLoopbackProvider, type Reply } from '../support/loopback-provider.ts';
import { OauthServer } from '../support/oauth-server.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { until as waitFor } from '../support/until.ts';
import { judgeSlope } from './slope.ts';

const CLIENTS = 50;
const seconds = Number(process.argv[2] ?? 600);
const WARM_UP = 0.2;
/** How often a token is renewed by being asked for with more time than it lives. */
const RENEW_EVERY_MS = 2000;
/** How many times the daemon is measured at rest. */
const RESTS = Math.max(8, Math.min(40, Math.round(seconds / 15)));
/** How many files may differ between two rests: a log that was rotated, a worker that ends. */
const FILE_SCATTER = 3;
/**
 * Maximum number of sockets: one for each client, one for each that is kept open to the provider,
 * and a few of our own.
 */
const MAX_SOCKETS = 2 * CLIENTS + 10;
/**
 * How long a run must be for its memory to be judged: in less, what is only filled once looks like
 * growth.
 */
const JUDGED_SECONDS = 300;

/**
 * Lists the errors that the plan puts there: a provider that fails, and a secret that is not there.
 */
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
await using oauth = await OauthServer.start({ lifetimeS: 600 });
await saveGrantedAccount(home.paths.secrets, oauth);
const probe = new URL('heap-probe.mjs', import.meta.url);
await using daemon = await DaemonProcess.start(home, { NODE_OPTIONS: `--import=${probe.href}` });

const until = performance.now() + seconds * 1000;
const counts = new Map<string, number>();
const unplanned: string[] = [];

/** Pending while the load pauses; who works waits for it. */
let pause: PromiseWithResolvers<void> | undefined;
let working = 0;

function count(what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

async function work(aipass: Aipass, at: number): Promise<void> {
  for (let round = at; performance.now() < until; round += 1) {
    await pause?.promise;
    working += 1;
    try {
      if (round % 10 === 0)
        await aipass.complete({ provider: 'openrouter', model: 'm', messages: [{ role: 'user', content: 'x' }] });
      else if (round % 10 === 1) await aipass.secret('no/such');
      else if (round % 10 === 2) await aipass.status();
      else if (round % 10 === 3) await aipass.token('test');
      else await aipass.key('openrouter');
      count('answered');
    } catch (error) {
      const code = error instanceof AipassError ? error.code : 'no AipassError';
      count(code);
      if (!PLANNED.has(code)) unplanned.push(String(error));
    }
    working -= 1;
    await sleep(5 + ((round * 7) % 20));
  }
}

async function renew(aipass: Aipass): Promise<void> {
  while (performance.now() < until) {
    await pause?.promise;
    const { results } = await aipass.request('oauth.refresh', { name: 'test' });
    for (const { outcome } of results) count(`token ${outcome}`);
    await sleep(RENEW_EVERY_MS);
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

interface Sample {
  readonly at: number;
  readonly heapMb: number;
  readonly compiledMb: number;
  readonly residentMb: number;
  readonly files: number;
  readonly sockets: number;
}
const samples: Sample[] = [];

/** Counts the open descriptors of a process. */
function descriptors(folder: string): { readonly files: number; readonly sockets: number } {
  const targets = readdirSync(folder).map((name) => {
    try {
      return readlinkSync(`${folder}/${name}`);
    } catch {
      return 'closed';
    }
  });
  const sockets = targets.filter((target) => target.startsWith('socket:')).length;
  return { sockets, files: targets.filter((target) => target !== 'closed').length - sockets };
}

/**
 * Pauses the load now and then, and measures what the daemon holds when it has collected its
 * garbage.
 */
async function sample(): Promise<void> {
  const begun = performance.now();
  for (let rest = 1; rest <= RESTS; rest += 1) {
    await sleep(Math.max(0, begun + (rest * seconds * 1000) / (RESTS + 1) - performance.now()));
    pause = Promise.withResolvers();
    await waitFor('the load rests', () => working === 0, 60_000);
    const lines = () => daemon.stderr.split('\n').filter((line) => line.startsWith('heap '));
    const before = lines().length;
    daemon.signal('SIGUSR2');
    await waitFor('the heap is measured', () => lines().length > before, 30_000);
    const at = performance.now() - begun;
    const [heapMb = Number.NaN, compiledMb = Number.NaN] = (lines().at(-1) ?? '')
      .split(' ')
      .slice(1)
      .map((bytes) => Number(bytes) / 1024 ** 2);
    const residentMb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1]) / 1024;
    const open = descriptors(`/proc/${daemon.pid}/fd`);
    if (at >= seconds * 1000 * WARM_UP) samples.push({ at, heapMb, compiledMb, residentMb, ...open });
    pause.resolve();
    pause = undefined;
  }
}

const clients = await Promise.all(
  Array.from({ length: CLIENTS }, (_, at) => connect({ caller: `soak-${at}`, socket: home.paths.socket })),
);
const [renewer = await connect({ socket: home.paths.socket })] = clients;
await Promise.all([...clients.map(work), renew(renewer), disturb(), sample()]);
await Promise.all(clients.map((aipass) => aipass.close()));
const { code } = await daemon.stop();

const slopeOf = (read: (one: Sample) => number) =>
  judgeSlope(samples.map((one) => ({ x: one.at / 3_600_000, y: read(one) })));
const heap = slopeOf((one) => one.heapMb);
const resident = slopeOf((one) => one.residentMb);
const grows = [
  ['the heap', heap],
  ['resident memory', resident],
] as const;
const files = samples.map((one) => one.files);
const [fewest, most] = [Math.min(...files), Math.max(...files)];
const sockets = Math.max(...samples.map((one) => one.sockets));
const renewed = counts.get('token refreshed') ?? 0;
const show = (read: (one: Sample) => number) =>
  samples
    .map((one) => read(one).toFixed(1))
    .filter((_, at, all) => at === 0 || at === all.length - 1)
    .join(' → ');
const problems = [
  ...unplanned.slice(0, 5).map((error) => `not planned: ${error}`),
  ...grows.flatMap(([what, { slope, error, grows: does }]) =>
    does && seconds >= JUDGED_SECONDS
      ? [`${what} at rest grows by ${slope.toFixed(1)} ± ${error.toFixed(1)} MB an hour`]
      : [],
  ),
  ...(most - fewest > FILE_SCATTER ? [`open files at rest from ${fewest} to ${most}`] : []),
  ...(sockets > MAX_SOCKETS ? [`${sockets} sockets at rest`] : []),
  ...(renewed === 0 || oauth.refusals > 0 ? [`${renewed} tokens renewed, ${oauth.refusals} refused`] : []),
  ...(code === 0 ? [] : [`the daemon ended with ${code}`]),
];
process.stdout.write(
  `${seconds} s, ${CLIENTS} clients: ${[...counts].map(([what, times]) => `${what} ${times}`).join(', ')}\n` +
    `at rest, ${samples.length} times: heap ${show((one) => one.heapMb)} MB, slope ${heap.slope.toFixed(1)} ± ${heap.error.toFixed(1)} MB/h; ` +
    `compiled code ${show((one) => one.compiledMb)} MB; ` +
    `resident ${show((one) => one.residentMb)} MB, slope ${resident.slope.toFixed(1)} ± ${resident.error.toFixed(1)} MB/h; ` +
    `files ${fewest} to ${most}, sockets at most ${sockets}${seconds < JUDGED_SECONDS ? '; too short to judge memory' : ''}\n`,
);
for (const problem of problems) process.stdout.write(`FELL  ${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
