/**
 * What it costs to ask a provider through aipassd: over the HTTP gateway's socket, over loopback
 * and over node-ipc. Beside it stand asking the provider directly and a bare node:http pass-through
 * (the floor), in turns within one run. What is asked over loopback is compared with the floor over
 * loopback. Accounting and audit are on.
 *
 * Two kinds of clients ask, one after the other: the openai package, as programs do, and a
 * generator that takes 15 µs for a request. By the package, a rate is also the package's own. By
 * the generator it is that of the servers alone, which share the cores of the machine: the hardest
 * case.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type Aipass } from '../src/client/index.ts';
import { median, millis, percentile, printFigures, type Figure } from './numbers.ts';
import { reportLeftOut, startPeers } from './peers.ts';
import { makeHome, start, startDaemon, untilAccepting, type Running } from './programs.ts';
import { generatorIpcWay, generatorWay, libraryWay, packageWay, type HttpTarget, type Way } from './ways.ts';

const ROUNDS = 5;
const SEQUENTIAL = 300;
const STREAMS = 100;
const CONNECTIONS = 32;

/** The rate is that of so many requests, or of those that are answered in so long. */
const PARALLEL = 8000;
const PARALLEL_MS = 3000;

/**
 * Each way is warmed up by this many requests, or for this long. Until then V8 compiles while it is
 * measured, more where there is more code. A daemon runs for weeks.
 */
const WARM_REQUESTS = 16_000;
const WARM_MS = 10_000;

/**
 * The same before each round. A way that waits half a minute, while slow ones are measured, gives
 * memory and compiled code back.
 */
const ROUSE_REQUESTS = 3000;
const ROUSE_MS = 3000;

/** The way over loopback, and its name. */
const LOOPBACK = 'loopback';

/** Figures of one way, one for each round. */
interface Measured {
  readonly way: Way;
  readonly p50: number[];
  readonly p99: number[];
  readonly first: number[];
  readonly rate: number[];
}

