import { readFileSync } from 'node:fs';
import { parse } from 'plist';
import { expect, it } from 'vitest';
import { printPlist, printUnit } from '../../../src/service/installation.ts';

const template = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const facts = {
  command: ['/opt/node $24/bin/node', '/srv/a"b\\c/$HOME/100%/cli.js'],
  environment: { AIPASSD_STATE_DIR: '/var/lib/my state' },
  writable: ['/var/lib/my state'],
};

it('a unit names the program, the variables and the folders with everything systemd reads specially quoted', () => {
  const unit = printUnit(template('systemd/aipassd.service'), facts);
  expect(unit).toContain('ExecStart="/opt/node $24/bin/node" "/srv/a\\"b\\\\c/$$HOME/100%%/cli.js" "run"\n');
  expect(unit).toContain('Environment="AIPASSD_STATE_DIR=/var/lib/my state"\n');
  expect(unit).toContain('ReadWritePaths="-/var/lib/my state"\n');
});

it('a path with a control character is refused, because it could add a line to the unit', () => {
  const bad = { ...facts, environment: { AIPASSD_CONFIG: '/x\nExecStartPre=/bin/evil' } };
  expect(() => printUnit(template('systemd/aipassd.service'), bad)).toThrow('control character');
  expect(() => printPlist(template('launchd/com.aipassd.daemon.plist'), bad, '/Users/a')).toThrow('control character');
});

it('a template without the line to fill in is an error, not a unit that runs something else', () => {
  expect(() => printUnit('[Service]\n', facts)).toThrow('template');
});

it.each(['systemd/aipassd.service', 'systemd/system/aipassd.service'])(
  '%s says why each directive it lacks is left out',
  (path) => {
    const unit = template(path);
    for (const directive of [
      'MemoryDenyWriteExecute=',
      'PrivateNetwork=',
      'IPAddressDeny=',
      'ProtectProc=',
      'RootDirectory=',
    ]) {
      expect(unit).toMatch(new RegExp(`^# (?:[A-Za-z]+=, )?${directive}(?:, [A-Za-z]+=)?  \\S+`, 'm'));
    }
  },
);

/**
 * Holds the keys of launchd.plist(5) that the plist uses, with the type that the manual gives each.
 */
const LAUNCHD_KEYS: Readonly<Record<string, (value: unknown) => boolean>> = {
  Label: (value) => typeof value === 'string',
  ProgramArguments: (value) => Array.isArray(value) && value.every((word) => typeof word === 'string'),
  EnvironmentVariables: (value) =>
    isDictionary(value) && Object.values(value).every((text) => typeof text === 'string'),
  RunAtLoad: (value) => typeof value === 'boolean',
  KeepAlive: (value) =>
    isDictionary(value) &&
    Object.entries(value).every(
      ([key, flag]) => ['SuccessfulExit', 'Crashed'].includes(key) && typeof flag === 'boolean',
    ),
  ThrottleInterval: Number.isInteger,
  ExitTimeOut: Number.isInteger,
  Umask: Number.isInteger,
  SoftResourceLimits: isLimits,
  HardResourceLimits: isLimits,
  ProcessType: (value) => ['Background', 'Standard', 'Adaptive', 'Interactive'].includes(String(value)),
  LowPriorityIO: (value) => typeof value === 'boolean',
  StandardOutPath: (value) => typeof value === 'string' && value.startsWith('/'),
  StandardErrorPath: (value) => typeof value === 'string' && value.startsWith('/'),
};

function isDictionary(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isLimits(value: unknown): boolean {
  const known = new Set([
    'Core',
    'CPU',
    'Data',
    'FileSize',
    'MemoryLock',
    'NumberOfFiles',
    'NumberOfProcesses',
    'ResidentSetSize',
    'Stack',
  ]);
  return (
    isDictionary(value) && Object.entries(value).every(([key, limit]) => known.has(key) && Number.isInteger(limit))
  );
}

it('the plist parses, and every key of it stands in launchd.plist(5) with a value of its type', () => {
  const path = 'launchd/com.aipassd.daemon.plist';
  for (const text of [template(path), printPlist(template(path), facts, '/Users/a & b')]) {
    const plist: unknown = parse(text);
    if (!isDictionary(plist)) throw new Error('the plist is no dictionary');
    for (const [key, value] of Object.entries(plist)) expect([key, LAUNCHD_KEYS[key]?.(value)]).toEqual([key, true]);
  }
});

it('the plist carries paths that XML reads specially unchanged', () => {
  const text = printPlist(
    template('launchd/com.aipassd.daemon.plist'),
    { command: ['/a & b/<node>', '/c'], environment: { AIPASSD_CONFIG: '/x & y' }, writable: [] },
    '/Users/a & b',
  );
  expect(parse(text)).toMatchObject({
    Label: 'com.aipassd.daemon',
    ProgramArguments: ['/a & b/<node>', '/c', 'run'],
    EnvironmentVariables: { AIPASSD_CONFIG: '/x & y' },
    Umask: 0o077,
    StandardErrorPath: '/Users/a & b/Library/Logs/aipassd.stderr.log',
  });
});
