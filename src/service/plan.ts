/**
 * Plans the installation and removal of the service as a list of steps that can be shown first.
 *
 * Pure. execute.ts executes a plan and skips what is done already, so that it can be executed
 * repeatedly.
 */

import { dirname, join } from 'node:path';
import type { Sandbox } from './sandbox.ts';
import { PLIST_LABEL, SYSTEM_UNIT_FILE, UNIT_NAME } from '../base/start-command.ts';

/** One step of a plan. */
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
  /** A note for the user. */
  | { readonly kind: 'note'; readonly text: string };

/** What is installed where; a plan is made from it. */
export interface Installation {
  readonly scope: 'systemd-user' | 'systemd-system' | 'launchd';
  readonly home: string;
  readonly uid: number;
  /** The user's name, or the number of one without a name. */
  readonly user: string;
  /** Text of the unit or plist. */
  readonly text: string;
  /** What the unit has to do without on this machine, where that was tried. */
  readonly sandbox?: Sandbox;
  /** The user's folders that the service writes. */
  readonly folders: readonly string[];
  /** `$XDG_CONFIG_HOME` or its default. */
  readonly configHome: string;
  readonly logFile: string;
}

/** User of the host-wide daemon, in the format of sysusers.d(5). */
const SYSTEM_USER = 'u aipassd - "aipassd, credential daemon" /var/lib/aipassd\n';
const SYSUSERS_FILE = '/etc/sysusers.d/aipassd.conf';

/**
 * First configuration of a host-wide daemon: members of the group may use credentials but see no
 * value.
 */
const SYSTEM_CONFIG = `{
  // Who may ask this daemon, besides its own user and root. See "access" in config.schema.json.
  "access": {
    "use": { "groups": ["aipassd"] }
  }
}
`;
const SYSTEM_CONFIG_FILE = '/etc/aipassd/config.jsonc';

/** Returns the path of the unit or plist. */
export function servicePath(installation: Pick<Installation, 'scope' | 'home' | 'configHome'>): string {
  switch (installation.scope) {
    case 'systemd-user':
      return join(installation.configHome, 'systemd', 'user', UNIT_NAME);
    case 'systemd-system':
      return SYSTEM_UNIT_FILE;
    case 'launchd':
      return join(installation.home, 'Library', 'LaunchAgents', `${PLIST_LABEL}.plist`);
  }
}

/** Plans an installation, after which the service runs. */
export function planInstall(installation: Installation): readonly Step[] {
  const path = servicePath(installation);
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
  const path = servicePath(installation);
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
