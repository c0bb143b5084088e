import { expect, it } from 'vitest';
import { fuzz, readCorpus } from '../fuzz/fuzz.ts';
import { FUZZ_TARGETS } from '../fuzz/targets.ts';
import { numRuns } from '../support/num-runs.ts';

it.each(FUZZ_TARGETS.map((target) => [target.name, target] as const))(
  '%s keeps its promises on any text',
  async (_, target) => {
    expect((await fuzz(target, { numRuns: numRuns(150, 2000) })).broken).toBeNull();
  },
);

it.each(FUZZ_TARGETS.map((target) => [target.name, target] as const))(
  '%s keeps its promises on its corpus',
  async (_, target) => {
    const corpus = readCorpus(target);
    expect(corpus.length).toBeGreaterThan(0);
    for (const text of corpus) await target.run(text);
  },
);
