/**
 * The main thread's end of the usage thread: starts it when there is something to do, asks it, starts it again when it
 * fell, and lets it go when nothing was recorded or asked for a while: it holds some 25 MB.
 */

import { Worker } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { JOURNAL_START } from './segments.ts';
import type { RunnerState } from './store-runner.ts';
import type { FromThread, ThreadCalls, ThreadData, ToThread } from './thread-messages.ts';

const RESTART_AFTER_MS = 1000;

/** Is how long the thread stays with nothing to do. */
const RETIRE_AFTER_MS = 60_000;

/** Is how long the journal may grow before the thread is told: a commit for many events costs little more than for one. */
const WAKE_AFTER_MS = 50;

/** Bounds the wait for the thread to bring in the last events; the rest stays in the journal. */
const CLOSE_LIMIT_MS = 5000;

/** Is how much garbage V8 lets the thread make before it looks for it: by default that is some 50 MB of a daemon that is small. */
const YOUNG_MB = 6;

/** Is a call that waits for its answer. */
interface PendingCall {
  readonly message: ToThread;
  readonly resolve: (result: never) => void;
  readonly reject: (error: AipassError) => void;
}

/** Talks to the usage thread. */
export class StoreThread {
  readonly #data: ThreadData;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pending = new Map<number, PendingCall>();
  #worker: Worker | undefined;
  #lastId = 0;
  #wakeSent = false;
  #closed = false;
  /** Tells that the thread was told to go, and hears nothing any more. */
  #retiring = false;
  /** Tells that the thread fell, and when it is started again is settled. */
  #fell = false;
  /** Tells that the system allowed no thread when one was last to be started. */
  #isRefused = false;
  #usedAt = 0;
  #cancelRetire: (() => void) | undefined;
  #state: RunnerState = { failure: null, open: false, position: JOURNAL_START, damaged: 0 };

  constructor(data: ThreadData, clock: Clock, logger: Logger) {
    this.#data = data;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Returns how the database was when it last changed. */
  get state(): RunnerState {
    return this.#state;
  }

  /** Tells whether there is no thread because there is nothing to do. */
  get isAsleep(): boolean {
    return this.#worker === undefined && !this.#fell;
  }

  /** Tells the thread that the journal has grown; who asks it something need not. */
  wake(): void {
    if (this.#wakeSent) return;
    this.#wakeSent = true;
    this.#clock.after(WAKE_AFTER_MS, () => {
      this.#wakeSent = false;
      // One that starts begins with the journal by itself, and one that fell will.
      if (!this.#worker) this.#start();
      else if (this.#retiring) this.wake();
      else this.#say({ kind: 'wake' });
    });
  }

  /** Has the thread do one thing. Rejects with INTERNAL and a hint while the database does not work. */
  call<Name extends keyof ThreadCalls>(
    name: Name,
    params: ThreadCalls[Name]['params'],
  ): Promise<ThreadCalls[Name]['result']> {
    return new Promise((resolve, reject) => {
      if (this.#closed || this.#fell) {
        reject(threadGone());
        return;
      }
      const id = ++this.#lastId;
      const message: ToThread = { kind: 'call', id, name, params };
      this.#pending.set(id, { message, resolve, reject });
      if (!this.#worker) this.#start();
      else if (!this.#retiring) this.#say(message);
      // The thread keeps the process alive only while somebody waits for it.
      this.#worker?.ref();
    });
  }

  /** Lets the thread bring in what it can, and ends it. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    if (!worker) return;
    const ended = new Promise<void>((resolve) => {
      worker.once('exit', () => resolve());
    });
    worker.ref();
    this.#say({ kind: 'close', last: true });
    const limit = setTimeout(() => void worker.terminate(), CLOSE_LIMIT_MS);
    await ended;
    clearTimeout(limit);
  }

  #start(): void {
    if (this.#closed || this.#worker || this.#fell) return;
    const worker = this.#newWorker();
    if (!worker) {
      this.#restartLater();
      return;
    }
    this.#worker = worker;
    this.#isRefused = false;
    this.#retiring = false;
    worker.on('message', (message: FromThread) => this.#heard(message));
    worker.on('error', (error) => this.#logger.error('the usage thread failed', { error }));
    worker.on('exit', () => this.#ended(worker));
    if (this.#pending.size === 0) worker.unref();
    this.#usedAt = this.#clock.monotonic();
    this.#retireLater();
    for (const { message } of this.#pending.values()) this.#say(message);
  }

  /** Returns a new thread, or nothing where the system allows no more of them at the moment. */
  #newWorker(): Worker | undefined {
    // Run from the sources, as the tests do, the thread's file is a .ts too.
    const file = import.meta.url.endsWith('.ts') ? './thread-main.ts' : './thread-main.js';
    try {
      return new Worker(new URL(file, import.meta.url), {
        workerData: this.#data,
        name: 'usage',
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      });
    } catch (error) {
      // Once: it is tried every second.
      if (!this.#isRefused) this.#logger.error('the usage thread cannot be started', { error });
      this.#isRefused = true;
      return undefined;
    }
  }

  #say(message: ToThread): void {
    this.#usedAt = this.#clock.monotonic();
    this.#worker?.postMessage(message);
  }

  #retireLater(): void {
    // One that is left over from a thread that fell.
    this.#cancelRetire?.();
    this.#cancelRetire = this.#clock.after(RETIRE_AFTER_MS, () => {
      if (!this.#worker || this.#closed || this.#retiring) return;
      // One whose database does not work tries again by itself, and tells when it does.
      const isBusy = this.#pending.size > 0 || this.#wakeSent || this.#state.failure !== null;
      if (isBusy || this.#clock.monotonic() - this.#usedAt < RETIRE_AFTER_MS) {
        this.#retireLater();
        return;
      }
      this.#retiring = true;
      this.#say({ kind: 'close', last: false });
    });
  }

  #heard(message: FromThread): void {
    if (message.kind === 'state') {
      this.#noteState(message.state);
      return;
    }
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (this.#pending.size === 0 && !this.#closed) this.#worker?.unref();
    if (message.kind === 'error') pending?.reject(AipassError.fromWire(message.error));
    else pending?.resolve(message.result as never);
  }

  #noteState(state: RunnerState): void {
    const before = this.#state.failure;
    this.#state = state;
    const { failure } = state;
    if (failure && failure.code !== before?.code) {
      this.#logger.warn(`the usage database does not work: ${failure.reason}; events are queued`, {
        code: failure.code,
        hint: failure.hint,
      });
    } else if (!failure && before) this.#logger.info('the usage database works again');
    if (state.damaged > 0) this.#logger.debug('lines of the usage queue were no events', { damaged: state.damaged });
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#state = { ...this.#state, open: false };
    if (this.#closed || !this.#retiring) this.#restartLater();
    else if (this.#pending.size > 0) this.#start();
  }

  #restartLater(): void {
    for (const { reject } of this.#pending.values()) reject(threadGone());
    this.#pending.clear();
    this.#fell = true;
    this.#clock.after(RESTART_AFTER_MS, () => {
      this.#fell = false;
      this.#start();
    });
  }
}

function threadGone(): AipassError {
  return new AipassError('INTERNAL', 'the usage database is being opened again', {
    hint: 'try again in a second; what happens meanwhile is queued and not lost',
    retryAfterMs: RESTART_AFTER_MS,
  });
}
