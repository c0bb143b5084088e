/**
 * The installation and removal of the service as a list of steps, which can be shown first.
 *
 * Planning is pure. Execution ends at the first failure, and skips what is done already, so that a
 * plan can be executed repeatedly.
 */

import { statSync } from 'node:fs';
import { chmod, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomic } from '../base/atomic-write.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { makeFolder } from '../base/make-folder.ts';
import { plainText } from '../base/plain-text.ts';
import { PLIST_LABEL, UNIT_NAME } from '../base/start-command.ts';
import { PROGRAM_LIMIT_MS, runProgram, type ProgramEnd, type RunProgram } from './run-program.ts';
import type { Sandbox } from './sandbox.ts';

export type Step =
  /** Makes a missing folder; an existing one keeps its mode. */
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  /** Writes a file unless it has this text; with `keep`, unless it exists. */
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly text: string;
      readonly mode: number;
      readonly keep?: boolean;
    }
  /** Removes a file; with `text`, unless it was edited. */
  | { readonly kind: 'remove'; readonly path: string; readonly text?: string }
  /**
   * Runs a program: always, or only if an earlier step changed a file (or did not). With `tolerate`
   * a failure is not an error (nothing to stop, nothing to disable).
   */
  | {
      readonly kind: 'run';
      readonly argv: readonly string[];
      readonly tolerate?: boolean;
      readonly when?: 'changed' | 'unchanged';
    }
  /** Runs a program that changes nothing. If it fails, the plan fails with `problem`. */
  | { readonly kind: 'require'; readonly argv: readonly string[]; readonly problem: string; readonly hint: string }
  | { readonly kind: 'note'; readonly text: string };

/** An installation, from which a plan is made. */
export interface Installation {
  readonly scope: 'systemd-user' | 'systemd-system' | 'launchd';
  readonly home: string;
  readonly uid: number;
  /** The user's name, or the number of one without a name. */
  readonly user: string;
  /** Path and text of the unit or plist. */
  readonly path: string;
  readonly text: string;
  /** Sandbox that this machine can set up, where that was tried. */
  readonly sandbox?: Sandbox;
  /** The user's folders that the service writes. */
  readonly folders: readonly string[];
  readonly logFile: string;
}

/** User of the host-wide daemon, in the format of sysusers.d(5). */
const SYSTEM_USER = 'u aipassd - "aipassd, credential daemon" /var/lib/aipassd\n';
const SYSUSERS_FILE = '/etc/sysusers.d/aipassd.conf';

/** First configuration of a host-wide daemon: its group may use credentials, and see no value. */
const SYSTEM_CONFIG = `{
  // Who may ask this daemon, besides its own user and root. See "access" in config.schema.json.
  "access": {
    "use": { "groups": ["aipassd"] }
  }
}
`;
const SYSTEM_CONFIG_FILE = '/etc/aipassd/config.jsonc';

/** Plans an installation, after which the service runs. */
export function planInstall(installation: Installation): readonly Step[] {
  const { path } = installation;
  const own = installation.folders.map((folder): Step => ({ kind: 'folder', path: folder, mode: 0o700 }));
  const write: Step[] = [
    { kind: 'folder', path: dirname(path), mode: 0o755 },
    { kind: 'write', path, text: installation.text, mode: 0o644 },
  ];
  switch (installation.scope) {
    case 'systemd-user':
      return [
        needUserManager(installation),
        ...own,
        ...write,
        ...startUnit(['systemctl', '--user']),
        ...sandboxNotes(installation),
        logs(installation, 'journalctl --user -u aipassd'),
      ];
    case 'systemd-system':
      return [
        NEED_SYSTEMD,
        { kind: 'folder', path: dirname(SYSUSERS_FILE), mode: 0o755 },
        { kind: 'write', path: SYSUSERS_FILE, text: SYSTEM_USER, mode: 0o644 },
        { kind: 'run', argv: ['systemd-sysusers', SYSUSERS_FILE] },
        { kind: 'folder', path: dirname(SYSTEM_CONFIG_FILE), mode: 0o755 },
        { kind: 'write', path: SYSTEM_CONFIG_FILE, text: SYSTEM_CONFIG, mode: 0o644, keep: true },
        ...write,
        ...startUnit(['systemctl']),
        ...sandboxNotes(installation),
        { kind: 'note', text: 'its secrets go into /var/lib/aipassd/secrets/aipass (owner aipassd, files 0600)' },
        {
          kind: 'note',
          text: 'let people use it: usermod -aG aipassd NAME; they ask with AIPASSD_RUNTIME_DIR=/run/aipassd',
        },
        logs(installation, 'journalctl -u aipassd'),
      ];
    case 'launchd':
      return [
        ...own,
        ...write,
        // A loaded agent keeps its plist: it is unloaded first if the file changed.
        { kind: 'run', argv: ['launchctl', 'bootout', launchTarget(installation)], tolerate: true, when: 'changed' },
        { kind: 'run', argv: ['launchctl', 'bootstrap', `gui/${installation.uid}`, path], tolerate: true },
        { kind: 'run', argv: ['launchctl', 'enable', launchTarget(installation)] },
        { kind: 'run', argv: ['launchctl', 'kickstart', launchTarget(installation)] },
        logs(installation, null),
      ];
  }
}

