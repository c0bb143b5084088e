/**
 * The main thread's end of the usage thread (thread-main.ts). Starts it when there is something
 * to do, asks it, and starts it again when it crashed. Stops it when nothing was recorded or
 * queried for a while, because it holds some 25 MB.
 *
 * A question takes two hops: `call` here posts it, and the thread calls the method of that name of
 * the open store.
 */

import { Worker } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import { AipassError, type WireError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { JOURNAL_START, type JournalPosition } from './journal.ts';
import type { DatabaseFailure } from './store/failure.ts';
import type { PruneCutoffs } from './store/prune.ts';
import type { UsageStore } from './store/usage-store.ts';

const RESTART_AFTER_MS = 1000;

/** Idle time after which the thread ends, in milliseconds. */
const IDLE_MS = 60_000;

/**
 * Age and number at which recorded events are taken into the database as one batch. That takes 25
 * to 50 ms, for which a question may have to wait. A commit for many events costs little more than
 * for one, and those of one minute add to the same sums. The journal is as durable, and a question
 * has the rest taken in first.
 */
const BATCH_AGE_MS = 2000;
export const BATCH_EVENTS = 2000;

/** Limit of the wait for the thread to take in the last events; the others stay in the journal. */
const CLOSE_LIMIT_MS = 5000;

/**
 * Maximum size of the thread's space for young objects, in MB. By V8's default its garbage takes
 * some 50 MB.
 */
const YOUNG_MB = 6;

/**
 * Calls that the thread answers: the store's own methods, and pruning, which gives others their
 * turn in between.
 */
export type StoreCalls = Pick<
  UsageStore,
  'answer' | 'session' | 'events' | 'generation' | 'recent' | 'unpriced' | 'prunable' | 'bytes' | 'import'
> & {
  readonly prune: (cutoffs: PruneCutoffs) => Promise<{ readonly events: number; readonly totals: number }>;
};

/** Options of a new thread. */
export interface ThreadOptions {
  /** Path of a SQLite file or a `postgres://` address. */
  readonly database: string;
  readonly journalFolder: string;
  /**
   * True if this run has had the database open before: then a missing file was removed meanwhile.
   */
  readonly wasOpen: boolean;
}

/** State of the database, and how far the journal was taken into it. */
export interface DatabaseState {
  readonly failure: DatabaseFailure | null;
  readonly open: boolean;
  readonly position: JournalPosition;
  /** Number of journal lines that could not be read, or that the database refused. */
  readonly damaged: number;
  /** Time at which the journal was last taken in to its end, in epoch milliseconds. */
  readonly drainedAt: number;
  /**
   * Change of the database's file, or null. It was removed or empty, and a new database was made.
   * Or it was exchanged for another one, which is used now.
   */
  readonly replaced: 'removed' | 'empty' | 'exchanged' | null;
}

/**
 * Messages to the thread: `wake` to take in the journal, `call` a method, `close` the database.
 * After the `last` close the journal is not written any more.
 */
export type ToThread =
  | { readonly kind: 'wake' }
  | { readonly kind: 'call'; readonly id: number; readonly name: keyof StoreCalls; readonly args: readonly unknown[] }
  | { readonly kind: 'close'; readonly last: boolean };

/** Messages from the thread: the state of the database, and the outcomes of calls. */
export type FromThread =
  | { readonly kind: 'state'; readonly state: DatabaseState }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: WireError };

/** A call that waits for its answer. */
interface PendingCall {
  readonly message: ToThread;
  readonly resolve: (result: never) => void;
  readonly reject: (error: AipassError) => void;
}

/**
 * State of the thread. `asleep` has no thread because there is nothing to do. `stopping` waits for
 * an idle thread to end, and starts another one if something comes in meanwhile. `crashed` waits
 * to be started again.
 */
type State =
  | { readonly kind: 'asleep' | 'crashed' }
  | { readonly kind: 'running' | 'stopping' | 'closing'; readonly worker: Worker }
  | { readonly kind: 'closed' };

