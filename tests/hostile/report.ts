/**
 * How the kit says what an attack did: one line each, and one for each thing that fell.
 */

import type { AttackReport } from './kit.ts';

/** Prints how one attack went. */
export function printReport({ name, effect, good, bare, memory, problems }: AttackReport): void {
  const mb = memory === null ? '' : `  ${memory.before} → ${memory.after} → ${memory.settled} MB`;
  process.stdout.write(
    `${problems.length === 0 ? 'held' : 'FELL'}  ${name.padEnd(38)} p50 ${ms(good.p50)}  p99 ${ms(good.p99)}  max ${ms(good.longest)} ms  (bare p99 ${ms(bare.p99)})${mb}  ${effect}\n`,
  );
  for (const problem of problems) process.stdout.write(`      ${problem}\n`);
}

/** Prints a time in a column of its own width. */
function ms(value: number): string {
  return value.toFixed(2).padStart(7);
}
