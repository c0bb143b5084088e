/**
 * The main thread's end of the usage thread: starts it, asks it, and starts it again when it fell.
 */

import { Worker } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { JOURNAL_START } from './segments.ts';
import type { RunnerState } from './store-runner.ts';
import type { FromThread, ThreadCalls, ThreadData, ToThread } from './thread-messages.ts';

const RESTART_AFTER_MS = 1000;

/** Bounds the wait for the thread to bring in the last events; the rest stays in the journal. */
const CLOSE_LIMIT_MS = 5000;

/** Is a call that waits for its answer. */
interface PendingCall {
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
  #state: RunnerState = { failure: null, open: false, position: JOURNAL_START, damaged: 0 };

  constructor(data: ThreadData, clock: Clock, logger: Logger) {
    this.#data = data;
    this.#clock = clock;
    this.#logger = logger;
  }

  start(): void {
    if (this.#closed) return;
    // Run from the sources, as the tests do, the thread's file is a .ts too.
    const file = import.meta.url.endsWith('.ts') ? './thread-main.ts' : './thread-main.js';
    const worker = new Worker(new URL(file, import.meta.url), { workerData: this.#data, name: 'usage' });
    this.#worker = worker;
    worker.on('message', (message: FromThread) => this.#heard(message));
    worker.on('error', (error) => this.#logger.error('the usage thread failed', { error }));
    worker.on('exit', () => this.#ended(worker));
    worker.unref();
  }

  /** Returns how the database was when it last changed. */
  get state(): RunnerState {
    return this.#state;
  }

  /** Tells the thread that the journal has grown; many in one turn of the event loop are one message. */
  wake(): void {
    if (this.#wakeSent) return;
    this.#wakeSent = true;
    setImmediate(() => {
      this.#wakeSent = false;
      this.#say({ kind: 'wake' });
    });
  }

  /** Has the thread do one thing. Rejects with INTERNAL and a hint while the database does not work. */
  call<Name extends keyof ThreadCalls>(
    name: Name,
    params: ThreadCalls[Name]['params'],
  ): Promise<ThreadCalls[Name]['result']> {
    return new Promise((resolve, reject) => {
      if (!this.#worker) {
        reject(threadGone());
        return;
      }
      const id = ++this.#lastId;
      this.#pending.set(id, { resolve, reject });
      // The thread keeps the process alive only while somebody waits for it.
      this.#worker.ref();
      this.#say({ kind: 'call', id, name, params });
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
    this.#say({ kind: 'close' });
    const limit = setTimeout(() => void worker.terminate(), CLOSE_LIMIT_MS);
    await ended;
    clearTimeout(limit);
  }

  #say(message: ToThread): void {
    this.#worker?.postMessage(message);
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
    for (const { reject } of this.#pending.values()) reject(threadGone());
    this.#pending.clear();
    if (!this.#closed) this.#clock.after(RESTART_AFTER_MS, () => this.start());
  }
}

function threadGone(): AipassError {
  return new AipassError('INTERNAL', 'the usage database is being opened again', {
    hint: 'try again in a second; what happens meanwhile is queued and not lost',
    retryAfterMs: RESTART_AFTER_MS,
  });
}
