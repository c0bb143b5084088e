/**
 * Finds the API keys among the variables of `.env`: their providers and their order. Pure.
 *
 * `<PROVIDER>_API_KEY` is a key; `<PROVIDER>_API_KEY_2`, `_3`, … are further keys of the same pool.
 * An unknown name makes a provider of its own. A problem names variables, never values. Keys are
 * found in the `.env` of another project, too. There other endings count as well, for known
 * providers only.
 */

import { PRODUCTS } from '../base/nearest.ts';
import { Secret } from '../base/secret.ts';
import { parseEnvFile } from './env-file.ts';
import { isPlaceholder } from './placeholder.ts';

/** Name of a key: its provider and its variable in `.env`. Names are not secret. */
export interface KeyName {
  readonly provider: string;
  readonly keyId: string;
}

export interface ApiKey extends KeyName {
  readonly value: Secret;
}

/** A problem with the value of a variable. */
export interface KeyProblem {
  readonly keyId: string;
  /** Provider that the variable would give a key to, where there is one. */
  readonly provider?: string;
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

/** Visible ASCII, which an HTTP header carries unchanged (RFC 9110, section 5.5). */
const HEADER_VALUE = /^[\x21-\x7e]+$/;

/** Values that cannot be a key, whatever the provider. */
const UNUSABLE_VALUES: readonly { readonly pattern: RegExp; readonly problem: string; readonly hint: string }[] = [
  // What other programs expand: `$NAME`, `${NAME}`, `$(command)`, `$env:NAME`, `%NAME%`,
  // `{{NAME}}`.
  unresolved(/^(?:\$(?:env:)?[A-Za-z_]\w*|\$\{.*\}|\$\(.*\)|%[A-Za-z_]\w*%|\{\{.*\}\})$/),
  // Addresses in password managers and secret stores. An http address may be what a service calls
  // its key.
  unresolved(
    /^(?:(?!https?:)[a-z][a-z0-9+.-]*:\/\/|arn:aws[\w-]*:(?:secretsmanager|ssm):|vault:|projects\/[\w-]+\/secrets\/)/i,
  ),
  {
    pattern: /^(?:~\/|\.{1,2}\/|@?\/(?:etc|home|mnt|opt|root|run|tmp|Users|usr|var)\/)/,
    problem: 'holds the path of a file, which is not read here',
    hint: 'put the key itself there',
  },
  // What templates and other programs replace: `env:NAME`, `@@NAME@@`.
  unresolved(/^(?:env:[A-Za-z_]\w*|@@\w+@@)$/),
  {
    pattern: /^=/,
    problem: 'holds a value that begins with "="',
    hint: 'write one "=" only',
  },
  {
    pattern: /^(?:ENC\[.*\]$|encrypted:.{20})/,
    problem: 'holds an encrypted value, which is not decrypted here',
    hint: 'decrypt the file first',
  },
  {
    pattern: /^[A-Z][A-Z0-9_]*_(?:KEY|TOKEN)=./,
    problem: 'holds an assignment instead of a value',
    hint: 'remove the name and the "=" from the value',
  },
  {
    pattern: /\*{3}|\.{3}/,
    problem: 'holds a masked key, as providers show it in their lists',
    hint: 'copy the whole key, or make a new one where it is shown only once',
  },
  {
    // Quotes that are left after the outer ones were removed.
    pattern: /^(["'`]).*\1$/,
    problem: 'holds a value with quotes inside its quotes',
    hint: 'remove the inner quotes',
  },
];

function unresolved(pattern: RegExp): (typeof UNUSABLE_VALUES)[number] {
  const problem = 'holds a reference to another value, which is not resolved here';
  return { pattern, problem, hint: 'put the key itself there' };
}

/** Characters at the end that no provider's keys end with. */
const STRAY_END = /[;,.)>\]}"'`\\]$/;

/** Returns how a value ends that was probably copied with one character too many, or undefined. */
export function strayEndOf(value: string): string | undefined {
  return STRAY_END.test(value) ? `ends with "${value.at(-1)}", which becomes part of the key` : undefined;
}

/** Returns the name of the variable that a provider's first key goes into. */
export function variableOf(provider: string): string {
  return `${provider.toUpperCase().replaceAll('-', '_')}_API_KEY`;
}

/** Returns why a text cannot be a key, as a predicate that does not quote it, or undefined. */
export function whyNoKey(text: string): string | undefined {
  if (isPlaceholder(text)) return 'is a placeholder, not a key';
  if (!HEADER_VALUE.test(text)) return 'holds a blank, a control character or a letter outside ASCII';
  return UNUSABLE_VALUES.find(({ pattern }) => pattern.test(text))?.problem;
}

/** Finds the keys among variables. Prefixes are mapped onto the names in `knownProviders`. */
export function apiKeysOf(entries: ReadonlyMap<string, string>, knownProviders: readonly string[]): ApiKeys {
  const known = new Map(knownProviders.map((name) => [name.toLowerCase().replaceAll('-', '_'), name]));
  const found: (ApiKey & { readonly order: number; readonly aliased: boolean })[] = [];
  const placeholders: KeyName[] = [];
  const problems: KeyProblem[] = [];

  for (const [keyId, text] of entries) {
    const [, prefix, number] = VARIABLE.exec(keyId) ?? [];
    const meant = meantVariable(keyId, prefix, known);
    // The template's placeholder is not a key.
    if (meant !== undefined && isPlaceholder(entries.get(meant) ?? '') && !isPlaceholder(text)) {
      const problem = prefix === undefined ? 'is not the name of a key' : 'makes a provider of its own';
      problems.push({ keyId, problem, hint: `did you mean ${meant}?`, unusable: false });
    }
    if (prefix === undefined) continue;
    const id = prefix.toLowerCase();
    const provider = known.get(id) ?? PROVIDER_ALIASES.get(id) ?? id;
    const value = text.trim();
    const unusable = UNUSABLE_VALUES.find(({ pattern }) => pattern.test(value));
    if (isPlaceholder(value) || value.toUpperCase() === keyId) {
      placeholders.push({ provider, keyId });
    } else if (keyId !== keyId.toUpperCase()) {
      const hint = `call it ${keyId.toUpperCase()}`;
      problems.push({ keyId, provider, problem: 'is not in upper case, so it is not used', hint, unusable: true });
    } else if (!HEADER_VALUE.test(value)) {
      const problem = 'holds white space, a control character or a letter outside ASCII, which no key can hold';
      problems.push({ keyId, provider, problem, hint: `copy the key of ${provider} again`, unusable: true });
    } else if (unusable) {
      problems.push({ keyId, provider, problem: unusable.problem, hint: unusable.hint, unusable: true });
    } else {
      const problem = strayEndOf(value);
      if (problem !== undefined) {
        problems.push({ keyId, problem, hint: 'remove it if it does not belong to the key', unusable: false });
      }
      const aliased = !known.has(id) && PROVIDER_ALIASES.has(id);
      found.push({ provider, keyId, value: new Secret(value), order: Number(number ?? 1), aliased });
    }
  }

  found.sort(
    (a, b) =>
      compareText(a.provider, b.provider) ||
      a.order - b.order ||
      Number(a.aliased) - Number(b.aliased) ||
      compareText(a.keyId, b.keyId),
  );
  const keys = found.map(({ provider, keyId, value }) => ({ provider, keyId, value }));
  return { keys, placeholders, problems: [...problems, ...repeatedValues(keys)] };
}

/** Almost the name of a key; the second group is what follows that name. */
const NEAR_NAME =
  /^([A-Z0-9][A-Z0-9_]*?)_?(?:API_?KEY(_?\d{1,3}|_[A-Z]\w*|_)|(?:API_?|SECRET_?)?(?:KEYS?|KYE|TOKEN)|API)$/i;

/** Endings that people give to a key that is not to be used. */
const PARKED = /^_(?:OLD|BAK|BACKUP|UNUSED|DISABLED|EXPIRED|REVOKED|PREVIOUS|PREV|EXAMPLE)/i;

/** Prefixes that frameworks give to variables, and SDKs that name theirs after a product. */
const PREFIXES = /^(?:vite|next_public|react_app|expo_public|nuxt_public|public)_/;
const SDK_NAMES: ReadonlyMap<string, string> = new Map([['google_generative_ai', 'google']]);

/** Returns the variable that was probably meant by a name without a known provider. */
function meantVariable(
  keyId: string,
  prefix: string | undefined,
  known: ReadonlyMap<string, string>,
): string | undefined {
  const [, near, ending = ''] = prefix === undefined ? (NEAR_NAME.exec(keyId.replaceAll(/[-.]/g, '_')) ?? []) : [];
  if (PARKED.test(ending)) return undefined;
  const id = (prefix ?? near)?.toLowerCase().replace(PREFIXES, '');
  if (id === undefined) return undefined;
  const own = prefix?.toLowerCase();
  if (own !== undefined && (known.has(own) || PROVIDER_ALIASES.has(own))) return undefined;
  const plain = id.replaceAll('_', '');
  const provider =
    known.get(id) ??
    known.get(PRODUCTS.get(id) ?? SDK_NAMES.get(id) ?? '') ??
    [...known.values()].find((name) => name.replaceAll(/[-_]/g, '') === plain) ??
    [...known.values()].find((name) => name.length >= 6 && name[0] === id[0] && isMistyped(id, name));
  const number = /^_?(\d+)$/.exec(ending)?.[1];
  return provider === undefined ? undefined : `${variableOf(provider)}${number === undefined ? '' : `_${number}`}`;
}

/** Returns whether a name is one letter from another, or has two letters swapped. */
function isMistyped(name: string, meant: string): boolean {
  if (Math.abs(name.length - meant.length) > 1) return false;
  let start = 0;
  while (start < name.length && name[start] === meant[start]) start++;
  let end = 0;
  while (end < name.length - start && name.at(-1 - end) === meant.at(-1 - end)) end++;
  const [left, wanted] = [name.slice(start, name.length - end), meant.slice(start, meant.length - end)];
  return (left.length <= 1 && wanted.length <= 1) || (left.length === 2 && wanted === `${left[1]}${left[0]}`);
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

/** Compares texts in the order of their code units, whatever the language. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

interface FoundKey {
  readonly provider: string;
  /** Variable in the file. */
  readonly variable: string;
  readonly value: Secret;
  /** Variable that holds the same key already, here or earlier in the file; null for a new key. */
  readonly knownAs: string | null;
}

/** A variable that has the shape of a key and is not imported. */
interface SkippedVariable {
  readonly variable: string;
  readonly reason: string;
}

export interface FoundKeys {
  readonly keys: readonly FoundKey[];
  readonly skipped: readonly SkippedVariable[];
}

/** Other spellings of `<PROVIDER>_API_KEY`, believed for known providers only. */
const OTHER_ENDING = /^(?<prefix>[A-Z0-9_]+?)_(?:APIKEY|KEY|TOKEN|API_TOKEN|SECRET_KEY)(?:_(?<number>\d{1,9}))?$/;

/** Finds the keys; `held` are the keys that are there already. */
export function findKeys(text: string, knownProviders: readonly string[], held: readonly ApiKey[]): FoundKeys {
  const known = new Map(knownProviders.map((name) => [variableOf(name), name]));
  const variables = new Map<string, string>();
  const original = new Map<string, string>();
  for (const [variable, value] of parseEnvFile(text).entries) {
    const { prefix, number } = OTHER_ENDING.exec(variable)?.groups ?? {};
    const usual = prefix === undefined ? undefined : `${prefix}_API_KEY`;
    const isOther = usual !== undefined && known.has(usual) && !variable.includes('_API_KEY');
    const name = isOther ? `${usual}${number === undefined ? '' : `_${number}`}` : variable;
    if (isOther && variables.has(name)) continue;
    variables.set(name, value);
    original.set(name, variable);
  }
  const { keys, placeholders, problems } = apiKeysOf(variables, knownProviders);
  const seen = new Map(held.map((key) => [key.value.reveal(), key.keyId]));
  const found = keys.map(({ provider, keyId, value }): FoundKey => {
    const variable = original.get(keyId) ?? keyId;
    const knownAs = seen.get(value.reveal()) ?? null;
    if (knownAs === null) seen.set(value.reveal(), variable);
    return { provider, variable, value, knownAs };
  });
  const skipped = [
    ...placeholders.map(({ keyId }) => ({ variable: keyId, reason: 'is a placeholder' })),
    ...problems.filter(({ unusable }) => unusable).map(({ keyId, problem }) => ({ variable: keyId, reason: problem })),
  ].map(({ variable, reason }) => ({ variable: original.get(variable) ?? variable, reason }));
  return { keys: found, skipped };
}
