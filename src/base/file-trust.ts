/**
 * The one rule about files that decide where keys go: whoever can write such a file owns the keys.
 * So each folder, link and file on the whole path must belong to this process's user or to root.
 * Nobody else may write to it. A folder with the sticky bit, such as /tmp, may be open to others:
 * there they cannot replace what is not theirs.
 *
 * A link is judged by its own owner, and then its target by its whole path. After that nobody else
 * can change what the path leads to, so that the resolved path can be opened without following
 * links. Loads `node:` modules only.
 */

import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { AipassError, systemErrorCode } from './errors.ts';
import { shellQuote } from './shell-quote.ts';
import type { Warning } from './warning.ts';

/** The fields of `stat` that the rule needs. */
export interface OwnedEntry {
  readonly mode: number;
  readonly uid: number;
}

/** Result of a check. `path` is resolved and absolute. */
export type TrustOutcome =
  | { readonly kind: 'trusted'; readonly path: string; readonly mode: number; readonly uid: number }
  /** Everything above is trusted, and there is nothing at `path` or no way to it. */
  | { readonly kind: 'missing'; readonly path: string }
  | { readonly kind: 'untrusted'; readonly path: string; readonly fault: Warning };

/** Mode bits with which group and others may write, and may read. */
export const OTHERS_WRITE = 0o022;
export const OTHERS_READ = 0o044;

const STICKY = 0o1000;
const FILE_TYPE = 0o170000;
const FOLDER = 0o040000;
const LINK = 0o120000;
const DEVICE = 0o020000;
const ROOT = 0;

/** Maximum number of links on one path, as in Linux. */
const MAX_LINKS = 40;

/** Returns the user as whom this process opens files, or undefined on a system without users. */
export function currentUser(): number | undefined {
  return process.geteuid?.();
}

/**
 * Uid under which all other users appear in a user namespace that does not know root, as that of
 * the hardened user unit. Undefined where root is known. It counts as root at the top of a path
 * only. Below a folder of our own, what belongs to anybody else was put there by somebody else.
 */
const OVERFLOW_USER = readOverflowUser();

/**
 * Returns what is wrong with one folder, link or file by its owner and mode, or null. Without a
 * user only the mode is judged. With `isRootsPlace` everything above belongs to root.
 */
export function entryFault(
  path: string,
  { mode, uid }: OwnedEntry,
  user: number | undefined = currentUser(),
  isRootsPlace = false,
): Warning | null {
  const kind = kindOf(mode);
  const quoted = shellQuote(path);
  const isRoots = uid === ROOT || (isRootsPlace && uid === OVERFLOW_USER);
  if (user !== undefined && uid !== user && !isRoots) {
    const chown = `${user === ROOT ? '' : 'sudo '}chown ${kind === 'link' ? '-h ' : ''}${user} ${quoted}`;
    const hint = user === ROOT ? `run aipassd as the user with uid ${uid}, without sudo; or: ${chown}` : chown;
    return { subject: path, problem: `this ${kind} belongs to another user (uid ${uid})`, hint };
  }
  const isSticky = kind === 'folder' && (mode & STICKY) !== 0;
  // What is written to a device (/dev/null, /dev/full) is not kept, so that nobody reads it back.
  if (kind === 'link' || kind === 'device' || isSticky || (mode & OTHERS_WRITE) === 0) return null;
  const shown = (mode & 0o7777).toString(8).padStart(4, '0');
  return {
    subject: path,
    problem: `other users can write to this ${kind} (mode ${shown})`,
    hint: `chmod go-w ${quoted}`,
  };
}

/**
 * Checks a whole path from the root on, following links. A missing end is not a fault. It does not
 * wait: a path has few entries, of some microseconds each.
 *
 * @throws the system's error where the path cannot be followed for another reason.
 */
export function checkTrust(path: string, user: number | undefined = currentUser()): TrustOutcome {
  const waiting = resolve(path)
    .split('/')
    .filter((part) => part !== '');
  let at = '/';
  let links = 0;
  let entry = entryAt(at);
  const rootFault = entry && entryFault(at, entry, user, true);
  if (rootFault) return { kind: 'untrusted', path: at, fault: rootFault };
  let isRootsPlace = entry !== undefined && isRootsOwn(entry);
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
    if (part === '.') continue;
    const place = part === '..' ? dirname(at) : join(at, part);
    entry = entryAt(place);
    if (!entry) return { kind: 'missing', path: join(place, ...waiting) };
    const fault = entryFault(place, entry, user, isRootsPlace);
    if (fault) return { kind: 'untrusted', path: place, fault };
    isRootsPlace &&= isRootsOwn(entry);
    if (kindOf(entry.mode) !== 'link') {
      at = place;
      continue;
    }
    links += 1;
    const target = unlessMissing(() => readlinkSync(place));
    if (links > MAX_LINKS) throw Object.assign(new Error(`too many links: ${path}`), { code: 'ELOOP', path });
    if (target === undefined) return { kind: 'missing', path: place };
    if (isAbsolute(target)) at = '/';
    waiting.unshift(...target.split('/').filter((piece) => piece !== ''));
  }
  // A link that leads back to a folder above was judged on the way down.
  entry = entryAt(at);
  return entry ? { kind: 'trusted', path: at, mode: entry.mode, uid: entry.uid } : { kind: 'missing', path: at };
}

