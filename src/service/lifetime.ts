/**
 * What ends the process, and what makes it look at its configuration: signals, and failures that nobody expected.
 *
 * Registered before anything starts, so that no failure ends the process the way Node would: with a stack on stderr,
 * where a secret may be, and with a code that tells a service manager nothing.
 */

/** Is why the daemon ends. */
export type Ending =
  { readonly kind: 'signal'; readonly signal: NodeJS.Signals } | { readonly kind: 'failure'; readonly error: unknown };

/** Is the exit code after a failure nobody expected: EX_SOFTWARE of sysexits.h, so that a service manager restarts us. */
export const EXIT_SOFTWARE = 70;

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** Is how long an orderly stop may take in all: less than the units' TimeoutStopSec, so that we say what hangs ourselves. */
const STOP_LIMIT_MS = 18_000;

/** Watches what ends this process. */
export class Lifetime {
  /** Resolves with the first reason to end. */
  readonly ended: Promise<Ending>;
  readonly #onReload: () => void;
  /** Is told of each failure that comes while the first reason to end is being dealt with. */
  onLateFailure: (error: unknown) => void = () => {};
  #ending: Ending | undefined;
  #failed = false;
  readonly #resolve: (ending: Ending) => void;

  /** Stores what to do on SIGHUP; `watch` begins. */
  constructor(onReload: () => void) {
    this.#onReload = onReload;
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ended = promise;
    this.#resolve = resolve;
  }

  /** Begins to watch; from here on no signal and no failure ends the process by itself. */
  watch(): void {
    for (const signal of STOP_SIGNALS) process.on(signal, () => this.#end({ kind: 'signal', signal }));
    process.on('SIGHUP', this.#onReload);
    // Rejections that nobody handles arrive here too (nodejs.org, --unhandled-rejections=throw, the default).
    process.on('uncaughtException', (error) => this.#end({ kind: 'failure', error }));
    // An otherwise idle process may have nothing that keeps it alive.
    const keepAlive = setInterval(() => {}, 30_000);
    void this.ended.then(() => clearInterval(keepAlive));
  }

  /** Returns the exit code: that of a failure where there was one, be it during the stop. */
  get exitCode(): number {
    return this.#failed ? EXIT_SOFTWARE : 0;
  }

  /** Makes sure that the process ends even where the stop hangs; `say` is told when it did. */
  limitStop(say: () => void): void {
    const limit = setTimeout(() => {
      say();
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