/** The usage thread, as the main thread has it. */
export class UsageThread {
  readonly #options: Omit<ThreadOptions, 'wasOpen'>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pending = new Map<number, PendingCall>();
  #state: State = { kind: 'asleep' };
  #lastId = 0;
  /** Number of events that the thread does not know of yet. */
  #unannounced = 0;
  /** Cancels the timer that will announce them. */
  #cancelAnnounce: (() => void) | undefined;
  #cancelIdle: (() => void) | undefined;
  #usedAt = 0;
  /** True if the system allowed no thread when one was last to be started. */
  #isRefused = false;
  #wasOpen = false;
  #database: DatabaseState = {
    failure: null,
    open: false,
    position: JOURNAL_START,
    damaged: 0,
    drainedAt: 0,
    replaced: null,
  };

  constructor(options: Omit<ThreadOptions, 'wasOpen'>, clock: Clock, logger: Logger) {
    this.#options = options;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** State of the database when it last changed. */
  get database(): DatabaseState {
    return this.#database;
  }

  /** True while there is no thread because there is nothing to do. */
  get isAsleep(): boolean {
    return this.#state.kind === 'asleep';
  }

  /** Notes that the journal has grown by a number of events: they are taken in by number or age. */
  recorded(events: number): void {
    this.#unannounced += events;
    if (this.#unannounced >= BATCH_EVENTS && this.#state.kind === 'running') {
      this.#announce();
      return;
    }
    this.#cancelAnnounce ??= this.#clock.after(BATCH_AGE_MS, () => this.#announce());
  }

  /**
   * Calls one method of the store. Rejects with INTERNAL and a hint while the database does not
   * work, and with CANCELLED once the thread is being closed.
   */
  call<Name extends keyof StoreCalls>(
    name: Name,
    ...args: Parameters<StoreCalls[Name]>
  ): Promise<Awaited<ReturnType<StoreCalls[Name]>>> {
    return new Promise((resolve, reject) => {
      const state = this.#state;
      if (state.kind === 'crashed' || state.kind === 'closing' || state.kind === 'closed') {
        reject(state.kind === 'crashed' ? threadGone() : daemonStopping());
        return;
      }
      const message: ToThread = { kind: 'call', id: ++this.#lastId, name, args };
      this.#pending.set(message.id, { message, resolve, reject });
      if (state.kind === 'asleep') this.#start();
      else if (state.kind === 'running') this.#post(state.worker, message);
      // The thread keeps the process alive only while an answer is awaited.
      if ('worker' in this.#state) this.#state.worker.ref();
    });
  }

  /** Lets the thread take in what it can, and ends it. */
  async close(): Promise<void> {
    const state = this.#state;
    this.#cancelAnnounce?.();
    if (!('worker' in state)) {
      this.#state = { kind: 'closed' };
      return;
    }
    const { worker } = state;
    this.#state = { kind: 'closing', worker };
    const ended = new Promise<void>((resolve) => {
      worker.once('exit', () => resolve());
    });
    worker.ref();
    this.#post(worker, { kind: 'close', last: true });
    const cancelLimit = this.#clock.after(CLOSE_LIMIT_MS, () => void worker.terminate());
    await ended;
    cancelLimit();
  }

  #announce(): void {
    this.#cancelAnnounce?.();
    this.#cancelAnnounce = undefined;
    this.#unannounced = 0;
    // A thread that starts reads the journal by itself.
    if (this.#state.kind === 'asleep') this.#start();
    else if (this.#state.kind === 'running') this.#post(this.#state.worker, { kind: 'wake' });
    else if (this.#state.kind === 'stopping') this.recorded(0);
  }

  #start(): void {
    const worker = this.#newThread();
    if (!worker) {
      this.#crashed();
      return;
    }
    this.#isRefused = false;
    this.#state = { kind: 'running', worker };
    worker.on('message', (message: FromThread) => this.#received(message));
    worker.on('error', (error) => this.#logger.error('the usage thread failed', { error }));
    worker.on('exit', () => this.#ended());
    if (this.#pending.size === 0) worker.unref();
    this.#usedAt = this.#clock.monotonic();
    this.#stopWhenIdle();
    for (const { message } of this.#pending.values()) this.#post(worker, message);
  }

  /** Returns a new thread, or nothing where the system allows no more of them at the moment. */
  #newThread(): Worker | undefined {
    // Run from the sources, as the tests do, the thread's file is a .ts too.
    const file = import.meta.url.endsWith('.ts') ? './thread-main.ts' : './thread-main.js';
    try {
      return new Worker(new URL(file, import.meta.url), {
        workerData: { ...this.#options, wasOpen: this.#wasOpen } satisfies ThreadOptions,
        name: 'usage',
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      });
    } catch (error) {
      // Logged once: it is tried every second.
      if (!this.#isRefused) this.#logger.error('the usage thread cannot be started', { error });
      this.#isRefused = true;
      return undefined;
    }
  }

  #post(worker: Worker, message: ToThread): void {
    this.#usedAt = this.#clock.monotonic();
    worker.postMessage(message, []);
  }

  #stopWhenIdle(): void {
    this.#cancelIdle?.();
    this.#cancelIdle = this.#clock.after(IDLE_MS, () => {
      if (this.#state.kind !== 'running') return;
      // One whose database does not work tries again by itself, and reports when it works.
      const isBusy = this.#pending.size > 0 || this.#cancelAnnounce !== undefined || this.#database.failure !== null;
      if (isBusy || this.#clock.monotonic() - this.#usedAt < IDLE_MS) {
        this.#stopWhenIdle();
        return;
      }
      const { worker } = this.#state;
      this.#state = { kind: 'stopping', worker };
      this.#post(worker, { kind: 'close', last: false });
    });
  }

  #received(message: FromThread): void {
    if (message.kind === 'state') {
      this.#noteDatabase(message.state);
      return;
    }
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (this.#pending.size === 0 && this.#state.kind === 'running') this.#state.worker.unref();
    if (message.kind === 'error') pending?.reject(AipassError.fromWire(message.error));
    else pending?.resolve(message.result as never);
  }

  #noteDatabase(state: DatabaseState): void {
    const before = this.#database;
    this.#database = { ...state, replaced: state.replaced ?? before.replaced };
    this.#wasOpen ||= state.open;
    const { failure } = state;
    if (failure && failure.code !== before.failure?.code) {
      this.#logger.warn(`the usage database does not work: ${failure.reason}; events are queued`, {
        code: failure.code,
        hint: failure.hint,
      });
    } else if (!failure && before.failure) this.#logger.info('the usage database works again');
    if (state.replaced !== null && before.replaced === null) {
      this.#logger.warn('the file of the usage database was replaced', { was: state.replaced });
    }
    if (state.damaged > before.damaged) {
      this.#logger.debug('usage events or lines of the queue were left out', { damaged: state.damaged });
    }
  }

  #ended(): void {
    this.#database = { ...this.#database, open: false };
    switch (this.#state.kind) {
      case 'stopping':
        this.#state = { kind: 'asleep' };
        if (this.#pending.size > 0) this.#start();
        return;
      case 'closing':
        this.#state = { kind: 'closed' };
        this.#rejectPending(daemonStopping());
        return;
      case 'running':
        this.#crashed();
        return;
      case 'asleep':
      case 'crashed':
      case 'closed':
    }
  }

  #crashed(): void {
    this.#cancelIdle?.();
    this.#state = { kind: 'crashed' };
    this.#rejectPending(threadGone());
    this.#clock.after(RESTART_AFTER_MS, () => {
      if (this.#state.kind === 'crashed') this.#start();
    });
  }

  #rejectPending(error: AipassError): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

function threadGone(): AipassError {
  return new AipassError('INTERNAL', 'the usage database is being opened again', {
    hint: 'try again in a second; events are queued meanwhile and not lost',
    retryAfterMs: RESTART_AFTER_MS,
  });
}

function daemonStopping(): AipassError {
  return new AipassError('CANCELLED', 'the daemon is stopping: usage cannot be asked any more', {
    hint: 'ask again when it runs',
  });
}
