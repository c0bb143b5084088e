/**
 * Percentiles, and how figures are printed. All times are milliseconds unless a name says
 * otherwise.
 */

/** Returns the value below which a share (0 to 1) of the samples lies. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Returns the middle of the samples. */
export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5);
}

/**
 * One line of the report: what was measured, beside what, the ratio or difference, and what it
 * should be.
 */
export interface Figure {
  readonly what: string;
  readonly ours: string;
  readonly reference: string;
  readonly result: string;
  readonly target?: string;
  readonly isMet?: boolean;
}

/** Prints figures as a table that can go into a document as it is. */
export function printFigures(title: string, figures: readonly Figure[]): void {
  console.log(`\n### ${title}\n`);
  console.log('| what | aipassd | reference | result | target |');
  console.log('|---|---|---|---|---|');
  for (const { what, ours, reference, result, target, isMet } of figures) {
    const verdict = isMet === undefined ? '' : isMet ? ' (met)' : ' (MISSED)';
    const shown = result === '' ? '-' : `**${result}**`;
    console.log(`| ${what} | ${ours} | ${reference} | ${shown} | ${target ?? '-'}${verdict} |`);
  }
}

/** Prints microseconds. */
export function micros(ms: number): string {
  return `${(ms * 1000).toFixed(0)} µs`;
}

/** Prints milliseconds. */
export function millis(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}