/** Measures and prints. */
export async function benchGateway(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'aipg-'));
  const running: Running[] = [];
  let home: ReturnType<typeof makeHome> | undefined;
  let aipass: Aipass | undefined;
  try {
    const provider = await start([server('mock-provider')], { word: 'ready' });
    running.push(provider);
    const port = portOf(provider);
    home = makeHome({ providers: { openrouter: { baseUrl: `http://127.0.0.1:${port}/v1` } } });
    const floorPath = join(folder, 'floor');
    const floor = await start([server('pass-through'), floorPath, String(port)], { word: 'ready' });
    const loopbackFloor = await start([server('pass-through'), '', String(port)], { word: 'ready' });
    running.push(floor, loopbackFloor);
    const daemon = await startDaemon(home);
    running.push(daemon);
    const gatewayPath = join(dirname(home.socket), 'gateway.sock');
    await untilAccepting({ path: gatewayPath });
    aipass = await connect({ socket: home.socket, caller: 'bench' });
    const run = await aipass.request('gateway.open', { program: 'bench' });
    const peers = await startPeers(folder, port);
    running.push(...peers);
    const bare = { token: 'unused', headers: {}, streams: true, isPeer: false };
    const direct = { name: 'direct', address: { host: '127.0.0.1', port }, base: '/v1', ...bare };
    const floors: HttpTarget[] = [
      { name: 'floor', address: { path: floorPath }, base: '/v1', ...bare },
      { name: 'floor on loopback', address: { host: '127.0.0.1', port: portOf(loopbackFloor) }, base: '/v1', ...bare },
    ];
    const gateway = { name: 'gateway.sock', address: { path: gatewayPath }, base: '/openrouter/v1', ...bare };
    const loopback = {
      ...gateway,
      name: LOOPBACK,
      address: { host: '127.0.0.1', port: run.port },
      token: run.token,
    };
    const others: HttpTarget[] = peers.map(({ name, port: at, token, headers, streams }) => {
      return { name, address: { host: '127.0.0.1', port: at }, base: '/v1', token, headers, streams, isPeer: true };
    });
    const waysBy = (wayTo: (target: HttpTarget) => Way, ipc: Way): Way[] => [
      ...[direct, ...floors, gateway].map(wayTo),
      ipc,
      ...[loopback, ...others].map(wayTo),
    ];
    const clients: readonly [string, Way[]][] = [
      ['the openai package', waysBy(packageWay, libraryWay('node-ipc', aipass))],
      ['a generator', waysBy(generatorWay, generatorIpcWay('node-ipc', home.socket))],
    ];
    for (const [client, ways] of clients) {
      const measured = await measure(ways);
      const memory = residentMegabytes(daemon.pid);
      const own = measured.filter(({ way }) => !way.isPeer);
      printFigures(`A completion through aipassd, asked by ${client}`, [
        ...compare(own, memory),
        ...compareWithPeers(measured),
      ]);
    }
    if (peers.length === 0) console.log('\nNo other gateway is installed: npm run bench:peers installs two.');
  } finally {
    await aipass?.close();
    for (const program of running.toReversed()) await program.stop();
    home?.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Returns the port that a server printed. */
function portOf(running: Running): number {
  return Number(/ready (\d+)/.exec(running.output())?.[1]);
}

function server(name: string): string {
  return fileURLToPath(new URL(`servers/${name}.ts`, import.meta.url));
}

/** Measures the ways in turns; what fails of another gateway is reported, and left out. */
async function measure(ways: readonly Way[]): Promise<Measured[]> {
  const measured = new Map(ways.map((way): [Way, Measured] => [way, { way, p50: [], p99: [], first: [], rate: [] }]));
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [way, figures] of measured) {
      try {
        if (round === 0) await measureRate(way, WARM_REQUESTS, WARM_MS);
        else await measureRate(way, ROUSE_REQUESTS, ROUSE_MS);
        const { p50, p99, first, rate } = await measureOnce(way);
        // The first round warms up, too: what is asked one at a time takes other ways through the
        // code.
        if (round === 0) continue;
        figures.p50.push(p50);
        figures.p99.push(p99);
        figures.first.push(first);
        figures.rate.push(rate);
      } catch (error) {
        if (!way.isPeer) throw error;
        reportLeftOut(way.name, error);
        measured.delete(way);
      }
    }
  }
  return [...measured.values()];
}

async function measureOnce(way: Way): Promise<Record<'p50' | 'p99' | 'first' | 'rate', number>> {
  const asker = await way.open();
  const whole: number[] = [];
  const first: number[] = [];
  try {
    for (let count = 0; count < SEQUENTIAL; count += 1) whole.push((await asker.ask(false)).whole);
    for (let count = 0; way.streams && count < STREAMS; count += 1) first.push((await asker.ask(true)).first);
  } finally {
    asker.close();
  }
  return {
    p50: median(whole),
    p99: percentile(whole, 0.99),
    first: median(first),
    rate: await measureRate(way, PARALLEL, PARALLEL_MS),
  };
}

/** Sends requests over 32 connections, and returns how many were answered in a second. */
async function measureRate(way: Way, requests: number, maxMs: number): Promise<number> {
  const askers = await Promise.all(Array.from({ length: CONNECTIONS }, way.open));
  let left = requests;
  const began = performance.now();
  try {
    await Promise.all(
      askers.map(async (asker) => {
        while (left > 0 && performance.now() - began < maxMs) {
          left -= 1;
          await asker.ask(false);
        }
      }),
    );
  } finally {
    for (const asker of askers) asker.close();
  }
  return ((requests - left) / (performance.now() - began)) * 1000;
}

