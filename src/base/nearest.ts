/**
 * "Did you mean …?": finds the known name that a mistyped one is nearest to. Owns the
 * fastest-levenshtein package.
 */

import { distance } from 'fastest-levenshtein';

/** Names of products that people take for the name of their provider. */
export const PRODUCTS: ReadonlyMap<string, string> = new Map([
  ['chatgpt', 'openai'],
  ['claude', 'anthropic'],
  ['gemini', 'google'],
  ['gpt', 'openai'],
  ['grok', 'xai'],
  ['kimi', 'moonshot'],
]);

/** Returns the known provider that a name is probably meant for: a product's maker, or near. */
export function nearestProvider(name: string, known: Iterable<string>): string | undefined {
  const names = [...known];
  const maker = PRODUCTS.get(name.toLowerCase());
  return maker !== undefined && names.includes(maker) ? maker : nearest(name, names);
}

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
