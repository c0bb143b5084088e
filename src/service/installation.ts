/**
 * An installation as this machine has it: this Node, this package, this user's paths.
 */

import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AipassError } from '../base/errors.ts';
import { assertTrusted, entryFault } from '../base/file-trust.ts';
import { resolvePaths, type Paths } from '../base/paths.ts';
import type { Installation } from './plan.ts';
import { runProgram, type RunProgram } from './run-program.ts';
import { probeSandbox, weakenUnit } from './sandbox.ts';
import { printPlist, printUnit, type ServiceProgram } from './unit-text.ts';

/** The user that may write what the host-wide service runs. */
const ROOT = 0;

/** Folder of this package, two above this file in `src` and in `dist` alike. */
const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));

/** Paths of the host-wide daemon, the same as in systemd/system/aipassd.service. */
export const SYSTEM_PATHS = resolvePaths({
  home: '/var/lib/aipassd',
  platform: 'linux',
  env: {
    AIPASSD_CONFIG: '/etc/aipassd/config.jsonc',
    AIPASSD_SECRETS_DIR: '/var/lib/aipassd/secrets',
    AIPASSD_STATE_DIR: '/var/lib/aipassd/state',
    AIPASSD_RUNTIME_DIR: '/run/aipassd',
  },
});

/** Options of an installation. */
export interface InstallRequest {
  readonly system: boolean;
  /** The user's own paths, as this process resolves them. */
  readonly paths: Paths;
}

/**
 * Describes an installation on this machine.
 *
 * @throws AipassError BAD_REQUEST for a service that this system does not have, or that can't reach
 * its program.
 */
export function describeInstallation({ system, paths }: InstallRequest): Installation {
  const scope = process.platform === 'darwin' ? 'launchd' : system ? 'systemd-system' : 'systemd-user';
  if (system && scope !== 'systemd-system') {
    throw new AipassError('BAD_REQUEST', 'on macOS aipassd runs as the agent of a user', {
      hint: 'aipassd install, without --system',
    });
  }
  const command = [process.execPath, '--disable-sigusr1', join(PACKAGE, 'dist', 'cli.js')];
  if (system) assertSafeProgram(command.filter((word) => isAbsolute(word)));
  const home = homedir();
  const uid = process.getuid?.() ?? 0;
  const used = system ? SYSTEM_PATHS : paths;
  const service: ServiceProgram = {
    command,
    environment: system ? {} : movedPaths(paths, home),
    writable: system ? [] : movedFolders(paths, home),
  };
  return {
    scope,
    home,
    uid,
    user: userName(uid),
    text: printService(scope, service, home),
    folders: system ? [] : [paths.secretsRoot, paths.secrets, paths.state],
    configHome: configHome(home),
    logFile: used.log,
  };
}

/**
 * Finds out which sandbox this machine's systemd can set up, and fits the unit to it. Where no
 * manager answers, the unit stays whole: the first step of the plan then has the reason why nothing
 * can be installed.
 */
export async function fitToMachine(installation: Installation, run: RunProgram = runProgram): Promise<Installation> {
  if (installation.scope === 'launchd') return installation;
  const systemdRun = installation.scope === 'systemd-user' ? ['systemd-run', '--user'] : ['systemd-run'];
  const sandbox = await probeSandbox(installation.text, { systemdRun, home: installation.home, run });
  return sandbox === null ? installation : { ...installation, sandbox, text: weakenUnit(installation.text, sandbox) };
}

/**
 * Returns the name of this process's user, or the number of one without an entry in the list of
 * users.
 */
function userName(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid);
  }
}

function printService(scope: Installation['scope'], service: ServiceProgram, home: string): string {
  switch (scope) {
    case 'systemd-user':
      return printUnit(readTemplate('systemd', 'aipassd.service'), service);
    case 'systemd-system':
      return printUnit(readTemplate('systemd', 'system', 'aipassd.service'), service);
    case 'launchd':
      return printPlist(readTemplate('launchd', 'com.aipassd.daemon.plist'), service, home);
  }
}

function readTemplate(...path: string[]): string {
  return readFileSync(join(PACKAGE, ...path), 'utf8');
}

/**
 * Returns the variables that a service manager must set, because its paths would differ from this
 * shell's.
 */
function movedPaths(paths: Paths, home: string): Record<string, string> {
  const usual = usualPaths(home);
  return {
    ...(paths.secretsRoot === usual.secretsRoot ? {} : { AIPASSD_SECRETS_DIR: paths.secretsRoot }),
    ...(paths.config === usual.config ? {} : { AIPASSD_CONFIG: paths.config }),
    ...(paths.state === usual.state ? {} : { AIPASSD_STATE_DIR: paths.state }),
    ...(paths.runtime === usual.runtime ? {} : { AIPASSD_RUNTIME_DIR: paths.runtime }),
  };
}

function movedFolders(paths: Paths, home: string): string[] {
  const usual = usualPaths(home);
  const pairs = [
    [paths.secretsRoot, usual.secretsRoot],
    [paths.state, usual.state],
    [paths.runtime, usual.runtime],
  ] as const;
  return pairs.filter(([now, before]) => now !== before).map(([now]) => now);
}

/** Returns the paths that result from a service manager's environment. */
function usualPaths(home: string): Paths {
  const runtime = process.env['XDG_RUNTIME_DIR'] ?? `/run/user/${process.getuid?.() ?? 0}`;
  return resolvePaths({ home, env: { XDG_RUNTIME_DIR: runtime } });
}

function configHome(home: string): string {
  const set = process.env['XDG_CONFIG_HOME'];
  return set !== undefined && isAbsolute(set) ? set : join(home, '.config');
}

/**
 * Rejects programs that an ordinary user may change. Whoever can write Node or this package would
 * be the user of the host-wide daemon, which holds everybody's keys. A home is rejected in any
 * case: the unit sees none (ProtectHome=).
 *
 * @throws AipassError BAD_REQUEST for a program in a home, UNSAFE_PERMISSIONS for one that others
 * may write.
 */
function assertSafeProgram(command: readonly string[]): void {
  const hidden = command.find((path) => /^\/(?:home|root|run\/user)\//.test(path));
  if (hidden === undefined) {
    for (const path of command) assertTrusted('a service for the whole machine', path, ROOT);
    assertTreeTrusted(PACKAGE);
    return;
  }
  throw new AipassError('BAD_REQUEST', `a service for the whole machine cannot run from a home: ${dirname(hidden)}`, {
    hint: 'install Node and aipassd for the machine (npm install -g aipassd as root), and run that one',
  });
}

/**
 * Checks everything in a folder. A link is judged by its owner alone: what it leads to is in this
 * package, or is not run.
 */
function assertTreeTrusted(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const fault = entryFault(path, lstatSync(path), ROOT);
    if (fault !== null) {
      throw new AipassError(
        'UNSAFE_PERMISSIONS',
        `a service for the whole machine is not made from a package that others may change: ${path}: ${fault.problem}`,
        {
          hint: `install aipassd as root (npm install -g aipassd), or: chown -R root ${folder} && chmod -R go-w ${folder}`,
        },
      );
    }
    if (entry.isDirectory() && entry.name !== '.git') assertTreeTrusted(path);
  }
}