/** Plans the removal of an installation; secrets, state and an edited configuration stay. */
export function planUninstall(installation: Installation): readonly Step[] {
  const { path } = installation;
  switch (installation.scope) {
    case 'systemd-user':
      return [...stopUnit(['systemctl', '--user'], path), kept(installation.folders)];
    case 'systemd-system':
      return [
        ...stopUnit(['systemctl'], path),
        { kind: 'remove', path: SYSUSERS_FILE },
        { kind: 'remove', path: SYSTEM_CONFIG_FILE, text: SYSTEM_CONFIG },
        // A user that owns files is not removed: its number could be given to another user.
        kept(['/var/lib/aipassd (secrets, state), the user aipassd that owns it']),
      ];
    case 'launchd':
      return [
        { kind: 'run', argv: ['launchctl', 'bootout', launchTarget(installation)], tolerate: true },
        { kind: 'remove', path },
        kept(installation.folders),
      ];
  }
}

/** First step: without a service manager an installation would stop halfway. */
function needUserManager({ uid, user }: Installation): Step {
  return {
    kind: 'require',
    argv: ['systemctl', '--user', 'show-environment'],
    problem: `${user} has no session here, and so no service manager`,
    hint:
      `log in as ${user} (su and sudo open no session), or: sudo loginctl enable-linger ${user} and ` +
      `export XDG_RUNTIME_DIR=/run/user/${uid}; without a service manager: aipassd run`,
  };
}

const NEED_SYSTEMD: Step = {
  kind: 'require',
  argv: ['systemctl', 'show-environment'],
  problem: 'systemd does not answer for this machine',
  hint: 'where another program starts services, have it start "aipassd run"',
};

function startUnit(systemctl: readonly string[]): Step[] {
  return [
    { kind: 'run', argv: [...systemctl, 'daemon-reload'], when: 'changed' },
    { kind: 'run', argv: [...systemctl, 'enable', UNIT_NAME] },
    // With Type=notify both wait until the daemon is ready.
    { kind: 'run', argv: [...systemctl, 'restart', UNIT_NAME], when: 'changed' },
    { kind: 'run', argv: [...systemctl, 'start', UNIT_NAME], when: 'unchanged' },
  ];
}

function stopUnit(systemctl: readonly string[], path: string): Step[] {
  return [
    { kind: 'run', argv: [...systemctl, 'disable', '--now', UNIT_NAME], tolerate: true },
    { kind: 'remove', path },
    { kind: 'run', argv: [...systemctl, 'daemon-reload'], when: 'changed' },
    { kind: 'run', argv: [...systemctl, 'reset-failed', UNIT_NAME], tolerate: true },
  ];
}

/** Returns what the user should know of a sandbox that is weaker than this version's own. */
function sandboxNotes({ sandbox }: Installation): Step[] {
  if (sandbox === undefined || sandbox.leftOut.length === 0) return [];
  const names = sandbox.leftOut.map((line) => line.slice(0, line.indexOf('=') + 1)).join(', ');
  const notes = [`left out of the unit, because ${sandbox.reason}: ${names}`];
  if (!sandbox.isReadOnly) notes.push('so the service can write wherever its user can; its other limits hold');
  notes.push('once that is allowed, run the installation again');
  return notes.map((text) => ({ kind: 'note', text }));
}

function launchTarget(installation: Installation): string {
  return `gui/${installation.uid}/${PLIST_LABEL}`;
}

function logs(installation: Installation, journal: string | null): Step {
  return { kind: 'note', text: `its log: ${installation.logFile}${journal === null ? '' : `, and ${journal}`}` };
}

function kept(what: readonly string[]): Step {
  return { kind: 'note', text: `kept: ${what.join(', ')}` };
}

export interface Done {
  readonly kind: 'did' | 'unchanged' | 'note';
  readonly text: string;
}

/**
 * Executes the steps in order and yields the result of each.
 *
 * @throws AipassError FORBIDDEN for missing rights, NOT_FOUND for a missing program or
 * prerequisite, INTERNAL if a program fails.
 */
export async function* executePlan(steps: readonly Step[], run: RunProgram = runProgram): AsyncGenerator<Done> {
  let changed = false;
  for (const step of steps) {
    const done = await executeStep(step, changed, run);
    if (done === null) continue;
    if (done.kind === 'did' && (step.kind === 'write' || step.kind === 'remove')) changed = true;
    yield done;
  }
}

