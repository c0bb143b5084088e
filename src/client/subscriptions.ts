/**
 * Listens to the daemon's events, through its restarts too: after a lost connection the
 * subscription is made again.
 */

import { backoffMs, type Backoff } from '../base/backoff.ts';
import { foregroundClock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { EventName, Events } from '../protocol/events.ts';
import type { Session } from './session.ts';

/** Waits before a lost subscription is made again. */
const RESUBSCRIBE: Backoff = { firstMs: 250, maxMs: 30_000, jitter: 0 };

/** Listeners of a client. */
export class Subscriptions {
  readonly #session: Session;
  readonly #listeners = new Map<string, Set<(data: never) => void>>();
  #isClosed = false;
  #failures = 0;
  /** Cancels the next try, where one is planned. */
  #cancelRenewal: (() => void) | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  /**
   * Adds a listener and keeps the process alive; the returned function removes the listener.
   *
   * @throws AipassError BAD_REQUEST after close().
   */
  on<Name extends EventName>(event: Name, listener: (data: Events[Name]) => void): () => void {
    if (this.#isClosed) throw new AipassError('BAD_REQUEST', 'this connection was closed', { hint: 'connect() again' });
    const set = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, set);
    set.add(listener);
    this.#session.hold(true);
    this.#subscribe();
    return () => {
      set.delete(listener);
      if (set.size === 0 && this.#listeners.get(event) === set) this.#listeners.delete(event);
      if (this.#listeners.size > 0) return;
      this.#stopRenewing();
      this.#session.hold(false);
    };
  }

  /** Calls the listeners of an event; one that throws disturbs nobody else. */
  emit(event: string, data: unknown): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(data as never);
      } catch (error) {
        // As with any emitter, the failure is the program's; it must not affect the connection and
        // the other listeners.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** Subscribes again after a while, because the connection was lost. */
  renew(): void {
    // A lost connection is reported twice: as lost, and by the request that failed with it.
    if (this.#listeners.size === 0 || this.#cancelRenewal) return;
    this.#failures += 1;
    const waitMs = backoffMs(RESUBSCRIBE, this.#failures, Math.random);
    this.#cancelRenewal = foregroundClock.after(waitMs, () => {
      this.#cancelRenewal = undefined;
      this.#subscribe();
    });
  }

  /** Subscribes again at once where the connection was opened sooner for another request. */
  renewNow(): void {
    if (!this.#cancelRenewal) return;
    this.#stopRenewing();
    this.#subscribe();
  }

  /** Removes every listener, and takes no further one. */
  close(): void {
    this.#isClosed = true;
    this.#stopRenewing();
    this.#listeners.clear();
  }

  #stopRenewing(): void {
    this.#cancelRenewal?.();
    this.#cancelRenewal = undefined;
  }

  #subscribe(): void {
    const events = [...this.#listeners.keys()] as EventName[];
    this.#session.request('event.subscribe', { events }).then(
      () => {
        this.#failures = 0;
      },
      () => this.renew(),
    );
  }
}
