/**
 * Judges a key by its looks, offline. A verdict is a hint: a suspect key is reported and lent all the same.
 *
 * No reason ever quotes the key, not even its first characters.
 */

import type { Secret } from '../base/secret.ts';
import type { Provider } from './provider.ts';

/** Is what a key's looks say. */
export type KeyShapeVerdict = { readonly kind: 'valid' } | { readonly kind: 'suspect'; readonly reason: string };

/** Matches what a HTTP header can carry and a key ever held: visible ASCII. */
const SENDABLE = /^[\x21-\x7e]*$/;

/** Judges a key against what the provider's keys usually look like. Prefixes and lengths are in the catalogue. */
export function judgeKeyShape(provider: Pick<Provider, 'name' | 'keyShape'>, key: Secret): KeyShapeVerdict {
  const value = key.reveal();
  const { prefixes, minLength } = provider.keyShape;
  if (!SENDABLE.test(value)) return suspect('it holds a blank or a character that no key has');
  if (prefixes !== undefined && !prefixes.some((prefix) => value.startsWith(prefix))) {
    const usual = prefixes.map((prefix) => `"${prefix}"`).join(' or ');
    return suspect(`keys of ${provider.name} begin with ${usual}, this one does not`);
  }
  if (minLength !== undefined && value.length < minLength) {
    return suspect(`keys of ${provider.name} have at least ${minLength} characters, this one has ${value.length}`);
  }
  return { kind: 'valid' };
}

/** Tells whether a key can be put into a HTTP header at all. */
export function isSendable(key: Secret): boolean {
  return SENDABLE.test(key.reveal());
}

function suspect(reason: string): KeyShapeVerdict {
  return { kind: 'suspect', reason };
}
