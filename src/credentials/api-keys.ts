/**
 * Finds the API keys among the variables of `.env`: their providers and their order. Pure.
 *
 * `<PROVIDER>_API_KEY` is a key; `<PROVIDER>_API_KEY_2`, `_3`, … are further keys of the same pool. An unknown
 * name makes a provider of its own. A problem names variables, never values.
 */

import { Secret } from '../base/secret.ts';
import { isPlaceholder } from './placeholders.ts';

/** Name of a key: its provider and its variable in `.env`. Names are not secret. */
export interface KeyName {
  readonly provider: string;
  readonly keyId: string;
}

/** One API key. */
export interface ApiKey extends KeyName {
  readonly value: Secret;
}

/** A problem with the value of a variable. */
interface KeyProblem {
  readonly keyId: string;
  readonly problem: string;
  readonly hint: string;
  /** Whether the variable gives no key because of it. */
  readonly unusable: boolean;
}

/** The keys among the variables, sorted by provider and then by number. */
export interface ApiKeys {
  readonly keys: readonly ApiKey[];
  readonly placeholders: readonly KeyName[];
  readonly problems: readonly KeyProblem[];
}

/** Prefixes that differ from our provider names: Google's documentation uses `GEMINI_API_KEY`. */
const PROVIDER_ALIASES: ReadonlyMap<string, string> = new Map([['gemini', 'google']]);

const VARIABLE = /^([A-Z0-9][A-Z0-9_]*?)_API_KEY(?:_(\d{1,9}))?$/i;

/** A value that an HTTP header carries unchanged: visible ASCII (RFC 9110, section 5.5, without white space). */
const HEADER_VALUE = /^[\x21-\x7e]+$/;

/** Returns the name of the variable that a provider's first key goes into. */
export function variableOf(provider: string): string {
  return `${provider.toUpperCase().replaceAll('-', '_')}_API_KEY`;
}

/** Finds the keys among variables. Prefixes are mapped onto the names in `knownProviders`. */
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