/** Checks an entry of a folder that was just found trusted: cheaper than the whole path. */
export function checkEntry(folder: Extract<TrustOutcome, { kind: 'trusted' }>, name: string): TrustOutcome {
  const path = join(folder.path, name);
  const entry = entryAt(path);
  if (!entry) return { kind: 'missing', path };
  if (kindOf(entry.mode) === 'link') return checkTrust(path);
  const fault = entryFault(path, entry);
  return fault ? { kind: 'untrusted', path, fault } : { kind: 'trusted', path, mode: entry.mode, uid: entry.uid };
}

/**
 * Checks a path that is about to be used, or made.
 *
 * @param what names it in the message: "the configuration".
 * @throws AipassError UNSAFE_PERMISSIONS with the path at fault and what to do.
 */
export function assertTrusted(what: string, path: string, user: number | undefined = currentUser()): void {
  const outcome = checkTrust(path, user);
  if (outcome.kind === 'untrusted') throw untrusted(what, path, outcome.fault);
}

/**
 * Checks every entry of a folder of ours, two levels deep. What somebody else left there while the
 * folder was open to others, a link above all, would be followed or trusted.
 *
 * @throws AipassError UNSAFE_PERMISSIONS with the entry at fault and what to do.
 */
export function assertOwnEntries(what: string, folder: string): void {
  const user = currentUser();
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    assertOwnEntry(what, path, user);
    if (!entry.isDirectory()) continue;
    for (const name of readdirSync(path)) assertOwnEntry(what, join(path, name), user);
  }
}

function assertOwnEntry(what: string, path: string, user: number | undefined): void {
  const entry = lstatSync(path, { throwIfNoEntry: false });
  const fault = entry && entryFault(path, entry, user);
  if (!fault) return;
  throw new AipassError('UNSAFE_PERMISSIONS', `${what} is not used: ${fault.subject}: ${fault.problem}`, {
    hint: `check it, then remove it: rm -r ${shellQuote(path)}; or keep it: ${fault.hint}`,
  });
}

/**
 * Opens a file of ours, or makes it with a mode, without following what somebody else put in its
 * place.
 *
 * @throws AipassError UNSAFE_PERMISSIONS where others could have done that, else the system's
 * error.
 */
export function openTrusted(what: string, path: string, flags: number, mode: number): number {
  const outcome = checkTrust(path);
  if (outcome.kind === 'untrusted') throw untrusted(what, path, outcome.fault);
  return openSync(outcome.path, flags | constants.O_NOFOLLOW, mode);
}

/** Returns the faults of paths; what cannot be checked is reported by whoever uses it. */
export function trustWarnings(paths: readonly string[], user: number | undefined = currentUser()): Warning[] {
  const faults = new Map<string, Warning>();
  for (const path of paths) {
    try {
      const outcome = checkTrust(path, user);
      if (outcome.kind === 'untrusted') faults.set(outcome.fault.subject, outcome.fault);
    } catch {
      // Whoever reads it reports why it cannot be read.
    }
  }
  return [...faults.values()];
}

/**
 * Returns the files that decide what a command does. They are its program, found as the system
 * finds it, and each parameter that is the absolute path of something that exists.
 */
export function commandFiles(command: readonly string[], searchPath: string = process.env['PATH'] ?? ''): string[] {
  const [program = '', ...parameters] = command;
  const candidates = program.includes('/')
    ? [resolve(program)]
    : searchPath.split(delimiter).map((folder) => resolve(folder, program));
  return [...candidates.filter(exists).slice(0, 1), ...parameters.filter((one) => isAbsolute(one) && exists(one))];
}

/** Returns whether there is something at a path; a path that is closed to us leads nowhere. */
function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

/**
 * Reads a file that decides where keys go, as UTF-8 text; undefined where there is none.
 *
 * @throws AipassError UNSAFE_PERMISSIONS where others could have written it, else the system's
 * error.
 */
export function readTrustedFile(what: string, path: string): string | undefined {
  const outcome = checkTrust(path);
  if (outcome.kind === 'missing') return undefined;
  if (outcome.kind === 'untrusted') throw untrusted(what, path, outcome.fault);
  const fd = openSync(outcome.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { mode, uid } = fstatSync(fd);
    const fault = entryFault(outcome.path, { mode, uid }, currentUser(), uid === outcome.uid);
    if (fault !== null) throw untrusted(what, path, fault);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

function untrusted(what: string, path: string, fault: Warning): AipassError {
  const place = fault.subject === path ? path : `${path}: ${fault.subject}`;
  return new AipassError('UNSAFE_PERMISSIONS', `${what} is not used, ${place}: ${fault.problem}`, { hint: fault.hint });
}

/** Returns whether a place may be root's, with all above it: /, /run, /run/user, /home, /tmp. */
function isRootsOwn({ uid }: OwnedEntry): boolean {
  return uid === ROOT || uid === OVERFLOW_USER;
}

function entryAt(path: string): OwnedEntry | undefined {
  return unlessMissing(() => lstatSync(path));
}

/** Takes a path that does not exist for missing, and every other failure for what it is. */
function unlessMissing<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function kindOf(mode: number): 'file' | 'folder' | 'link' | 'device' {
  const type = mode & FILE_TYPE;
  if (type === FOLDER) return 'folder';
  if (type === DEVICE) return 'device';
  return type === LINK ? 'link' : 'file';
}

function readOverflowUser(): number | undefined {
  try {
    // Lines "inside outside length" of user_namespaces(7).
    const knowsRoot = readFileSync('/proc/self/uid_map', 'utf8')
      .trim()
      .split('\n')
      .some((line) => Number(line.trim().split(/\s+/)[0]) === ROOT);
    return knowsRoot ? undefined : Number(readFileSync('/proc/sys/kernel/overflowuid', 'utf8'));
  } catch {
    return undefined;
  }
}
