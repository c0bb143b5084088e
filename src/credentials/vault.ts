/**
 * Holds the user's API keys and opaque secrets, and keeps them in step with the disk.
 *
 * One read runs at a time and its result is swapped in at once; a change during a read causes
 * another. A problem becomes a warning, and the last good content of that file stays in use. Values
 * leave as `Secret` or through readSecret(); the log gets names.
 */

import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { closeAll, defer } from '../base/dispose.ts';
import { AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Paths } from '../base/paths.ts';
import type { Redactor } from '../base/redactor.ts';
import { Secret } from '../base/secret.ts';
import { Debouncer, repeat } from '../base/timers.ts';
import type { Warning } from '../base/warning.ts';
import type { SecretInfo } from '../protocol/operations.ts';
import { apiKeysOf, type ApiKey, type ApiKeys, type KeyName, type KeyProblem } from './api-keys.ts';
import { parseEnvFile, printableName, type EnvProblem } from './env-file.ts';
import { checkFolder, FolderScan, readStore, RECHECK_MS, type PendingRemovals } from './folder-scan.ts';
import {
  isJsonFile,
  leavesOf,
  listSecrets,
  parseDocument,
  readStored,
  readStoredBytes,
  secretNameOf,
  type StoredFiles,
} from './opaque-store.ts';
import { watchSecrets, type SecretsWatch } from './watcher.ts';

export interface VaultDeps {
  readonly paths: Paths;
  /** Returns the names that prefixes of variables are mapped onto; see `providersChanged`. */
  readonly knownProviders: () => readonly string[];
  readonly redactor: Redactor;
  /** Name under which the redactor keeps this vault's values; `vault` by default. */
  readonly redactorSource?: string | undefined;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/** Waits for an editor to finish: a third of the 500 ms in which a change must be served. */
const CHANGE_TIMES = { quietMs: 40, limitMs: 150 };

/** Time from the first read to the start of the watcher, in milliseconds. */
const WATCH_AFTER_MS = 50;

/** Time between two reads without an event, in milliseconds: network disks may send none. */
const SAFETY_READ_MS = 30_000;

export class Vault {
  readonly #deps: VaultDeps;
  readonly #listeners = new Set<(names: readonly string[]) => void>();
  readonly #rescanListeners = new Set<() => void>();
  #snapshot: Snapshot = EMPTY_SNAPSHOT;
  #lastRead: Promise<void> = Promise.resolve();
  #readWaits = false;
  #changes: Debouncer | undefined;
  #cancelRecheck: (() => void) | undefined;
  #watch: SecretsWatch | undefined;
  #watchProblem: Warning | undefined;

  constructor(deps: VaultDeps) {
    this.#deps = deps;
  }

  /** Reads everything and accepts removals at once. */
  load(): Promise<void> {
    return this.#read(true);
  }

