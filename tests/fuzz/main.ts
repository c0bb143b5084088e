/**
 * `npm run fuzz [-- SECONDS]`: fuzzes every target for its share of five minutes, and keeps what
 * broke one in the corpus.
 */

import { fuzz, keep } from './fuzz.ts';
import { FUZZ_TARGETS } from './targets.ts';

const seconds = Number(process.argv[2] ?? 300);
const milliseconds = (seconds * 1000) / FUZZ_TARGETS.length;

for (const target of FUZZ_TARGETS) {
  const { runs, broken } = await fuzz(target, { milliseconds });
  process.stdout.write(`${broken === null ? 'held' : 'FELL'}  ${target.name.padEnd(16)} ${runs} texts\n`);
  if (broken === null) continue;
  process.exitCode = 1;
  process.stdout.write(`      ${broken.reason}\n      kept as ${keep(target, broken.text)}\n`);
}
