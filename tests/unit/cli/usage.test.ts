import { describe, expect, it } from 'vitest';
import { Output } from '../../../src/cli/output.ts';
import { printFigures, printGroups } from '../../../src/cli/verbs/usage.ts';
import type { UsageFigures } from '../../../src/protocol/usage.ts';
import { FigureSums } from '../../../src/usage/store/sums.ts';

const ONE_FAILED: UsageFigures = {
  requests: 3,
  succeeded: 0,
  failed: 3,
  limitReached: 0,
  attempts: 3,
  errorRate: 1,
  releases: 0,
  tokens: new FigureSums().figures().tokens,
  costMicros: 0,
  costKnownFor: 0,
  latencyMs: null,
  firstTokenMs: null,
};

function written(print: (out: Output) => void): string {
  let text = '';
  const stream = { write: (piece: string) => (text += piece) };
  print(new Output(stream, stream, {}));
  return text;
}

describe('usage on a terminal', () => {
  it('says of calls whose cost and tokens nobody told that they are unknown', () => {
    const text = written((out) => printFigures(ONE_FAILED, 'Total', out));
    expect(text).toMatch(/^Total Cost: +unknown$/m);
    expect(text).toMatch(/^Total Tokens: +unknown$/m);
    expect(text).not.toMatch(/prompt 0|\$0/);
  });

  it('counts those that are unknown beside a sum that is known in part', () => {
    const tokens = { ...ONE_FAILED.tokens, prompt: 5, completion: 2, knownFor: 1 };
    const figures = { ...ONE_FAILED, succeeded: 1, failed: 2, tokens, costMicros: 0, costKnownFor: 3 };
    const text = written((out) => printFigures(figures, 'Total', out));
    expect(text).toMatch(/^Total Cost: +\$0\.000000$/m);
    expect(text).toMatch(/^Total Tokens: +7 \(unknown for 2\)$/m);
    expect(text).toMatch(/prompt 5, completion 2/);
  });

  it('has a dash in the cells of a group of which nothing is known, and zero where zero is known', () => {
    const free = { ...ONE_FAILED, costKnownFor: 3, tokens: { ...ONE_FAILED.tokens, knownFor: 3 } };
    const groups = [
      { name: 'bad', figures: ONE_FAILED },
      { name: 'free', figures: free },
    ];
    const answer = { since: 0, until: null, total: ONE_FAILED, groups, more: false };
    const text = written((out) => printGroups(answer, 'model', out));
    expect(text).toMatch(/^bad +3 +100\.0 % +- +- +- +- +-$/m);
    expect(text).toMatch(/^free +3 +100\.0 % +\$0\.000000 +0 +0 +- +-$/m);
  });
});
