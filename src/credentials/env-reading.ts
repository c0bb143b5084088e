/**
 * Merges a changed `.env` with what was held: its good lines, and the last good values that its bad lines hide.
 */

import { Secret } from '../base/secret.ts';
import type { Warning } from '../base/warning.ts';
import type { ApiKeys } from './api-keys.ts';
import { apiKeysOf } from './api-keys.ts';
import type { EnvProblem } from './env-file.ts';
import { parseEnvFile } from './env-file.ts';

/** Values of variables by name. */
export type Variables = ReadonlyMap<string, Secret>;

/** Maximum number of lines of one file that are reported one by one. */
const MAX_REPORTED_LINES = 10;

/** Merges the text of `.env` with what was held of it before. */
export function mergeEnv(
  path: string,
  text: string,
  before: Variables,
  knownProviders: readonly string[],
): { readonly held: Variables; readonly faults: readonly Warning[] } {
  const { entries, problems } = parseEnvFile(text);
  const held = new Map([...entries].map(([name, value]) => [name, new Secret(value)]));

  const malformed = problems.filter((problem) => problem.malformed);
  const hidden = new Set(malformed.map((problem) => problem.name));
  for (const [name, value] of before) {
    // An unreadable line may have been meant to set any name that is missing now.
    if (hidden.has(name) || (malformed.length > 0 && !held.has(name))) held.set(name, value);
  }

  const faults = lineWarnings(path, problems);
  for (const problem of readKeys(held, knownProviders).problems) {
    const last = before.get(problem.keyId);
    const kept = problem.unusable && last ? '; its value from before stays in use' : '';
    faults.push({ subject: path, problem: `${problem.keyId} ${problem.problem}${kept}`, hint: problem.hint });
    if (problem.unusable && last) held.set(problem.keyId, last);
  }
  return { held, faults };
}

/** Finds the keys among held variables. */
export function readKeys(variables: Variables, knownProviders: readonly string[]): ApiKeys {
  return apiKeysOf(new Map([...variables].map(([name, value]) => [name, value.reveal()])), knownProviders);
}

function lineWarnings(path: string, problems: readonly EnvProblem[]): Warning[] {
  const warnings = problems.slice(0, MAX_REPORTED_LINES).map(({ line, problem, hint }) => ({
    subject: path,
    problem: `line ${line} ${problem}`,
    hint: hint ?? `fix line ${line}`,
  }));
  const left = problems.length - warnings.length;
  if (left > 0)
    warnings.push({ subject: path, problem: `${left} more lines are wrong`, hint: 'fix the lines above first' });
  return warnings;
}
