/**
 * How to restart this daemon, derived from its environment: by systemd, by launchd, or by hand.
 */

import { PLIST_LABEL } from '../base/start-command.ts';

/** What identifies the program that started this process. */
export interface RunningProcess {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly uid: number;
}

/** Returns how to restart the daemon: a command if a service manager started it. */
export function restartHint(start: RunningProcess): string {
  if (isUnit(start)) {
    // systemd.exec(5): only a user's manager passes its own pid.
    return start.env['MANAGERPID'] === undefined
      ? 'sudo systemctl restart aipassd'
      : 'systemctl --user restart aipassd';
  }
  // A program in a terminal of macOS has another name here, that of the terminal.
  if (start.env['XPC_SERVICE_NAME'] === PLIST_LABEL) return `launchctl kickstart -k gui/${start.uid}/${PLIST_LABEL}`;
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
