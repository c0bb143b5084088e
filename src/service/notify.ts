/**
 * Reports the state of the daemon to its service manager (sd_notify(3)), and feeds its watchdog.
 *
 * Without a service manager, or without libsystemd, every call does nothing. The watchdog is fed by
 * a timer of the event loop, so that the service manager restarts a daemon whose loop is blocked.
 */

import type { Clock } from '../base/clock.ts';
import { notifySystemd } from '../base/native.ts';
import { repeat } from '../base/timers.ts';

/** Sends one text to the service manager; returns false where none took it. */
export type SendNotice = (text: string) => boolean;

/** The connection of a daemon to its service manager. */
export class ServiceNotifier {
  readonly #send: SendNotice;

  constructor(send: SendNotice = notifySystemd) {
    this.#send = send;
  }

  /** Reports that the daemon listens with its secrets loaded; also ends a reload. */
  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${oneLine(status)}`);
  }

  /** Reports that the daemon reads its configuration again; `ready` follows. */
  reloading(): void {
    this.#send('RELOADING=1\nSTATUS=reloading');
  }

  /** Reports that the daemon stops. */
  stopping(status: string): void {
    this.#send(`STOPPING=1\nSTATUS=${oneLine(status)}`);
  }

  /** Shows one line in `systemctl status`. */
  status(status: string): void {
    this.#send(`STATUS=${oneLine(status)}`);
  }

  /** Feeds the watchdog every `everyMs` until the returned function is called. */
  feedWatchdog(clock: Clock, everyMs: number): () => Promise<void> {
    const feed = (): void => {
      this.#send('WATCHDOG=1');
    };
    feed();
    return repeat(clock, everyMs, feed);
  }
}

/**
 * Returns how often to feed the watchdog, in milliseconds: thrice in the time it waits; null where
 * none watches this process.
 */
export function watchdogInterval(env: Readonly<Record<string, string | undefined>>, pid: number): number | null {
  const microseconds = Number(env['WATCHDOG_USEC']);
  if (!Number.isSafeInteger(microseconds) || microseconds <= 0) return null;
  const watched = env['WATCHDOG_PID'];
  if (watched !== undefined && watched !== String(pid)) return null;
  return Math.max(1, Math.floor(microseconds / 3000));
}

/** Keeps a text from adding assignments of its own. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ');
}
