/**
 * Everything that the vault holds at one moment, and the scan of the disk that makes the next
 * snapshot.
 */

import type { Paths } from '../base/paths.ts';
import type { Warning } from '../base/warning.ts';
import { apiKeysOf, type ApiKey, type ApiKeys, type KeyName, type KeyProblem } from './api-keys.ts';
import { parseEnvFile, printableName, type EnvProblem } from './env-file.ts';
import { checkFolder, FolderScan, readStore, type PendingRemovals } from './folder-scan.ts';
import { isJsonFile, leavesOf, parseDocument, secretNameOf, type StoredFiles } from './opaque-store.ts';
import { Secret } from '../base/secret.ts';

/** Content of the vault. Immutable; the next scan makes another. */
export interface Snapshot {
  readonly variables: Variables;
  readonly keys: ReadonlyMap<string, readonly ApiKey[]>;
  readonly placeholders: readonly KeyName[];
  /** Variables whose value cannot be a key. */
  readonly unusable: readonly KeyProblem[];
  readonly files: StoredFiles;
  readonly warnings: readonly Warning[];
  readonly pendingRemovals: PendingRemovals;
  /** The last scan read every line of `.env`: a variable that is absent is not set. */
  readonly isEnvWhole: boolean;
}

/** Names that differ between two snapshots: variables, and secrets as `<provider>/<slug>`. */
export interface Difference {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** The empty snapshot. */
export const EMPTY_SNAPSHOT: Snapshot = {
  variables: new Map(),
  keys: new Map(),
  placeholders: [],
  unusable: [],
  files: new Map(),
  warnings: [],
  pendingRemovals: new Map(),
  isEnvWhole: false,
};

/** Where and when to scan; `trusting` accepts at once that a file is gone or empty. */
export interface SnapshotRequest {
  readonly paths: Pick<Paths, 'secretsRoot' | 'secrets' | 'envFile'>;
  readonly knownProviders: readonly string[];
  readonly monotonicMs: number;
  readonly trusting: boolean;
}

/** Scans the disk and returns what is held from now on, given what was held before. */
export async function takeSnapshot(request: SnapshotRequest, before: Snapshot): Promise<Snapshot> {
  const { paths, knownProviders, monotonicMs, trusting } = request;
  const scan = new FolderScan({ monotonicMs, pendingRemovals: before.pendingRemovals, trusting });

  const held = before.variables.size > 0 ? before.variables : undefined;
  let isEnvWhole = false;
  const variables =
    (await scan.read(paths.envFile, held, {
      recheckEmpty: true,
      parse: (text) => {
        const { isWhole, ...merged } = mergeEnv(paths.envFile, text, before.variables, knownProviders);
        isEnvWhole = isWhole;
        return merged;
      },
    })) ?? EMPTY_SNAPSHOT.variables;
  await checkFolder(paths.secretsRoot, scan);
  const files = await readStore(paths.secrets, paths.envFile, before.files, scan);

  return {
    ...groupKeys(variables, knownProviders),
    variables,
    files,
    warnings: scan.warnings,
    pendingRemovals: scan.pendingRemovals,
    isEnvWhole,
  };
}

/** Returns the same content with its keys mapped onto other providers. */
export function regroup(snapshot: Snapshot, knownProviders: readonly string[]): Snapshot {
  return { ...snapshot, ...groupKeys(snapshot.variables, knownProviders) };
}

function groupKeys(
  variables: Variables,
  knownProviders: readonly string[],
): Pick<Snapshot, 'keys' | 'placeholders' | 'unusable'> {
  const { keys, placeholders, problems } = readKeys(variables, knownProviders);
  const unusable = problems.filter((problem) => problem.unusable);
  return { keys: Map.groupBy(keys, (key) => key.provider), placeholders, unusable };
}

/** Compares two snapshots; returns names, never values. */
export function differenceOf(before: Snapshot, after: Snapshot): Difference {
  const variables = compareHeld(before.variables, after.variables, printableName);
  const files = compareHeld(before.files, after.files, secretNameOf);
  return {
    added: [...variables.added, ...files.added],
    changed: [...variables.changed, ...files.changed],
    removed: [...variables.removed, ...files.removed],
  };
}

/**
 * Returns every value that must not appear in a text. Names of providers occur as values and are
 * not secret.
 */
export function valuesOf(snapshot: Snapshot, knownProviders: readonly string[]): string[] {
  const values = new Set<string>();
  const add = (text: string): void => {
    values.add(text.trim());
    for (const line of text.split('\n')) values.add(line.trim());
  };
  const placeholders = new Set(snapshot.placeholders.map((key) => key.keyId));
  for (const [name, value] of snapshot.variables) if (!placeholders.has(name)) add(value.reveal());
  for (const [file, content] of snapshot.files) {
    const parsed = isJsonFile(file) ? parseDocument(content.reveal().replace(/^\uFEFF/, '')) : undefined;
    const leaves = parsed ? leavesOf(parsed.value) : [content.reveal()];
    for (const leaf of leaves ?? []) add(leaf);
  }
  for (const name of ['', ...knownProviders]) values.delete(name);
  return [...values];
}

function compareHeld(before: Variables, after: Variables, nameOf: (key: string) => string): Difference {
  const named = (names: readonly string[]): string[] => [...new Set(names.map(nameOf))];
  return {
    added: named([...after.keys()].filter((name) => !before.has(name))),
    changed: named(
      [...after].filter(([name, value]) => before.get(name)?.equals(value) === false).map(([name]) => name),
    ),
    removed: named([...before.keys()].filter((name) => !after.has(name))),
  };
}

/** Values of variables by name. */
type Variables = ReadonlyMap<string, Secret>;

/** Maximum number of lines of one file that are reported one by one. */
const MAX_REPORTED_LINES = 10;

/**
 * Merges a changed `.env` with what was held: its good lines, and the last good values that its bad
 * lines hide.
 */
function mergeEnv(
  path: string,
  text: string,
  before: Variables,
  knownProviders: readonly string[],
): { readonly held: Variables; readonly faults: readonly Warning[]; readonly isWhole: boolean } {
  const { entries, problems } = parseEnvFile(text);
  const held = new Map([...entries].map(([name, value]) => [name, new Secret(value)]));

  const malformed = problems.filter((problem) => problem.malformed);
  const hidden = new Set(malformed.map((problem) => problem.name));
  for (const [name, value] of before) {
    // An unreadable line may have been meant to set any name that is missing now.
    if (hidden.has(name) || (malformed.length > 0 && !held.has(name))) held.set(name, value);
  }

  const faults = lineWarnings(path, problems);
  const usable = new Set(readKeys(before, knownProviders).keys.map(({ keyId }) => keyId));
  for (const problem of readKeys(held, knownProviders).problems) {
    const last = usable.has(problem.keyId) ? before.get(problem.keyId) : undefined;
    const kept = problem.unusable && last ? '; its value from before stays in use' : '';
    faults.push({ subject: path, problem: `${problem.keyId} ${problem.problem}${kept}`, hint: problem.hint });
    if (problem.unusable && last) held.set(problem.keyId, last);
  }
  return { held, faults, isWhole: malformed.length === 0 };
}

/** Finds the keys among held variables. */
function readKeys(variables: Variables, knownProviders: readonly string[]): ApiKeys {
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
