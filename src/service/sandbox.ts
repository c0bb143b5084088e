/**
 * The strongest sandbox that this machine's systemd can set up for a unit. Where the kernel refuses
 * user namespaces (AppArmor on Ubuntu, `user.max_user_namespaces=0`, containers), a unit with the
 * full set does not start at all.
 *
 * Each directive is tried in a transient unit, which takes a second in all. One that does not work
 * becomes a comment of the unit, from which `aipassd doctor` reads it again.
 */

import { readFileSync } from 'node:fs';
import { mapConcurrently } from '../base/map-concurrently.ts';
import type { RunProgram } from './run-program.ts';

/** Directives of a unit that restrict it, and no more: without any of them it runs all the same. */
const SANDBOX =
  /^(?:AmbientCapabilities|CapabilityBoundingSet|DevicePolicy|KeyringMode|LockPersonality|NoNewPrivileges|ProcSubset|RemoveIPC|Private\w+|Protect\w+|ReadWritePaths|Restrict\w+|SystemCall\w+)=/;

const LEFT_OUT = '# left out by aipassd install, ';

/** Number of transient units at a time. */
const AT_ONCE = 8;

/** Exit code of the transient unit where the folder is not read-only, as it should be. */
const WRITABLE = 77;

/** Protections that a unit lacks, and the reason. */
export interface Sandbox {
  /** Directives that do not work here, as they stand in the unit. */
  readonly leftOut: readonly string[];
  readonly reason: string;
  /** Whether the file system is read-only; some systemds ignore what they cannot set up. */
  readonly isReadOnly: boolean;
}

/** Dependencies of the probe. */
export interface SandboxProbe {
  /** `systemd-run` and its options: for the manager of a user, or of the machine. */
  readonly systemdRun: readonly string[];
  readonly home: string;
  readonly run: RunProgram;
}

/** Tries the sandbox of a unit; null where nothing can be tried, because no manager answers. */
export async function probeSandbox(unit: string, { systemdRun, home, run }: SandboxProbe): Promise<Sandbox | null> {
  const all = unit.split('\n').filter((line) => SANDBOX.test(line));
  const start = async (directives: readonly string[]): Promise<number | null> => {
    // Specifiers are for unit files only.
    const properties = directives.map((one) => `--property=${one.replaceAll('%h', home)}`);
    const probe = `test ! -w "$1" || exit ${WRITABLE}`;
    const argv = [
      ...systemdRun,
      '--wait',
      '--quiet',
      '--collect',
      ...properties,
      '/bin/sh',
      '-c',
      probe,
      'probe',
      home,
    ];
    return run(argv).then(
      ({ code }) => code,
      () => null,
    );
  };

  const whole = await start(all);
  if (starts(whole)) return { leftOut: [], reason: '', isReadOnly: whole === 0 };
  if (!starts(await start([]))) return null;
  const codes = await mapConcurrently(all, AT_ONCE, (one) => start([one]));
  let working = all.filter((_one, at) => starts(codes[at] ?? null));
  let code = await start(working);
  if (!starts(code)) {
    // Each works, and together they do not: added one by one.
    const candidates = working;
    working = [];
    for (const one of candidates) if (starts(await start([...working, one]))) working = [...working, one];
    code = await start(working);
  }
  const failed = codes.find((one) => !starts(one)) ?? null;
  return { leftOut: all.filter((one) => !working.includes(one)), reason: reasonFor(failed), isReadOnly: code === 0 };
}

/** Returns whether the program of a transient unit ran. */
function starts(code: number | null): boolean {
  return code === 0 || code === WRITABLE;
}

/** Turns what does not work into comments. */
export function weakenUnit(unit: string, { leftOut, reason }: Sandbox): string {
  return unit
    .split('\n')
    .map((line) => (leftOut.includes(line) ? `${LEFT_OUT}${reason}: ${line}` : line))
    .join('\n');
}

/** Reads from a unit what was left out of it, and what it would be otherwise. */
export function readWeakened(unit: string): {
  readonly whole: string;
  readonly leftOut: readonly string[];
  readonly reason: string;
} {
  const leftOut: string[] = [];
  let reason = '';
  const lines = unit.split('\n').map((line) => {
    if (!line.startsWith(LEFT_OUT)) return line;
    const end = line.lastIndexOf(': ');
    reason = line.slice(LEFT_OUT.length, end);
    leftOut.push(line.slice(end + 2));
    return line.slice(end + 2);
  });
  return { whole: lines.join('\n'), leftOut, reason };
}

/** Kernel settings that refuse user namespaces: the file, the value, and what it means. */
const REFUSALS = [
  [
    '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
    '1',
    'AppArmor refuses user namespaces (kernel.apparmor_restrict_unprivileged_userns = 1)',
  ],
  ['/proc/sys/user/max_user_namespaces', '0', 'user namespaces are off (user.max_user_namespaces = 0)'],
  ['/proc/sys/kernel/unprivileged_userns_clone', '0', 'user namespaces are off (kernel.unprivileged_userns_clone = 0)'],
] as const;

function reasonFor(code: number | null): string {
  const refusal = REFUSALS.find(([file, value]) => readSetting(file) === value);
  if (refusal) return refusal[2];
  // systemd.exec(5), "Process Exit Codes".
  if (code === 217 || code === 226) return 'the kernel refuses namespaces here';
  return `systemd cannot set them up here (exit status ${code ?? 'unknown'})`;
}

function readSetting(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
