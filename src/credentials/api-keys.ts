/**
 * Which variables of `.env` are API keys, of which provider, and in which order. Pure.
 *
 * `<PROVIDER>_API_KEY` is a key; `<PROVIDER>_API_KEY_2`, `_3`, … are further keys of the same pool. Any provider is
 * possible: a name nobody knows is a provider of its own. A problem names variables, never values.
 */

import { Secret } from '../base/secret.ts';
import { isPlaceholder } from './placeholders.ts';

/** Names a key: its provider and its variable in `.env`, which is no secret. */
export interface KeyName {
  readonly provider: string;
  readonly keyId: string;
}

/** Is one API key. */
export interface ApiKey extends KeyName {
  readonly value: Secret;
}

/** Is something wrong with the value of a variable. */
interface KeyProblem {
  readonly keyId: string;
  readonly problem: string;
  readonly hint: string;
  /** Tells that the variable gives no key. */
  readonly unusable: boolean;
}

/** Is what the variables say of keys: by provider, and within one provider in the order of their numbers. */
export interface ApiKeys {
  readonly keys: readonly ApiKey[];
  readonly placeholders: readonly KeyName[];
  readonly problems: readonly KeyProblem[];
}

/** Maps prefixes that name a provider differently from us: Google's own documentation calls its variable `GEMINI_API_KEY`. */
const PROVIDER_ALIASES: ReadonlyMap<string, string> = new Map([['gemini', 'google']]);

const VARIABLE = /^([A-Z0-9][A-Z0-9_]*?)_API_KEY(?:_(\d{1,9}))?$/i;

/** Matches a value that an HTTP header carries as it is: visible ASCII (RFC 9110, section 5.5, without white space). */
const HEADER_VALUE = /^[\x21-\x7e]+$/;

/** Finds the keys among variables. `knownProviders` are the names that prefixes are mapped onto. */
export function apiKeysOf(entries: ReadonlyMap<string, string>, knownProviders: readonly string[]): ApiKeys {
  const known = new Map(knownProviders.map((name) => [name.toLowerCase().replaceAll('-', '_'), name]));
  const found: (ApiKey & { readonly order: number; readonly aliased: boolean })[] = [];
  const placeholders: KeyName[] = [];
  const problems: KeyProblem[] = [];

  for (const [keyId, text] of entries) {
    const [, prefix, number] = VARIABLE.exec(keyId) ?? [];
    if (prefix === undefined) continue;
    const id = prefix.toLowerCase();
    const provider = known.get(id) ?? PROVIDER_ALIASES.get(id) ?? id;
    const value = text.trim();
    if (isPlaceholder(value)) {
      placeholders.push({ provider, keyId });
    } else if (keyId !== keyId.toUpperCase()) {
      const hint = `call it ${keyId.toUpperCase()}`;
      problems.push({ keyId, problem: 'is not in upper case, so it is not used', hint, unusable: true });
    } else if (!HEADER_VALUE.test(value)) {
      const problem = 'holds white space, a control character or a letter outside ASCII, which no key can hold';
      problems.push({ keyId, problem, hint: `copy the key of ${provider} again`, unusable: true });
    } else {
      const aliased = !known.has(id) && PROVIDER_ALIASES.has(id);
      found.push({ provider, keyId, value: new Secret(value), order: Number(number ?? 1), aliased });
    }
  }

  found.sort(
    (a, b) =>
      compare(a.provider, b.provider) ||
      a.order - b.order ||
      Number(a.aliased) - Number(b.aliased) ||
      compare(a.keyId, b.keyId),
  );
  const keys = found.map(({ provider, keyId, value }) => ({ provider, keyId, value }));
  return { keys, placeholders, problems: [...problems, ...repeatedValues(keys)] };
}

function repeatedValues(keys: readonly ApiKey[]): KeyProblem[] {
  const groups = Map.groupBy(keys, (key) => key.value.reveal());
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => {
      const names = group.map((key) => key.keyId);
      const [first = '', ...others] = names;
      const problem = `holds the same key as ${others.join(', ')}`;
      return { keyId: first, problem, hint: `keep one of ${names.join(', ')}`, unusable: false };
    });
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
