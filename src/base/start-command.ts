/**
 * The commands that start, stop and restart this user's daemon, judged by whether a service of it
 * is installed. Loads `node:` modules only, because the client's errors show them.
 */

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

export const UNIT_NAME = 'aipassd.service';

export const PLIST_LABEL = 'com.aipassd.daemon';

export const SYSTEM_UNIT_FILE = `/etc/systemd/system/${UNIT_NAME}`;

export function userUnitFile(home: string, env: Environment): string {
  const set = env['XDG_CONFIG_HOME'];
  const configHome = set !== undefined && isAbsolute(set) ? set : join(home, '.config');
  return join(configHome, 'systemd', 'user', UNIT_NAME);
}

/** Returns the place of a user's launchd agent. */
export function agentFile(home: string): string {
  return join(home, 'Library', 'LaunchAgents', `${PLIST_LABEL}.plist`);
}

/** Socket of the daemon of the whole machine. */
const SYSTEM_SOCKET = '/run/aipassd/aipassd.sock';

/** Commands that control the daemon; null for what only the terminal that runs it can do. */
export interface ServiceCommands {
  readonly start: string;
  readonly stop: string | null;
  readonly restart: string | null;
}

/** Sources of the commands; the defaults are this process's own. */
export interface ServiceSources {
  readonly env?: Environment;
  readonly home?: string;
  readonly platform?: NodeJS.Platform;
  readonly exists?: (path: string) => boolean;
}

/** Returns the commands for the daemon behind a socket. */
export function serviceCommands(socket: string, sources: ServiceSources = {}): ServiceCommands {
  const { env = process.env, platform = process.platform, exists = existsSync } = sources;
  if (platform === 'darwin') {
    return exists(agentFile(sources.home ?? homeFolder())) ? agentCommands(process.getuid?.() ?? 0) : BY_HAND;
  }
  if (socket === SYSTEM_SOCKET) return exists(SYSTEM_UNIT_FILE) ? unitCommands('sudo systemctl') : BY_HAND;
  return exists(userUnitFile(sources.home ?? homeFolder(), env)) ? unitCommands('systemctl --user') : BY_HAND;
}

const BY_HAND: ServiceCommands = { start: 'aipassd run', stop: null, restart: null };

/** Returns the commands for a unit; `systemctl` is the program with the options for its manager. */
export function unitCommands(systemctl: string): Record<'start' | 'stop' | 'restart', string> {
  return {
    start: `${systemctl} start aipassd`,
    stop: `${systemctl} stop aipassd`,
    restart: `${systemctl} restart aipassd`,
  };
}

/** Returns the commands for the launchd agent of a user. */
export function agentCommands(uid: number): Record<'start' | 'stop' | 'restart', string> {
  const service = `gui/${uid}/${PLIST_LABEL}`;
  return {
    start: `launchctl kickstart ${service}`,
    stop: `launchctl bootout ${service}`,
    restart: `launchctl kickstart -k ${service}`,
  };
}

function homeFolder(): string {
  try {
    return homedir();
  } catch {
    // A user without a home has no unit in it.
    return '/';
  }
}
