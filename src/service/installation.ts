/**
 * An installation as this machine has it: this Node, this package, this user's paths. They are
 * filled into a template of `systemd/` or `launchd/`.
 */

import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AipassError } from '../base/errors.ts';
import { assertTrusted, entryFault } from '../base/file-trust.ts';
import { type Paths, resolvePaths } from '../base/paths.ts';
import { shellQuote } from '../base/shell-quote.ts';
import { agentFile, SYSTEM_UNIT_FILE, userUnitFile } from '../base/start-command.ts';
import type { Installation } from './plan.ts';
import { runProgram, type RunProgram } from './run-program.ts';
import { probeSandbox, weakenUnit } from './sandbox.ts';

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
  const environment = system ? {} : movedPaths(paths, home);
  const { AIPASSD_CONFIG: _config, ...folders } = environment;
  const service: ServiceProgram = { command, environment, writable: Object.values(folders) };
  return {
    scope,
    home,
    uid,
    user: userName(uid),
    ...describeService(scope, service, home),
    folders: system ? [] : [paths.secretsRoot, paths.secrets, paths.state],
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

/** Returns the name of this process's user, or the number of one without a name. */
function userName(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid);
  }
}

function describeService(
  scope: Installation['scope'],
  service: ServiceProgram,
  home: string,
): Pick<Installation, 'path' | 'text'> {
  switch (scope) {
    case 'systemd-user': {
      const text = printUnit(readTemplate('systemd/aipassd.service'), service);
      return { path: userUnitFile(home, process.env), text };
    }
    case 'systemd-system':
      return { path: SYSTEM_UNIT_FILE, text: printUnit(readTemplate('systemd/system/aipassd.service'), service) };
    case 'launchd':
      return {
        path: agentFile(home),
        text: printPlist(readTemplate('launchd/com.aipassd.daemon.plist'), service, home),
      };
  }
}

function readTemplate(file: string): string {
  return readFileSync(join(PACKAGE, file), 'utf8');
}

/** Returns the variables for paths that differ from what a service manager's environment gives. */
function movedPaths(paths: Paths, home: string): Record<string, string> {
  const runtime = process.env['XDG_RUNTIME_DIR'] ?? `/run/user/${process.getuid?.() ?? 0}`;
  const usual = resolvePaths({ home, env: { XDG_RUNTIME_DIR: runtime } });
  return {
    ...(paths.secretsRoot === usual.secretsRoot ? {} : { AIPASSD_SECRETS_DIR: paths.secretsRoot }),
    ...(paths.config === usual.config ? {} : { AIPASSD_CONFIG: paths.config }),
    ...(paths.state === usual.state ? {} : { AIPASSD_STATE_DIR: paths.state }),
    ...(paths.runtime === usual.runtime ? {} : { AIPASSD_RUNTIME_DIR: paths.runtime }),
  };
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
    hint: 'install Node and aipassd for the machine (npm pack in the clone, then as root: npm install --global ./aipassd-….tgz), and run that one',
  });
}

/** Checks everything in a folder. What a link leads to is in this package, or is not run. */
function assertTreeTrusted(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const fault = entryFault(path, lstatSync(path), ROOT);
    if (fault !== null) {
      throw new AipassError(
        'UNSAFE_PERMISSIONS',
        `a service for the whole machine is not made from a package that others may change: ${path}: ${fault.problem}`,
        {
          hint:
            'install aipassd as root (npm pack in the clone, then npm install --global ./aipassd-….tgz), or: ' +
            `chown -R root ${shellQuote(PACKAGE)} && chmod -R go-w ${shellQuote(PACKAGE)}`,
        },
      );
    }
    if (entry.isDirectory() && entry.name !== '.git') assertTreeTrusted(path);
  }
}

/** Program of the service. All paths are absolute. */
export interface ServiceProgram {
  /** Program and arguments without `run`: Node and `dist/cli.js`. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Folders that it must be able to write besides those of the template. */
  readonly writable: readonly string[];
}

const UNIT_COMMAND = 'ExecStart=/usr/bin/aipassd run';

/** Prints a unit from its template. Throws if the template has no line to fill in. */
export function printUnit(template: string, service: ServiceProgram): string {
  if (!template.includes(`\n${UNIT_COMMAND}\n`)) throw new Error(`the unit template has no line "${UNIT_COMMAND}"`);
  const [program = '', ...rest] = service.command;
  const added = [
    // systemd replaces no variable in the path of the program, so a doubled `$` would stay doubled.
    `ExecStart=${[quoteWord(program), ...[...rest, 'run'].map(quoteArgument)].join(' ')}`,
    ...Object.entries(service.environment).map(([name, value]) => `Environment=${quoteWord(`${name}=${value}`)}`),
    ...service.writable.map((path) => `ReadWritePaths=${quoteWord(`-${path}`)}`),
  ];
  return template.replace(UNIT_COMMAND, () => added.join('\n'));
}

/** Quotes a word as systemd.syntax(7) reads it, with `%` doubled, because it begins a specifier. */
function quoteWord(word: string): string {
  assertPlain(word);
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')}"`;
}

/** Quotes an argument of a command line, where `$` begins a variable too (systemd.service(5)). */
function quoteArgument(word: string): string {
  return quoteWord(word).replaceAll('$', '$$$$');
}

/** Program and home of the plist template. */
const PLIST_COMMAND = '<string>/usr/local/bin/aipassd</string>';
const PLIST_ENVIRONMENT = '<dict/>';
const PLIST_HOME = '/Users/you/';

/** Prints the plist from its template. Throws when the template has nothing to fill in. */
export function printPlist(template: string, service: ServiceProgram, home: string): string {
  if (!template.includes(PLIST_COMMAND) || !template.includes(PLIST_ENVIRONMENT)) {
    throw new Error('the plist template has no command or environment to fill in');
  }
  const command = service.command.map((word) => `<string>${escapeXml(word)}</string>`).join('\n    ');
  const variables = Object.entries(service.environment).map(
    ([name, value]) => `    <key>${escapeXml(name)}</key>\n    <string>${escapeXml(value)}</string>\n`,
  );
  return template
    .replace(PLIST_COMMAND, () => command)
    .replace(PLIST_ENVIRONMENT, () => (variables.length === 0 ? '<dict/>' : `<dict>\n${variables.join('')}  </dict>`))
    .replaceAll(PLIST_HOME, () => `${escapeXml(home)}/`);
}

function escapeXml(text: string): string {
  assertPlain(text);
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Rejects control characters, which neither format can quote. */
function assertPlain(text: string): void {
  if (/\p{Cc}/u.test(text)) throw new Error('a path or variable of the service holds a control character');
}
