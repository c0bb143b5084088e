/**
 * Finds the API keys in a `.env` of any project. Pure.
 *
 * `<PROVIDER>_API_KEY` is a key of any provider; other endings that people use are keys of a
 * provider that is known.
 */

import type { Secret } from '../base/secret.ts';
import { apiKeysOf, variableOf, type ApiKey } from './api-keys.ts';
import { parseEnvFile } from './env-file.ts';

/** A key of the file. */
export interface FoundKey {
  readonly provider: string;
  /** Variable in the file. */
  readonly variable: string;
  readonly value: Secret;
  /** Variable that holds the same key already, here or earlier in the file; null for a new key. */
  readonly knownAs: string | null;
}

/** A variable that has the shape of a key and is not imported. */
export interface SkippedVariable {
  readonly variable: string;
  readonly reason: string;
}

/** What a file holds. */
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