function compare(measured: readonly Measured[], memory: string): Figure[] {
  const [direct, socketFloor, loopbackFloor, ...ours] = measured;
  if (!direct || !socketFloor || !loopbackFloor) return [];
  /** What a way adds to asking directly, round by round. */
  const added = (figures: Measured, name: 'p50' | 'first'): number =>
    median(figures[name].map((value, round) => value - (direct[name][round] ?? 0)));
  const socketFloorRate = median(socketFloor.rate);
  return [
    {
      what: `requests per second at ${CONNECTIONS}, asking the provider without a gateway`,
      ours: '',
      reference: String(Math.round(median(direct.rate))),
      result: '',
    },
    ...ours.flatMap((figures): Figure[] => {
      const { name } = figures.way;
      // A connection over TCP costs more than one over a Unix socket, whoever serves it.
      const floor = name === LOOPBACK ? loopbackFloor : socketFloor;
      const floorRate = median(floor.rate);
      const p50 = added(figures, 'p50') - added(floor, 'p50');
      const first = added(figures, 'first') - added(floor, 'first');
      const rate = median(figures.rate) / floorRate;
      return [
        {
          what: `added p50, ${name}, beside what the floor adds`,
          ours: millis(added(figures, 'p50')),
          reference: millis(added(floor, 'p50')),
          result: signed(p50),
          target: '≤ + 0.25 ms',
          isMet: p50 <= 0.25,
        },
        {
          what: `added time to the first byte, ${name}, beside what the floor adds`,
          ours: millis(added(figures, 'first')),
          reference: millis(added(floor, 'first')),
          result: signed(first),
          target: '≤ + 0.3 ms',
          isMet: first <= 0.3,
        },
        {
          what: `requests per second at ${CONNECTIONS}, ${name}, beside the floor`,
          ours: String(Math.round(median(figures.rate))),
          reference: String(Math.round(floorRate)),
          result: `${rate.toFixed(2)} ×`,
          target: '≥ 0.75 ×',
          isMet: rate >= 0.75,
        },
        ...(name === LOOPBACK
          ? [
              {
                what: `requests per second at ${CONNECTIONS}, ${name}, beside the floor over a Unix socket`,
                ours: String(Math.round(median(figures.rate))),
                reference: String(Math.round(socketFloorRate)),
                result: `${(median(figures.rate) / socketFloorRate).toFixed(2)} ×`,
              },
            ]
          : []),
        {
          what: `p99, ${name}, beside the floor`,
          ours: millis(median(figures.p99)),
          reference: millis(median(floor.p99)),
          result: '',
        },
      ];
    }),
    {
      what: 'resident memory of the daemon after all of it',
      ours: memory,
      reference: '',
      result: '',
      target: '≤ 130 MB',
    },
  ];
}

/** Compares gateway.sock with other gateways. */
function compareWithPeers(measured: readonly Measured[]): Figure[] {
  const [direct, , , ours] = measured;
  if (!direct || !ours) return [];
  const added = (figures: Measured, name: 'p50' | 'first'): number =>
    median(figures[name].map((value, round) => value - (direct[name][round] ?? 0)));
  return measured.flatMap((figures): Figure[] => {
    const { name, streams, isPeer } = figures.way;
    if (!isPeer) return [];
    const rate = median(ours.rate) / median(figures.rate);
    const latency = (which: 'p50' | 'first', what: string): Figure => {
      const ratio = added(ours, which) / added(figures, which);
      return {
        what: `${what}, gateway.sock, beside ${name}`,
        ours: millis(added(ours, which)),
        reference: millis(added(figures, which)),
        result: `${ratio.toFixed(2)} ×`,
        target: '≤ 0.33 ×',
        isMet: ratio <= 1 / 3,
      };
    };
    return [
      {
        what: `requests per second at ${CONNECTIONS}, gateway.sock, beside ${name}`,
        ours: String(Math.round(median(ours.rate))),
        reference: String(Math.round(median(figures.rate))),
        result: `${rate.toFixed(1)} ×`,
        target: '≥ 2.5 ×',
        isMet: rate >= 2.5,
      },
      latency('p50', 'added p50'),
      ...(streams ? [latency('first', 'added time to the first byte')] : []),
    ];
  });
}

/** Prints a difference in milliseconds. */
function signed(ms: number): string {
  return `${ms < 0 ? '-' : '+'} ${millis(Math.abs(ms))}`;
}

function residentMegabytes(pid: number): string {
  const pages = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  return `${Math.round(pages / 1024)} MB, peak ${Math.round(peak / 1024)} MB`;
}
