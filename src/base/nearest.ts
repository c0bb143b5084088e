/**
 * "Did you mean …?": finds the known name that a mistyped one is nearest to. Owns the fastest-levenshtein package.
 */

import { distance } from 'fastest-levenshtein';

/** Returns the nearest known name, or undefined where none is near enough to suggest. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const lower = name.toLowerCase();
  let best: { name: string; edits: number } | undefined;
  for (const candidate of known) {
    const edits = distance(lower, candidate.toLowerCase());
    if (edits < (best?.edits ?? Math.max(3, Math.ceil(name.length / 2)))) best = { name: candidate, edits };
  }
  return best?.name;
}
