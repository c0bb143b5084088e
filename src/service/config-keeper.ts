/**
 * Holds the configuration in use and replaces it when it is told to, or when its file changed. A file that is wrong
 * changes nothing: the configuration in use stays, and `status` says what is wrong.
 */

import { statSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import type { Config } from '../base/config-schema.ts';
import { AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Warning } from '../base/warning.ts';
import { compareConfigs, type ConfigChange } from './config-change.ts';

/** Is how often the file is looked at. */
const LOOK_MS = 2000;

/** Is how a reload ended. */
export type ReloadOutcome =
  | { readonly kind: 'unchanged' }
  | ({ readonly kind: 'reloaded' } & ConfigChange)
  | { readonly kind: 'kept'; readonly error: AipassError };

/** Says what a keeper works with. */
export interface ConfigKeeperOptions {
  readonly path: string;
  /** Reads the file; throws what is wrong with it, whatever of it would keep a daemon from starting. */
  readonly read: () => Config;
  readonly initial: Config;
  /** Is what restarts this daemon, for hints. */
  readonly restart: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Puts a configuration to use; throws what keeps it from being used, and has changed nothing then. */
  readonly apply: (config: Config) => void;
  readonly onReload: (outcome: ReloadOutcome) => void;
}

/** Keeps the configuration in use. */
export class ConfigKeeper {
  readonly #options: ConfigKeeperOptions;
  #current: Config;
  #seen: string | undefined;
  #failure: AipassError | null = null;
  /** Lists what changed since the start and waits for a restart. */
  #pending: readonly string[] = [];

  constructor(options: ConfigKeeperOptions) {
    this.#options = options;
    this.#current = options.initial;
  }

  /** Returns the configuration in use. */
  get current(): Config {
    return this.#current;
  }

  /** Reads the file anew and puts it to use. Says in the log what came of it. */
  reload(): ReloadOutcome {
    const outcome = this.#reload();
    const { logger, onReload } = this.#options;
    if (outcome.kind === 'kept') {
      logger.error(`the configuration in use stays: ${outcome.error.message}`);
    } else if (outcome.kind === 'reloaded') {
      logger.info('the configuration was reloaded', { applied: outcome.applied, needRestart: outcome.needRestart });
    } else {
      logger.info('the configuration was read again and is the same');
    }
    onReload(outcome);
    return outcome;
  }

  /** Looks at the file every two seconds and reloads it when it is another; the returned function ends that. */
  watch(): () => void {
    let cancel: (() => void) | undefined;
    this.#seen = this.#fingerprint();
    const look = (): void => {
      const now = this.#fingerprint();
      if (now !== this.#seen) {
        this.#seen = now;
        this.reload();
      }
      cancel = this.#options.clock.after(LOOK_MS, look);
    };
    cancel = this.#options.clock.after(LOOK_MS, look);
    return () => cancel?.();
  }

  /** Lists what is wrong with the file, and what waits for a restart. */
  warnings(): Warning[] {
    const { path, restart } = this.#options;
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
    this.#seen = this.#fingerprint();
    try {
      const next = this.#options.read();
      this.#options.apply(next);
      const change = compareConfigs(this.#current, next);
      this.#current = next;
      this.#failure = null;
      this.#pending = compareConfigs(this.#options.initial, next).needRestart;
      return change.applied.length + change.needRestart.length === 0
        ? { kind: 'unchanged' }
        : { kind: 'reloaded', ...change };
    } catch (error) {
      const failure = error instanceof AipassError ? error : new AipassError('INTERNAL', String(error));
      this.#failure = failure;
      return { kind: 'kept', error: failure };
    }
  }

  #fingerprint(): string {
    try {
      const { ino, size, mtimeMs, ctimeMs } = statSync(this.#options.path);
      return [ino, size, mtimeMs, ctimeMs].join(' ');
    } catch {
      return 'absent';
    }
  }
}
