/**
 * Where everything lives on disk, for daemon, client and command line alike. Loads `node:` modules
 * only.
 *
 * Each folder can be moved by one variable; Linux follows the XDG base directory specification,
 * macOS its own habits.
 */

import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { AipassError } from './errors.ts';

/** Every path that aipassd reads or writes. All are absolute. */
export interface Paths {
  /** `~/.secrets`: the folder of all secrets, ours and others'. */
  readonly secretsRoot: string;
  /** `~/.secrets/aipass`: the folder that the vault reads. */
  readonly secrets: string;
  /** File that holds the API keys. */
  readonly envFile: string;
  readonly config: string;
  /** Folder of state, database and logs. */
  readonly state: string;
  /** Folder of the sockets. */
  readonly runtime: string;
  /** Socket that node-ipc serves. */
  readonly socket: string;
  readonly gatewaySocket: string;
  /** Lock that the running daemon holds; see ipc/instance-lock.ts. */
  readonly lock: string;
  /** Log file (JSON lines), unless the configuration names another. */
  readonly log: string;
  /** Audit of releases and changes. */
  readonly audit: string;
  /** Record of the last run; see service/last-exit.ts. */
  readonly lastRun: string;
}

/** Returns the error for a path that is too long for a socket. */
export function tooLongForSocket(path: string, cause?: unknown): AipassError {
  return new AipassError('BAD_REQUEST', `the socket's path is too long: ${path}`, {
    hint: 'set AIPASSD_RUNTIME_DIR to a folder with a shorter path, for daemon and clients alike',
    cause,
  });
}

/** Sources of the paths; the defaults are this process's own. */
export interface PathSources {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly home?: string;
  readonly platform?: NodeJS.Platform;
}

/**
 * Derives all paths from the environment. A relative XDG variable is ignored, as its specification
 * demands.
 *
 * @throws AipassError BAD_REQUEST where a path lies in the home folder and this user has none.
 */
export function resolvePaths(sources: PathSources = {}): Paths {
  const env = sources.env ?? process.env;
  const inHome = (...parts: readonly string[]): string => join(sources.home ?? homeFolder(), ...parts);
  const mac = (sources.platform ?? process.platform) === 'darwin';

  const override = (name: string): string | undefined => {
    const value = env[name];
    if (!value) return undefined;
    // A quoted value, or one of a unit, comes without the shell's own expansion.
    return value === '~' || value.startsWith('~/') ? inHome(value.slice(2)) : resolve(value);
  };
  const xdg = (name: string): string | undefined => {
    const value = env[name];
    return value && isAbsolute(value) ? value : undefined;
  };

  const secretsRoot = override('AIPASSD_SECRETS_DIR') ?? inHome('.secrets');
  const secrets = join(secretsRoot, 'aipass');
  const config =
    override('AIPASSD_CONFIG') ?? join(xdg('XDG_CONFIG_HOME') ?? inHome('.config'), 'aipassd', 'config.jsonc');
  const state =
    override('AIPASSD_STATE_DIR') ??
    (mac
      ? inHome('Library', 'Application Support', 'aipassd')
      : join(xdg('XDG_STATE_HOME') ?? inHome('.local', 'state'), 'aipassd'));
  const xdgRuntime = mac ? undefined : xdg('XDG_RUNTIME_DIR');
  const runtime = override('AIPASSD_RUNTIME_DIR') ?? (xdgRuntime ? join(xdgRuntime, 'aipassd') : join(state, 'run'));

  return {
    secretsRoot,
    secrets,
    envFile: join(secrets, '.env'),
    config,
    state,
    runtime,
    socket: join(runtime, 'aipassd.sock'),
    gatewaySocket: join(runtime, 'gateway.sock'),
    lock: join(runtime, 'aipassd.lock'),
    log: join(state, 'logs', 'aipassd.log'),
    audit: join(state, 'audit.jsonl'),
    lastRun: join(state, 'last-run.json'),
  };
}

function homeFolder(): string {
  let home: string | undefined;
  let cause: unknown;
  try {
    home = homedir();
  } catch (error) {
    // There is neither HOME nor an entry in the list of users, as for the user of many a container.
    cause = error;
  }
  if (home !== undefined && isAbsolute(home)) return home;
  throw new AipassError('BAD_REQUEST', 'this user has no home folder, or HOME is not an absolute path', {
    hint: 'set HOME; or set AIPASSD_SECRETS_DIR, AIPASSD_CONFIG, AIPASSD_STATE_DIR and AIPASSD_RUNTIME_DIR',
    cause,
  });
}
