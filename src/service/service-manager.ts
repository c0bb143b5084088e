/**
 * The service manager that started the daemon: what is reported to it (sd_notify(3)), how often its
 * watchdog is fed, and how it restarts the daemon.
 *
 * Without a service manager, or without libsystemd, every call does nothing. The watchdog is fed
 * by a timer of the event loop, so that the service manager restarts a daemon whose loop is
 * blocked.
 */

import type { Clock } from '../base/clock.ts';
import { notifySystemd } from '../base/native.ts';
import { agentCommands, PLIST_LABEL, unitCommands } from '../base/start-command.ts';
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

/** Returns how often to feed the watchdog, in milliseconds: thrice in its time; else null. */
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

/** A process, and the variables that its parent gave it. */
export interface RunningProcess {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly uid: number;
}

/** Returns how to restart the daemon: a command if a service manager started it. */
export function restartHint(start: RunningProcess): string {
  if (isUnit(start)) {
    // systemd.exec(5): only a user's manager passes its own pid.
    return unitCommands(start.env['MANAGERPID'] === undefined ? 'sudo systemctl' : 'systemctl --user').restart;
  }
  // A program in a terminal of macOS has another name here, that of the terminal.
  if (start.env['XPC_SERVICE_NAME'] === PLIST_LABEL) return agentCommands(start.uid).restart;
  return 'end it with Ctrl-C and start it again';
}

/**
 * Returns whether systemd started this very process. A terminal that is a unit passes INVOCATION_ID
 * on to its children; SYSTEMD_EXEC_PID (systemd 248 and newer) identifies its owner.
 */
function isUnit({ env, pid }: RunningProcess): boolean {
  if (env['NOTIFY_SOCKET'] !== undefined) return true;
  const executed = env['SYSTEMD_EXEC_PID'];
  return env['INVOCATION_ID'] !== undefined && (executed === undefined || executed === String(pid));
}
