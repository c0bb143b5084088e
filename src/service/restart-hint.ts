/**
 * How this daemon is restarted, judged from the environment it was started with: by systemd, by launchd, or by hand.
 */

import { PLIST_LABEL } from './plan.ts';

/** Is what tells who started the daemon. */
export interface Start {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly uid: number;
}

/** Returns what restarts the daemon: a command where a service manager started it. */
export function restartHint(start: Start): string {
  if (isUnit(start)) {
    // systemd.exec(5): only the manager of a user tells its own pid.
    return start.env['MANAGERPID'] === undefined
      ? 'sudo systemctl restart aipassd'
      : 'systemctl --user restart aipassd';
  }
  // A program in a terminal of macOS has another name here, that of the terminal.
  if (start.env['XPC_SERVICE_NAME'] === PLIST_LABEL) return `launchctl kickstart -k gui/${start.uid}/${PLIST_LABEL}`;
  return 'end it with Ctrl-C and start it again';
}

/**
 * Tells whether systemd started this very process. A terminal that is a unit itself hands INVOCATION_ID on to all that is
 * started in it; SYSTEMD_EXEC_PID (systemd 248 and newer) tells whose it is.
 */
function isUnit({ env, pid }: Start): boolean {
  if (env['NOTIFY_SOCKET'] !== undefined) return true;
  const executed = env['SYSTEMD_EXEC_PID'];
  return env['INVOCATION_ID'] !== undefined && (executed === undefined || executed === String(pid));
}
