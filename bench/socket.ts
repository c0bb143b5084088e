/**
 * What asking over the socket costs: one request at a time, 64 deep, with a new connection each
 * time, with a frame of 16 MB. Each beside a bare echo or a server written by hand, in turns within
 * one run.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AIPASSD, Asker, ECHO, LINES, type Dialect } from './asker.ts';
import { median, micros, millis, percentile, printFigures, type Figure } from './numbers.ts';
import { makeHome, startDaemon, startServer, type Running } from './programs.ts';

const ROUNDS = 7;
const ROUND_TRIPS = 3000;
const PIPELINED = 32_000;
const DEPTH = 64;
const CONNECTS = 300;
const LARGE_BYTES = 16 * 1024 * 1024;

interface Server {
  readonly name: string;
  readonly path: string;
  readonly dialect: Dialect;
}

/** Measures and prints. */
export async function benchSocket(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'aipb-'));
  const home = makeHome();
  const echo: Server = { name: 'echo', path: join(folder, 'echo'), dialect: ECHO };
  const lines: Server = { name: 'lines', path: join(folder, 'lines'), dialect: LINES };
  const ours: Server = { name: 'aipassd', path: home.socket, dialect: AIPASSD };
  const running: Running[] = [];
  try {
    running.push(await startServer('echo', echo.path), await startServer('lines', lines.path), await startDaemon(home));
    const figures: Figure[] = [];
    figures.push(...(await roundTrips(echo, lines, ours)));
    figures.push(await pipelined(lines, ours));
    figures.push(await connects(echo, ours));
    figures.push(await largeFrame(lines, ours));
    printFigures('Asking over the socket', figures);
  } finally {
    for (const program of running) await program.stop();
    home.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function roundTrips(echo: Server, lines: Server, ours: Server): Promise<Figure[]> {
  const servers = [echo, lines, ours];
  const askers = await Promise.all(servers.map((server) => Asker.open(server.path, server.dialect)));
  const p50s: number[][] = servers.map(() => []);
  const p99s: number[][] = servers.map(() => []);
  for (const asker of askers) await asker.roundTrips(ROUND_TRIPS);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, asker] of askers.entries()) {
      const samples = await asker.roundTrips(ROUND_TRIPS);
      p50s[index]?.push(median(samples));
      p99s[index]?.push(percentile(samples, 0.99));
    }
  }
  for (const asker of askers) asker.close();
  const [echo50 = 0, lines50 = 0, ours50 = 0] = p50s.map(median);
  const [echo99 = 0, lines99 = 0, ours99 = 0] = p99s.map(median);
  const toEcho = ours50 / echo50;
  const toLines = ours50 / lines50;
  return [
    {
      what: '`key.get`, p50, beside a bare echo',
      ours: micros(ours50),
      reference: micros(echo50),
      result: `${toEcho.toFixed(2)} ×`,
      target: '≤ 1.5 ×',
      isMet: toEcho <= 1.5,
    },
    {
      what: '`key.get`, p99, beside a bare echo',
      ours: micros(ours99),
      reference: micros(echo99),
      result: `${(ours99 / echo99).toFixed(2)} ×`,
    },
    {
      what: '`key.get`, p50, beside newline JSON by hand',
      ours: micros(ours50),
      reference: micros(lines50),
      result: `${toLines.toFixed(2)} ×`,
      target: '≤ 1.25 ×',
      isMet: toLines <= 1.25,
    },
    {
      what: '`key.get`, p99, beside newline JSON by hand',
      ours: micros(ours99),
      reference: micros(lines99),
      result: `${(ours99 / lines99).toFixed(2)} ×`,
    },
  ];
}

async function pipelined(lines: Server, ours: Server): Promise<Figure> {
  const rates: number[][] = [[], []];
  const askers = await Promise.all([lines, ours].map((server) => Asker.open(server.path, server.dialect)));
  for (const asker of askers) await asker.pipelined(PIPELINED, DEPTH);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, asker] of askers.entries()) rates[index]?.push(await asker.pipelined(PIPELINED, DEPTH));
  }
  for (const asker of askers) asker.close();
  const [linesRate = 0, oursRate = 0] = rates.map(median);
  const ratio = oursRate / linesRate;
  return {
    what: `\`key.get\`, ${DEPTH} deep, beside newline JSON by hand`,
    ours: perSecond(oursRate),
    reference: perSecond(linesRate),
    result: `${ratio.toFixed(2)} ×`,
    target: '≥ 0.75 ×',
    isMet: ratio >= 0.75,
  };
}

function perSecond(rate: number): string {
  return `${Math.round(rate / 1000)} k/s`;
}

async function connects(echo: Server, ours: Server): Promise<Figure> {
  const samples: number[][] = [[], []];
  for (let count = 0; count < CONNECTS; count += 1) {
    for (const [index, server] of [echo, ours].entries()) {
      const began = performance.now();
      // Hello goes along with the first request: a client need not wait for the welcome.
      const asker = await Asker.open(server.path, { ...server.dialect, hello: '' });
      await asker.send(server.dialect.hello + server.dialect.request(1), server.dialect.hello === '' ? 1 : 2);
      samples[index]?.push(performance.now() - began);
      asker.close();
    }
  }
  const [echoTime = 0, oursTime = 0] = samples.map(median);
  return {
    what: 'connect and one `key.get`, p50, beside connect and one echo',
    ours: micros(oursTime),
    reference: micros(echoTime),
    result: `${(oursTime / echoTime).toFixed(2)} ×`,
  };
}

async function largeFrame(lines: Server, ours: Server): Promise<Figure> {
  const request = { id: 1, op: 'key.get', params: { provider: 'x'.repeat(LARGE_BYTES) } };
  const texts = [`${JSON.stringify(request)}\n`, `${JSON.stringify({ type: 'request', data: request })}\f`];
  const samples: number[][] = [[], []];
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [index, server] of [lines, ours].entries()) {
      const asker = await Asker.open(server.path, server.dialect);
      const began = performance.now();
      await asker.send(texts[index] ?? '', 1);
      if (round > 0) samples[index]?.push(performance.now() - began);
      asker.close();
    }
  }
  const [linesTime = 0, oursTime = 0] = samples.map(median);
  const ratio = oursTime / linesTime;
  return {
    what: 'a request of 16 MB, beside newline JSON by hand',
    ours: millis(oursTime),
    reference: millis(linesTime),
    result: `${ratio.toFixed(2)} ×`,
    target: '≤ 1.5 ×',
    isMet: ratio <= 1.5,
  };
}
