import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

/** Size at which the space for young objects stops growing, in bytes. */
const LIMIT = 16 * 1024 * 1024;

/** Settings of V8 hold for a whole process, so that each load runs in one of its own. */
function youngSpaceAfterLoad(prepare: string): number {
  const load = `
    const { getHeapSpaceStatistics } = await import('node:v8');
    ${prepare}
    const kept = [];
    for (let turn = 0; turn < 100; turn += 1) {
      for (let at = 0; at < 20000; at += 1) kept[at] = { turn, list: [turn, at, turn, at, turn, at, turn, at, turn] };
      await new Promise((resolve) => setImmediate(resolve));
    }
    console.log(getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size);
  `;
  return Number(execFileSync(process.execPath, ['--input-type=module', '--eval', load], { encoding: 'utf8' }));
}

function complaintsOf(program: string): string {
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }).stderr;
}

const MODULE = JSON.stringify(new URL('../../../src/base/lean-heap.ts', import.meta.url));

describe('the heap of the daemon', () => {
  it('lets the space for young objects grow under load, to a limit', () => {
    const started = youngSpaceAfterLoad(`(await import(${MODULE})).keepHeapLean();`);
    const loaded = youngSpaceAfterLoad(`(await import(${MODULE})).keepHeapLean()();`);
    expect(loaded).toBeGreaterThan(started);
    expect(loaded).toBeLessThanOrEqual(LIMIT);
  });

  it('would grow over the limit without the settings', () => {
    expect(youngSpaceAfterLoad('')).toBeGreaterThan(LIMIT);
  });

  it('is set by flags that V8 knows: it reports one that it does not know on stderr', () => {
    expect(complaintsOf(`(await import(${MODULE})).keepHeapLean()();`)).toBe('');
    expect(complaintsOf("(await import('node:v8')).setFlagsFromString('--no-such-flag');")).not.toBe('');
  });
});
