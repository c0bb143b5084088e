/**
 * What installing and uninstalling the service does, as a list of steps that can be shown before they are done.
 *
 * Pure: a plan is made from facts alone. Doing it is execute.ts's, which passes over what is so already, so that a plan
 * can be carried out any number of times.
 */

import { dirname, join } from 'node:path';

/** Is one thing to do. */
export type Step =
  /** Makes a folder where there is none; one that exists keeps its mode. */
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  /** Writes a file whose text is another, or with `keep` only where there is none. */
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly text: string;
      readonly mode: number;
      readonly keep?: boolean;
    }
  /** Removes a file, where it has this text or none is given. */
  | { readonly kind: 'remove'; readonly path: string; readonly text?: string }
  /**
   * Runs a program: always, or only where an earlier step changed a file, or only where none did. With `tolerate` its
   * failure is none (nothing to stop, nothing to disable).
   */
  | {
      readonly kind: 'run';
      readonly argv: readonly string[];
      readonly tolerate?: boolean;
      readonly when?: 'changed' | 'unchanged';
    }
  /** Runs a program that changes nothing; where it fails, nothing of what follows can be done, and `problem` says why. */
  | { readonly kind: 'need'; readonly argv: readonly string[]; readonly problem: string; readonly hint: string }
  /** Says something that is so, or left to people. */
  | { readonly kind: 'say'; readonly text: string };

/** Is what a plan is made from. */
export interface InstallFacts {
  readonly scope: 'systemd-user' | 'systemd-system' | 'launchd';
  readonly home: string;
  readonly uid: number;
  /** Is the user's name, or the number where it has none. */
  readonly user: string;
  /** Is the unit or the plist, filled in. */
  readonly text: string;
  /** Lists the user's folders that the service writes. */
  readonly folders: readonly string[];
  /** Is `$XDG_CONFIG_HOME` or its default. */
  readonly configHome: string;
  readonly logFile: string;
}

export const UNIT_NAME = 'aipassd.service';
export const PLIST_LABEL = 'com.aipassd.daemon';

/** Is the user of the host-wide daemon, as sysusers.d(5) writes it. */
export const SYSTEM_USER = 'u aipassd - "aipassd, keeper of credentials" /var/lib/aipassd\n';
const SYSUSERS_FILE = '/etc/sysusers.d/aipassd.conf';

/** Is the first configuration of a host-wide daemon: members of the group may use credentials, and see no value. */
export const SYSTEM_CONFIG = `{
  // Who may ask this daemon, besides its own user and root. See "access" in config.schema.json.
  "access": {
    "use": { "groups": ["aipassd"] }
  }
}
`;
const SYSTEM_CONFIG_FILE = '/etc/aipassd/config.jsonc';

/** Is where the unit of the whole machine is written. */
export const SYSTEM_UNIT_FILE = `/etc/systemd/system/${UNIT_NAME}`;

/** Returns where the unit or plist is written. */
export function servicePath(facts: Pick<InstallFacts, 'scope' | 'home' | 'configHome'>): string {
  switch (facts.scope) {
    case 'systemd-user':
      return join(facts.configHome, 'systemd', 'user', UNIT_NAME);
    case 'systemd-system':
      return SYSTEM_UNIT_FILE;
    case 'launchd':
      return join(facts.home, 'Library', 'LaunchAgents', `${PLIST_LABEL}.plist`);
  }
}

/** Plans an installation that ends with the service running. */
export function planInstall(facts: InstallFacts): readonly Step[] {
  const path = servicePath(facts);
  const own = facts.folders.map((folder): Step => ({ kind: 'folder', path: folder, mode: 0o700 }));
  const write: Step[] = [
    { kind: 'folder', path: dirname(path), mode: 0o755 },
    { kind: 'write', path, text: facts.text, mode: 0o644 },
  ];
  switch (facts.scope) {
    case 'systemd-user':
      return [
        needUserManager(facts),
        ...own,
        ...write,
        ...startUnit(['systemctl', '--user']),
        logs(facts, 'journalctl --user -u aipassd'),
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
        { kind: 'say', text: 'its secrets go into /var/lib/aipassd/secrets/aipass (owner aipassd, files 0600)' },
        {
          kind: 'say',
          text: 'let people use it: usermod -aG aipassd NAME; they ask with AIPASSD_RUNTIME_DIR=/run/aipassd',
        },
        logs(facts, 'journalctl -u aipassd'),
      ];
    case 'launchd':
      return [
        ...own,
        ...write,
        // A loaded agent keeps the plist it was loaded with: one that changed is taken out first.
        { kind: 'run', argv: ['launchctl', 'bootout', launchTarget(facts)], tolerate: true, when: 'changed' },
        { kind: 'run', argv: ['launchctl', 'bootstrap', `gui/${facts.uid}`, path], tolerate: true },
        { kind: 'run', argv: ['launchctl', 'enable', launchTarget(facts)] },
        { kind: 'run', argv: ['launchctl', 'kickstart', launchTarget(facts)] },
        logs(facts, null),
      ];
  }
}

/** Plans the removal of everything an installation made but what people put there: secrets, state and configuration. */
export function planUninstall(facts: InstallFacts): readonly Step[] {
  const path = servicePath(facts);
  switch (facts.scope) {
    case 'systemd-user':
      return [...stopUnit(['systemctl', '--user'], path), kept(facts.folders)];
    case 'systemd-system':
      return [
        ...stopUnit(['systemctl'], path),
        { kind: 'remove', path: SYSUSERS_FILE },
        { kind: 'remove', path: SYSTEM_CONFIG_FILE, text: SYSTEM_CONFIG },
        // A user that still owns files is not taken away: its number could be given to somebody else.
        kept(['/var/lib/aipassd (secrets, state), the user aipassd that owns it']),
      ];
    case 'launchd':
      return [
        { kind: 'run', argv: ['launchctl', 'bootout', launchTarget(facts)], tolerate: true },
        { kind: 'remove', path },
        kept(facts.folders),
      ];
  }
}

/** Comes before anything is written: without a manager to start it, an installation would be half of one. */
function needUserManager({ uid, user }: InstallFacts): Step {
  return {
    kind: 'need',
    argv: ['systemctl', '--user', 'show-environment'],
    problem: `there is no session of ${user} here, and so no service manager`,
    hint:
      `log in as ${user} (su and sudo open no session), or: sudo loginctl enable-linger ${user} and ` +
      `export XDG_RUNTIME_DIR=/run/user/${uid}; without a service manager: aipassd run`,
  };
}

const NEED_SYSTEMD: Step = {
  kind: 'need',
  argv: ['systemctl', 'show-environment'],
  problem: 'systemd does not answer for this machine',
  hint: 'where another program starts services, have it start "aipassd run"',
};

function startUnit(systemctl: readonly string[]): Step[] {
  return [
    { kind: 'run', argv: [...systemctl, 'daemon-reload'], when: 'changed' },
    { kind: 'run', argv: [...systemctl, 'enable', UNIT_NAME] },
    // With Type=notify both wait until the daemon says that it is ready.
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

function launchTarget(facts: InstallFacts): string {
  return `gui/${facts.uid}/${PLIST_LABEL}`;
}

function logs(facts: InstallFacts, journal: string | null): Step {
  return { kind: 'say', text: `its log: ${facts.logFile}${journal === null ? '' : `, and ${journal}`}` };
}

function kept(what: readonly string[]): Step {
  return { kind: 'say', text: `kept: ${what.join(', ')}` };
}
