/**
 * Holds the configuration in use and replaces it on demand, or when its file changes. A file that
 * is not valid changes nothing: the configuration in use stays, and `status` reports the problem.
 *
 * A reload is an event: each part listens where it is made, and is called in the order in which the
 * parts were made.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.ts';
import type { Config } from '../base/config-schema.ts';
import { AipassError } from '../base/errors.ts';
import { readFileSignatureSync } from '../base/file-signature.ts';
import { trustWarnings } from '../base/file-trust.ts';
import type { Logger } from '../base/logger.ts';
import type { ConfigSource } from '../base/runtime.ts';
import { repeat } from '../base/timers.ts';
import type { Warning } from '../base/warning.ts';

/** Interval between two checks of the file, in milliseconds. */
const POLL_MS = 2000;

export type ReloadOutcome =
  | { readonly kind: 'unchanged' }
  | ({ readonly kind: 'reloaded' } & ConfigChange)
  | { readonly kind: 'kept'; readonly error: AipassError };

export interface ConfigReloaderDeps {
  readonly path: string;
  /** Reads the file; throws for everything that would keep a daemon from starting. */
  readonly read: () => Config;
  readonly initial: Config;
  /** Command that restarts this daemon, for hints. */
  readonly restart: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ConfigReloader implements ConfigSource {
  readonly #deps: ConfigReloaderDeps;
  readonly #changeListeners = new Set<(next: Config, before: Config) => void>();
  readonly #outcomeListeners = new Set<(outcome: ReloadOutcome) => void>();
  #current: Config;
  #seen: string | undefined;
  #failure: AipassError | null = null;
  /** Settings that changed since the start and wait for a restart. */
  #pending: readonly string[] = [];

  constructor(deps: ConfigReloaderDeps) {
    this.#deps = deps;
    this.#current = deps.initial;
  }

  get current(): Config {
    return this.#current;
  }

  onChange(listener: (next: Config, before: Config) => void): () => void {
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  /** Calls back with the outcome of each reload, after the parts; the result ends that. */
  onReload(listener: (outcome: ReloadOutcome) => void): () => void {
    this.#outcomeListeners.add(listener);
    return () => this.#outcomeListeners.delete(listener);
  }

  /** Reads the file again and puts it to use. Logs the outcome. */
  reload(): ReloadOutcome {
    const outcome = this.#reload();
    const { logger } = this.#deps;
    if (outcome.kind === 'kept') {
      logger.error(`the configuration in use stays: ${outcome.error.message}`);
    } else if (outcome.kind === 'reloaded') {
      logger.info('the configuration was reloaded', { applied: outcome.applied, needRestart: outcome.needRestart });
    } else {
      logger.info('the configuration was read again and is the same');
    }
    for (const listener of this.#outcomeListeners) listener(outcome);
    return outcome;
  }

  /** Polls the file and reloads it when it changed; the returned function ends that. */
  watch(): () => Promise<void> {
    const { clock, path } = this.#deps;
    this.#seen = readSignature(path);
    return repeat(clock, POLL_MS, () => {
      if (readSignature(path) !== this.#seen) this.reload();
    });
  }

  /** Returns what is wrong with the file, and what waits for a restart. */
  warnings(): Warning[] {
    const { path, restart } = this.#deps;
    const warnings: Warning[] = [];
    if (this.#failure !== null) {
      const problem = `${this.#failure.message}; the configuration from before stays in use`;
      warnings.push({ subject: path, problem, hint: this.#failure.hint ?? `edit ${path}` });
    }
    if (this.#pending.length > 0) {
      const problem = `these settings changed and need a restart: ${this.#pending.join(', ')}`;
      warnings.push({ subject: path, problem, hint: `restart the daemon: ${restart}` });
    }
    return warnings;
  }

  #reload(): ReloadOutcome {
    const { path, read, initial } = this.#deps;
    this.#seen = readSignature(path);
    let next: Config;
    try {
      next = read();
    } catch (error) {
      const failure = error instanceof AipassError ? error : new AipassError('INTERNAL', String(error));
      this.#failure = failure;
      return { kind: 'kept', error: failure };
    }
    const before = this.#current;
    const change = compareConfigs(before, next);
    this.#failure = null;
    this.#pending = compareConfigs(initial, next).needRestart;
    if (change.applied.length + change.needRestart.length === 0) return { kind: 'unchanged' };
    this.#current = next;
    this.#notify(next, before);
    return { kind: 'reloaded', ...change };
  }

  /** Calls every listener; one that fails keeps no other from hearing of the change. */
  #notify(next: Config, before: Config): void {
    for (const listener of this.#changeListeners) {
      try {
        listener(next, before);
      } catch (error) {
        this.#deps.logger.error('a part failed to apply the new configuration', { error });
      }
    }
  }
}

/** Returns a text that changes with the file, and with who may write it or a folder above. */
function readSignature(path: string): string {
  return [
    readFileSignatureSync(path),
    ...trustWarnings([path]).map(({ subject, problem }) => subject + problem),
  ].join();
}

/** Settings that differ, by name: those that take effect at once, and those that need a restart. */
export interface ConfigChange {
  readonly applied: readonly string[];
  readonly needRestart: readonly string[];
}

/** Settings that are read at each use, or applied when they change. */
const APPLIED: ReadonlySet<string> = new Set([
  '$schema',
  'access',
  'audit',
  'limits.frameBytes',
  'limits.inFlight',
  'limits.perUser',
  'limits.requestsPerSecond',
]);

/** Matches what is fixed when the pool of a provider is made; all else of it is read anew. */
const FIXED_OF_PROVIDER = /^providers\.[^.]+\.pool$/;

/** Sections whose settings are compared one by one; a provider, too, so that it is named. */
const COMPARED_DEEPER = /^(?:limits|log|network|schedules|usage|providers(?:\.[^.]+)?)$/;

export function compareConfigs(before: Config, after: Config): ConfigChange {
  const changed = [...differences(before, after, '')].toSorted();
  return {
    applied: changed.filter(isApplied),
    needRestart: changed.filter((name) => !isApplied(name)),
  };
}

function isApplied(name: string): boolean {
  return APPLIED.has(name) || (name.startsWith('providers.') && !FIXED_OF_PROVIDER.test(name));
}

function* differences(before: object, after: object, prefix: string): Generator<string> {
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const old: unknown = Reflect.get(before, name);
    const now: unknown = Reflect.get(after, name);
    if (isDeepStrictEqual(old, now)) continue;
    const path = `${prefix}${name}`;
    const isCompared = COMPARED_DEEPER.test(path) && !isOwnProvider(old, now);
    const inner = isCompared ? [...differences(settingsIn(old), settingsIn(now), `${path}.`)] : [];
    // An empty section that comes or goes is a difference, too.
    yield* inner.length > 0 ? inner : [path];
  }
}

/**
 * Returns whether a section is a provider of the user's own that comes or goes. Each has a base
 * URL, and without its section it has no pool. A built-in one without a section may have one.
 */
function isOwnProvider(old: unknown, now: unknown): boolean {
  return (old === undefined || now === undefined) && 'baseUrl' in settingsIn(old ?? now);
}

/** Returns the settings of a section; one that is absent has none. */
function settingsIn(section: unknown): object {
  return typeof section === 'object' && section !== null ? section : {};
}
