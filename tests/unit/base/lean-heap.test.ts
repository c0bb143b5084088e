import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { isWorthCollecting } from '../../../src/base/lean-heap.ts';

const MB = 1024 * 1024;

/** Size at which the space for young objects stops growing in any heap, in bytes. */
const LIMIT = 16 * MB;

const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url));

/** Loads what the programs below use, and holds the settings with a clock that they move. */
const SETUP = `
  const { keepHeapLean } = await import(${url('../../../src/base/lean-heap.ts')});
  const { ManualClock } = await import(${url('../../support/manual-clock.ts')});
  const clock = new ManualClock();
  let isIdle = false;
`;
const KEEP = `${SETUP} const end = keepHeapLean(clock, () => isIdle);`;

/** Settings of V8 hold for a whole process, so that each program runs in one of its own. */
function run(program: string): string {
  return execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '--eval', program], {
    encoding: 'utf8',
  }).trim();
}

/** Returns the size of the space for young objects before and after a load. */
function youngSpaceUnderLoad(prepare: string): { readonly before: number; readonly after: number } {
  const [before, after] = run(`
    const { getHeapSpaceStatistics } = await import('node:v8');
    ${prepare}
    const size = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size;
    console.log(size());
    const kept = [];
    for (let turn = 0; turn < 100; turn += 1) {
      for (let at = 0; at < 20000; at += 1) kept[at] = { turn, list: [turn, at, turn, at, turn, at, turn, at, turn] };
      await new Promise((resolve) => setImmediate(resolve));
    }
    console.log(size());
  `).split('\n');
  return { before: Number(before), after: Number(after) };
}

/** Leaves garbage, does the steps, and returns whether the garbage is still there. */
function garbageAfter(steps: string): string {
  return run(`
    ${KEEP}
    let held = { some: 'value' };
    const garbage = new WeakRef(held);
    // What is old is collected by a major collection alone; minor ones come by themselves.
    gc({ type: 'minor' });
    gc({ type: 'minor' });
    held = undefined;
    await new Promise((resolve) => setTimeout(resolve, 1));
    ${steps}
    console.log(garbage.deref() === undefined ? 'collected' : 'kept');
  `);
}

function complaintsOf(program: string): string {
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }).stderr;
}

describe('the heap of the daemon', () => {
  it('lets the space for young objects grow under load, to a limit', () => {
    const { before, after } = youngSpaceUnderLoad(KEEP);
    expect(after).toBeGreaterThan(before);
    expect(after).toBeLessThanOrEqual(LIMIT);
  });

  it('would grow over the limit without the settings', () => {
    expect(youngSpaceUnderLoad(SETUP).after).toBeGreaterThan(LIMIT);
  });

  it('is set by flags that V8 knows: it reports one that it does not know on stderr', () => {
    expect(complaintsOf(KEEP)).toBe('');
    expect(complaintsOf("(await import('node:v8')).setFlagsFromString('--no-such-flag');")).not.toBe('');
  });

  it('is collected a second after the start, when nothing is asked', () => {
    expect(garbageAfter('isIdle = true; clock.advance(999);')).toBe('kept');
    expect(garbageAfter('isIdle = true; clock.advance(1000);')).toBe('collected');
  });

  it('is not collected while a request is in flight', () => {
    expect(garbageAfter('clock.advance(60_000);')).toBe('kept');
  });

  it.each([
    { growth: 1.1, idleMs: 600_000, isCollected: false },
    { growth: 1.2, idleMs: 40_000, isCollected: false },
    { growth: 1.2, idleMs: 45_000, isCollected: true },
    { growth: 2.4, idleMs: 40_000, isCollected: false },
    { growth: 2.6, idleMs: 5000, isCollected: true },
    { growth: 2.6, idleMs: 0, isCollected: false },
  ])(
    'keeps what a load left for a while, because its compiled code would be lost: $growth times, $idleMs ms',
    ({ growth, idleMs, isCollected }) => {
      expect(isWorthCollecting(growth, idleMs)).toBe(isCollected);
    },
  );

  it('is left alone once the checks have ended', () => {
    expect(garbageAfter('isIdle = true; await end(); clock.advance(60_000);')).toBe('kept');
  });
});
