/**
 * Signals and unexpected failures: they end the process, or make it reload its configuration.
 *
 * Registered before anything starts, so that no failure ends the process as Node would. Node prints
 * a stack on stderr, which may hold a secret, and its exit code means nothing to a service manager.
 */

import { constants } from 'node:os';

export type Ending =
  { readonly kind: 'signal'; readonly signal: NodeJS.Signals } | { readonly kind: 'failure'; readonly error: unknown };

/** EX_SOFTWARE of sysexits.h, after which a service manager restarts the daemon. */
export const EXIT_SOFTWARE = 70;

/** Signals that stop the daemon in good order; Node handles only the first two. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGXCPU', 'SIGPWR'] as const;

/**
 * Signals that would end the process by default, and that have no meaning for it. SIGUSR1 and
 * SIGUSR2 mean "reopen the log" to other programs. Nobody set timers. After SIGXFSZ, a write fails
 * as on a full disk. SIGPIPE is not listed: Node ignores it already, and a listener that logs would
 * cause the next one.
 */
const IGNORED_SIGNALS = ['SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGIO', 'SIGSTKFLT', 'SIGXFSZ'] as const;

/** Longest orderly stop, in milliseconds: less than the units' TimeoutStopSec. */
const STOP_LIMIT_MS = 18_000;

export class Lifetime {
  /** Resolves with the first reason to end. */
  readonly ended: Promise<Ending>;
  readonly #onReload: () => void;
  /** Called with each failure that follows the first reason to end. */
  onLateFailure: (error: unknown) => void = () => {};
  onIgnored: (signal: NodeJS.Signals) => void = () => {};
  #ending: Ending | undefined;
  #failed = false;
  readonly #resolve: (ending: Ending) => void;

  /** `onReload` is called at SIGHUP, once `watch` was called. */
  constructor(onReload: () => void) {
    this.#onReload = onReload;
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ended = promise;
    this.#resolve = resolve;
  }

  /** Registers the listeners; from here on no signal and no failure ends the process by itself. */
  watch(): void {
    for (const signal of STOP_SIGNALS.filter(isKnown)) process.on(signal, () => this.#end({ kind: 'signal', signal }));
    for (const signal of IGNORED_SIGNALS.filter(isKnown)) process.on(signal, () => this.onIgnored(signal));
    process.on('SIGHUP', this.#onReload);
    // Rejections that nobody handles arrive here too (nodejs.org, --unhandled-rejections=throw, the
    // default).
    process.on('uncaughtException', (error) => this.#end({ kind: 'failure', error }));
    // An otherwise idle process may have nothing that keeps it alive.
    const keepAlive = setInterval(() => {}, 30_000);
    void this.ended.then(() => clearInterval(keepAlive));
  }

  /** Exit code: that of a failure where there was one, also during the stop. */
  get exitCode(): number {
    return this.#failed ? EXIT_SOFTWARE : 0;
  }

  /** Ends the process where the stop hangs, after calling back. */
  limitStop(onHang: () => void): void {
    const limit = setTimeout(() => {
      onHang();
      process.exit(EXIT_SOFTWARE);
    }, STOP_LIMIT_MS);
    limit.unref();
  }

  #end(ending: Ending): void {
    if (ending.kind === 'failure') this.#failed = true;
    if (this.#ending === undefined) {
      this.#ending = ending;
      this.#resolve(ending);
    } else if (ending.kind === 'signal') {
      // A second signal means now.
      process.exit(this.exitCode);
    } else {
      this.onLateFailure(ending.error);
    }
  }
}

/** Returns whether this system has a signal: SIGPWR and SIGSTKFLT are Linux's. */
function isKnown(signal: NodeJS.Signals): boolean {
  return signal in constants.signals;
}