/** Describes a step, as a shell command where there is one. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'folder':
      return `mkdir -p -m ${step.mode.toString(8)} ${step.path}`;
    case 'write':
      return `write ${step.path}${step.keep === true ? ' (unless it exists)' : ''}`;
    case 'remove':
      return `rm ${step.path}${step.text === undefined ? '' : ' (unless it was edited)'}`;
    case 'run':
      return `${step.argv.join(' ')}${step.when === undefined ? '' : ` (if a file was ${step.when})`}`;
    case 'require':
      return `${step.argv.join(' ')} (if it fails, nothing is done)`;
    case 'note':
      return step.text;
  }
}

async function executeStep(step: Step, changed: boolean, run: RunProgram): Promise<Done | null> {
  switch (step.kind) {
    case 'note':
      return { kind: 'note', text: step.text };
    case 'require':
      return assertRequirement(step, run);
    case 'folder':
      return withRights(step.path, () => addFolder(step.path, step.mode));
    case 'write':
      return withRights(step.path, () => writeText(step));
    case 'remove':
      return withRights(step.path, () => removeText(step));
    case 'run':
      if (step.when !== undefined && (step.when === 'changed') !== changed) return null;
      return runStep(step.argv, step.tolerate ?? false, run);
  }
}

async function addFolder(path: string, mode: number): Promise<Done> {
  const isThere = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isThere) return { kind: 'unchanged', text: `${path} exists` };
  makeFolder(path);
  // Whatever the umask is, the service's own user must be able to enter.
  await chmod(path, mode);
  return { kind: 'did', text: `made ${path}, mode ${mode.toString(8)}` };
}

async function writeText(step: Extract<Step, { kind: 'write' }>): Promise<Done> {
  const present = await readText(step.path);
  if (present === step.text || (present !== null && step.keep === true)) {
    return { kind: 'unchanged', text: `${step.path} exists${present === step.text ? ', as it should be' : ''}` };
  }
  // The mode holds whatever the umask is, as above: a service manager must be able to read its
  // files.
  await writeFileAtomic(step.path, step.text, { mode: step.mode });
  return { kind: 'did', text: `${present === null ? 'wrote' : 'changed'} ${step.path}` };
}

async function removeText(step: Extract<Step, { kind: 'remove' }>): Promise<Done> {
  const present = await readText(step.path);
  if (present === null) return { kind: 'unchanged', text: `${step.path} does not exist` };
  if (step.text !== undefined && present !== step.text) {
    return { kind: 'unchanged', text: `kept ${step.path}, which was edited` };
  }
  await rm(step.path);
  return { kind: 'did', text: `removed ${step.path}` };
}

/** Messages of systemctl and launchctl about a unit or agent that is not there. */
const NOT_LOADED = /not loaded|does not exist|no such (?:file|process)|not be found|could not find service/i;

async function runStep(argv: readonly string[], tolerate: boolean, run: RunProgram): Promise<Done | null> {
  const ended = await run(argv);
  if (ended.code === 0) return { kind: 'did', text: `ran ${argv.join(' ')}` };
  const reason = reasonOf(ended);
  // There was nothing to stop or to disable, so nothing is reported.
  if (tolerate && NOT_LOADED.test(reason)) return null;
  if (tolerate) return { kind: 'unchanged', text: `${argv.join(' ')}: ${reason}` };
  throw new AipassError('INTERNAL', `${argv.join(' ')} failed: ${reason}`, {
    hint: `run it by hand; ${argv[0] === 'launchctl' ? 'launchctl print and the log' : 'systemctl status and journalctl'} show more`,
  });
}

async function assertRequirement(step: Extract<Step, { kind: 'require' }>, run: RunProgram): Promise<null> {
  const ended = await run(step.argv);
  if (ended.code === 0) return null;
  throw new AipassError('NOT_FOUND', `${step.problem}: ${reasonOf(ended)}`, { hint: step.hint });
}

/** Returns why a program failed: its time limit, its error output, or its exit status. */
function reasonOf({ code, stderr, endedBy }: ProgramEnd): string {
  if (endedBy === 'time-limit') return `it was ended after ${PROGRAM_LIMIT_MS / 1000} s without an answer`;
  return plainText(stderr, 300) || (endedBy === undefined ? `exit status ${code ?? 'none'}` : `ended by ${endedBy}`);
}

/** Reads a file through links, or returns null if it is missing. */
async function readText(path: string): Promise<string | null> {
  try {
    const { size } = await stat(path);
    // A file larger than any of ours is different in any case.
    return size > 1024 * 1024 ? '' : await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function withRights(path: string, act: () => Promise<Done>): Promise<Done> {
  try {
    return await act();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error;
    throw new AipassError('FORBIDDEN', `may not change ${path}: ${code}`, {
      hint: 'a service for the whole machine is installed by root: sudo aipassd install --system',
      cause: error,
    });
  }
}
