/**
 * The verdicts on keys and accounts, as `validate` and `pool --check` print them.
 */

import type { KeyVerdict } from '../protocol/provider.ts';
import type { Output } from './output.ts';

const COLOURS = { valid: 'green', suspect: 'yellow', invalid: 'red', unknown: 'yellow' } as const;

/** Prints one verdict on a key or an account. */
export function printVerdict(
  subject: string,
  { verdict, detail }: { readonly verdict: KeyVerdict['verdict']; readonly detail: string },
  out: Output,
): void {
  out.paragraph(`${subject}  ${out.style(COLOURS[verdict], verdict)}: ${detail}`, 2);
}

/** Returns what a verdict on a key is about. */
export function keySubject({ provider, keyId, masked }: KeyVerdict): string {
  return `${provider}  ${keyId}  ${masked}`;
}

/**
 * Returns whether a key is not known to be good: rejected, of another shape, or its provider was
 * asked and gave no verdict.
 */
export function isBadKey({ verdict, checked }: KeyVerdict): boolean {
  return verdict === 'invalid' || verdict === 'suspect' || (verdict === 'unknown' && checked === 'online');
}
