/**
 * What running costs: from spawn to ready, resident memory idle, and `aipassd status` as a process.
 * Each beside bare Node, in turns within one run.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { median, millis, printFigures, type Figure } from './numbers.ts';
import { CLI, makeHome, start, startDaemon } from './programs.ts';

const STARTS = 9;
const CALLS = 21;

/** How long a process may settle before its memory is read. */
const SETTLE_MS = 3000;

/** A Node program that does nothing, for ever. */
const BARE_NODE = 'console.log("ready"); setInterval(() => {}, 1e6)';

/** Measures and prints. */
export async function benchProcess(): Promise<void> {
  printFigures('Running', [...(await startsAndMemory()), await statusCommand()]);
}

async function startsAndMemory(): Promise<Figure[]> {
  const home = makeHome();
  const times: { bare: number[]; ours: number[] } = { bare: [], ours: [] };
  const memory: { bare: number[]; ours: number[] } = { bare: [], ours: [] };
  try {
    for (let round = 0; round < STARTS; round += 1) {
      const node = await start(['-e', BARE_NODE], { word: 'ready' });
      const daemon = await startDaemon(home);
      times.bare.push(node.readyMs);
      times.ours.push(daemon.readyMs);
      if (round % 3 === 2) {
        await delay(SETTLE_MS);
        memory.bare.push(residentMb(node.pid));
        memory.ours.push(residentMb(daemon.pid));
      }
      await daemon.stop();
      await node.stop();
    }
  } finally {
    home.remove();
  }
  const slower = median(times.ours) - median(times.bare);
  const larger = median(memory.ours) - median(memory.bare);
  return [
    {
      what: 'from spawn to ready, beside bare Node',
      ours: millis(median(times.ours)),
      reference: millis(median(times.bare)),
      result: `+${millis(slower)}`,
      target: '≤ +250 ms',
      isMet: slower <= 250,
    },
    {
      what: 'resident memory idle, beside bare Node',
      ours: mb(median(memory.ours)),
      reference: mb(median(memory.bare)),
      result: `+${mb(larger)}`,
      target: '≤ +45 MB',
      isMet: larger <= 45,
    },
  ];
}

async function statusCommand(): Promise<Figure> {
  const home = makeHome();
  const daemon = await startDaemon(home);
  const samples: { bare: number[]; ours: number[] } = { bare: [], ours: [] };
  const time = (args: string[]): number => {
    const began = performance.now();
    const { status, stderr } = spawnSync(process.execPath, args, { env: home.env, stdio: ['ignore', 'pipe', 'pipe'] });
    if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr.toString()}`);
    return performance.now() - began;
  };
  try {
    for (let round = 0; round < CALLS; round += 1) {
      samples.bare.push(time(['-e', '0']));
      samples.ours.push(time([CLI, 'status']));
    }
  } finally {
    await daemon.stop();
    home.remove();
  }
  const slower = median(samples.ours) - median(samples.bare);
  return {
    what: '`aipassd status` as a process, beside `node -e 0`',
    ours: millis(median(samples.ours)),
    reference: millis(median(samples.bare)),
    result: `+${millis(slower)}`,
    target: '≤ +40 ms',
    isMet: slower <= 40,
  };
}

function mb(value: number): string {
  return `${value.toFixed(1)} MB`;
}

function residentMb(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1024;
}