  /** Loads, then follows the disk until released. The watcher is ready soon after. */
  async start(): Promise<() => Promise<void>> {
    const { clock, logger, paths } = this.#deps;
    await this.load();
    const stack = new AsyncDisposableStack();
    defer(stack, 'the last read', () => this.#lastRead);

    const changes = new Debouncer(clock, CHANGE_TIMES, () => this.#readSoon());
    this.#changes = changes;
    defer(
      stack,
      'the safety read',
      repeat(clock, SAFETY_READ_MS, () => this.changed()),
    );
    defer(stack, 'the timers of the vault', () => {
      this.#watch = undefined;
      this.#changes = undefined;
      changes.stop();
      this.#cancelRecheck?.();
      this.#cancelRecheck = undefined;
    });

    // The daemon answers before it loads the watcher, which takes 8 ms of the processor. A change
    // before the watcher is ready is found by the read that follows.
    let watching: Promise<SecretsWatch> | undefined;
    const cancelWatch = clock.after(WATCH_AFTER_MS, () => {
      watching = watchSecrets({
        root: paths.secretsRoot,
        folder: paths.secrets,
        onChange: () => this.changed(),
        onProblem: (problem) => {
          this.#watchProblem = problem;
          if (problem !== undefined) logger.warn(problem.problem, { subject: problem.subject, hint: problem.hint });
        },
      });
      void watching.then((watch) => {
        this.#watch = watch;
        this.changed();
      });
    });
    defer(stack, 'the watcher of the secrets', async () => {
      cancelWatch();
      const watch = await watching;
      await watch?.stop();
    });
    return () => closeAll(stack);
  }

  /** Reads everything again after a quiet moment. Does nothing unless started. */
  changed(): void {
    this.#changes?.trigger();
  }

  /** Maps the held keys onto the providers that are known now. Not a change of values. */
  providersChanged(): void {
    const { variables } = this.#snapshot;
    this.#snapshot = { ...this.#snapshot, ...groupKeys(variables, this.#deps.knownProviders()) };
  }

  /** Returns the keys of one provider, in the order of their numbers, or all keys. */
  keys(provider?: string): readonly ApiKey[] {
    if (provider === undefined) return [...this.#snapshot.keys.values()].flat();
    return this.#snapshot.keys.get(provider) ?? [];
  }

  /** Returns whether every line of `.env` was read: a key that is absent then is not set. */
  isEnvWhole(): boolean {
    return this.#snapshot.isEnvWhole;
  }

  /** Returns whether a variable has its value from before, because `.env` cannot be read now. */
  isFromBefore(keyId: string): boolean {
    return this.#snapshot.fromBefore.has(keyId);
  }

  /** Returns whether the value of a variable ends at a `#` within its line. */
  isCut(keyId: string): boolean {
    return this.#snapshot.cut.has(keyId);
  }

  /** Returns the names of keys whose value is a placeholder. */
  placeholders(): readonly KeyName[] {
    return this.#snapshot.placeholders;
  }

  /** Returns the variables whose value cannot be a key, with what to do about each. */
  unusable(): readonly KeyProblem[] {
    return this.#snapshot.unusable;
  }

  /** Describes the opaque secrets of one provider, or all. */
  secretNames(provider?: string): SecretInfo[] {
    return listSecrets(this.#snapshot.files, provider);
  }

  /**
   * Returns an opaque secret as text or, with `json`, as a document that the caller may change.
   *
   * @throws AipassError BAD_REQUEST for an invalid name, NOT_FOUND if nothing is held under it.
   */
  readSecret(name: string, json: boolean): unknown {
    return this.#orProblem(name, () => readStored(this.#snapshot.files, name, json));
  }

  /**
   * Returns an opaque secret exactly as it is stored; of a JSON file, without `whole`, the bytes of
   * its text.
   *
   * @throws AipassError BAD_REQUEST for an invalid name, NOT_FOUND if nothing is held under it.
   */
  readSecretBytes(name: string, whole: boolean): Buffer {
    return this.#orProblem(name, () => readStoredBytes(this.#snapshot.files, name, whole));
  }

  /** Reads a secret; where its file cannot be used, the error has the reason. */
  #orProblem<Value>(name: string, read: () => Value): Value {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof AipassError) || error.code !== 'NOT_FOUND') throw error;
      const path = join(this.#deps.paths.secrets, name);
      const fault = this.#snapshot.warnings.find(({ subject }) => subject === path || subject === `${path}.json`);
      if (!fault) throw error;
      throw new AipassError('NOT_FOUND', `the secret ${name} cannot be used: ${fault.subject} ${fault.problem}`, {
        hint: fault.hint,
      });
    }
  }

  /** Returns the problems, those that keep content from being used first. */
  warnings(): readonly Warning[] {
    const { warnings } = this.#snapshot;
    return this.#watchProblem ? [...warnings, this.#watchProblem] : warnings;
  }

  /** Calls back with the changed names after a read; the returned function ends that. */
  onChange(listener: (names: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back after each rescan; the returned function ends that. */
  onRescan(listener: () => void): () => void {
    this.#rescanListeners.add(listener);
    return () => this.#rescanListeners.delete(listener);
  }

  /** Reads again, unless a read is waiting to begin. */
  #readSoon(): void {
    if (this.#readWaits) return;
    this.#readWaits = true;
    this.#read(false).catch(() => {});
  }

  /** Reads after all earlier reads. */
  #read(trusting: boolean): Promise<void> {
    const read = this.#lastRead.then(() => {
      if (!trusting) this.#readWaits = false;
      return this.#readNow(trusting);
    });
    this.#lastRead = read.catch((error: unknown) => {
      this.#deps.logger.warn('reading the secrets failed', { error });
    });
    return read;
  }

  async #readNow(trusting: boolean): Promise<void> {
    const { paths, clock, redactor, logger } = this.#deps;
    const knownProviders = this.#deps.knownProviders();
    const before = this.#snapshot;
    const read = await takeSnapshot({ paths, knownProviders, monotonicMs: clock.monotonic(), trusting }, before);
    // Other providers may have become known during the read.
    const after = { ...read, ...groupKeys(read.variables, this.#deps.knownProviders()) };

    const difference = differenceOf(before, after);
    const names = Object.values(difference).flat();
    // Running requests may still use a value that was just replaced.
    if (names.length > 0) {
      const values = [...valuesOf(after, knownProviders), ...valuesOf(before, knownProviders)];
      redactor.learn(values, this.#deps.redactorSource);
    }
    this.#snapshot = after;
    this.#scheduleRecheck(after);
    void this.#watch?.verify();

    // The template's placeholders are not keys: a first start that reported them would contradict
    // itself.
    const placeholders = new Set(after.placeholders.map((key) => key.keyId));
    const added = difference.added.filter((name) => !placeholders.has(name));
    if (added.length + difference.changed.length + difference.removed.length > 0) {
      logger.info('the secrets changed', { ...difference, added });
    }
    const known = new Set(before.warnings.map(printWarning));
    for (const warning of after.warnings.filter((candidate) => !known.has(printWarning(candidate)))) {
      logger.warn(`${warning.subject}: ${warning.problem}`, { hint: warning.hint });
    }
    if (names.length > 0) this.#notify(names);
    for (const listener of this.#rescanListeners) listener();
  }

  #scheduleRecheck(snapshot: Snapshot): void {
    this.#cancelRecheck?.();
    this.#cancelRecheck = undefined;
    if (snapshot.pendingRemovals.size === 0 || !this.#changes) return;
    this.#cancelRecheck = this.#deps.clock.after(RECHECK_MS, () => this.#readSoon());
  }

  #notify(names: readonly string[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(names);
      } catch (error) {
        this.#deps.logger.warn('a listener of the vault failed', { error });
      }
    }
  }
}

function printWarning(warning: Warning): string {
  return `${warning.subject}\n${warning.problem}`;
}

/** Content of the vault. Immutable; the next scan makes another. */
interface Snapshot {
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
  /** Variables that the last scan could not read, and whose values from before are used. */
  readonly fromBefore: ReadonlySet<string>;
  /** Variables whose value ends at a `#` within its line. */
  readonly cut: ReadonlySet<string>;
}

/** Differences between two snapshots by name: variables, and secrets as `<provider>/<slug>`. */
interface Difference {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

const EMPTY_SNAPSHOT: Snapshot = {
  variables: new Map(),
  keys: new Map(),
  placeholders: [],
  unusable: [],
  files: new Map(),
  warnings: [],
  pendingRemovals: new Map(),
  isEnvWhole: false,
  fromBefore: new Set(),
  cut: new Set(),
};

/** Where and when to scan; `trusting` accepts at once that a file is gone or empty. */
interface SnapshotRequest {
  readonly paths: Pick<Paths, 'secretsRoot' | 'secrets' | 'envFile'>;
  readonly knownProviders: readonly string[];
  readonly monotonicMs: number;
  readonly trusting: boolean;
}

/** Scans the disk and returns what is held from now on, its keys not yet grouped. */
async function takeSnapshot(
  request: SnapshotRequest,
  before: Snapshot,
): Promise<Omit<Snapshot, keyof ReturnType<typeof groupKeys>>> {
  const { paths, knownProviders, monotonicMs, trusting } = request;
  const scan = new FolderScan({ monotonicMs, pendingRemovals: before.pendingRemovals, trusting });

  const held = before.variables.size > 0 ? before.variables : undefined;
  let isEnvWhole = false;
  let fromBefore: ReadonlySet<string> | undefined;
  let { cut } = before;
  const variables =
    (await scan.read(paths.envFile, held, {
      recheckEmpty: true,
      parse: (text) => {
        const merged = mergeEnv(paths.envFile, text, before.variables, knownProviders);
        isEnvWhole = merged.isWhole;
        fromBefore = merged.kept;
        cut = merged.cut;
        return merged;
      },
    })) ?? EMPTY_SNAPSHOT.variables;
  await checkFolder(paths.secretsRoot, scan);
  const files = await readStore(paths.secrets, paths.envFile, before.files, scan);

  return {
    variables,
    files,
    warnings: scan.warnings,
    pendingRemovals: scan.pendingRemovals,
    isEnvWhole,
    // A file that is gone for a moment is about to be saved.
    fromBefore: fromBefore ?? new Set(scan.pendingRemovals.has(paths.envFile) ? [] : variables.keys()),
    cut,
  };
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
function differenceOf(before: Snapshot, after: Snapshot): Difference {
  const was = new Map([...before.variables, ...before.files]);
  const is = new Map([...after.variables, ...after.files]);
  return {
    added: named([...is.keys()].filter((key) => !was.has(key))),
    changed: named([...is].filter(([key, value]) => was.get(key)?.equals(value) === false).map(([key]) => key)),
    removed: named([...was.keys()].filter((key) => !is.has(key))),
  };
}

function named(keys: readonly string[]): string[] {
  // Only the name of a file has a slash.
  return [...new Set(keys.map((key) => (key.includes('/') ? secretNameOf(key) : printableName(key))))];
}

/** Returns every value that must not appear in a text. Names of providers are not secret. */
function valuesOf(snapshot: Snapshot, knownProviders: readonly string[]): string[] {
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

type Variables = ReadonlyMap<string, Secret>;

/** Maximum number of lines of one file that are reported one by one. */
const MAX_REPORTED_LINES = 10;

/** Merges the good lines of a changed `.env` with what its bad lines hide. */
function mergeEnv(
  path: string,
  text: string,
  before: Variables,
  knownProviders: readonly string[],
): {
  readonly held: Variables;
  readonly faults: readonly Warning[];
  readonly isWhole: boolean;
  readonly kept: ReadonlySet<string>;
  readonly cut: ReadonlySet<string>;
} {
  const { entries, problems, cut } = parseEnvFile(text);
  const held = new Map([...entries].map(([name, value]) => [name, new Secret(value)]));

  const malformed = problems.filter((problem) => problem.malformed);
  const hidden = new Set(malformed.map((problem) => problem.name));
  const kept = new Set<string>();
  for (const [name, value] of before) {
    // An unreadable line may have been meant to set any name that is missing now.
    if (!hidden.has(name) && (malformed.length === 0 || held.has(name))) continue;
    held.set(name, value);
    kept.add(name);
  }

  const faults = lineWarnings(
    path,
    problems.map((problem) => withKept(problem, kept)),
  );
  const usable = new Set(readKeys(before, knownProviders).keys.map(({ keyId }) => keyId));
  for (const problem of readKeys(held, knownProviders).problems) {
    const last = usable.has(problem.keyId) ? before.get(problem.keyId) : undefined;
    const stays = problem.unusable && last ? '; its value from before stays in use' : '';
    faults.push({ subject: path, problem: `${problem.keyId} ${problem.problem}${stays}`, hint: problem.hint });
    if (!problem.unusable || !last) continue;
    held.set(problem.keyId, last);
    kept.add(problem.keyId);
  }
  return { held, faults, isWhole: malformed.length === 0, kept, cut: cut.difference(kept) };
}

/** Adds to a malformed line what of before stays in use because of it. */
function withKept(problem: EnvProblem, kept: ReadonlySet<string>): EnvProblem {
  const { name, malformed } = problem;
  if (!malformed || (name === undefined ? kept.size === 0 : !kept.has(name))) return problem;
  const what = name === undefined ? 'the keys that are missing now' : printableName(name);
  return {
    ...problem,
    problem: `${problem.problem}; ${what} from before ${name === undefined ? 'stay' : 'stays'} in use`,
  };
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
