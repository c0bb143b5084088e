/**
 * Reads one secrets file safely: a regular file of bounded size that others cannot change, as
 * stable content: UTF-8 text, or bytes for who asks for binary content.
 *
 * Never waits on a FIFO or a device. A problem never quotes the content. What others can read is
 * reported. What breaks the rule of base/file-trust.ts (others can write it) is reported and not
 * used: a file, and a folder with everything in it.
 */

import { isUtf8 } from 'node:buffer';
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';
import { signatureOf } from '../base/file-signature.ts';
import {
  checkTrust,
  currentUser,
  entryFault,
  OTHERS_READ,
  OTHERS_WRITE,
  type OwnedEntry,
  type TrustOutcome,
} from '../base/file-trust.ts';
import { plainText } from '../base/plain-text.ts';
import { shellQuote } from '../base/shell-quote.ts';
import type { Warning } from '../base/warning.ts';

export type SecretFileOutcome =
  /** The text, without its byte order mark, and the bytes are whole. */
  | { readonly kind: 'read'; readonly text: string; readonly bytes: Buffer; readonly warnings: readonly Warning[] }
  /** The bytes are whole and not UTF-8 text; only for who asks for binary content. */
  | { readonly kind: 'binary'; readonly bytes: Buffer; readonly warnings: readonly Warning[] }
  | { readonly kind: 'missing' }
  | { readonly kind: 'refused'; readonly warnings: readonly Warning[] }
  | { readonly kind: 'broken'; readonly warnings: readonly Warning[] };

/** Maximum size of a secrets file: a hundred times a service-account key. */
export const MAX_SECRET_BYTES = 1024 * 1024;

/** Maximum number of attempts to read a file that keeps changing. */
const MAX_ATTEMPTS = 5;

/** Reads a secrets file for a user. `check` may know the folder already. */
export async function readSecretFile(
  path: string,
  user = currentUser(),
  check: () => TrustOutcome = () => checkTrust(path, user),
  mayBeBinary = false,
): Promise<SecretFileOutcome> {
  const broken = (problem: string, hint: string): SecretFileOutcome => ({
    kind: 'broken',
    warnings: [{ subject: path, problem, hint }],
  });
  let facts: BigIntStats | undefined;
  let target = path;
  try {
    const trust = check();
    if (trust.kind === 'missing') return { kind: 'missing' };
    // Checked before it is opened, because opening a device can have effects.
    facts = await stat(path, { bigint: true });
    const own = classifyAccess(path, 'file', ownedBy(facts), user);
    if (own.refused && facts.isFile()) return { kind: 'refused', warnings: own.warnings };
    if (trust.kind === 'untrusted') {
      const problem = `${trust.fault.problem}; what it leads to is not used`;
      return { kind: 'refused', warnings: [{ ...trust.fault, problem }] };
    }
    target = trust.path;
    for (let tries = 0; tries < MAX_ATTEMPTS; tries++) {
      if (!facts.isFile()) return broken('is not a regular file', 'put a plain text file in its place');
      const attempt = await readOnce(trust.path);
      facts = attempt.before;
      const access = classifyAccess(path, 'file', ownedBy(facts), user);
      if (access.refused) return { kind: 'refused', warnings: access.warnings };
      if (facts.size > MAX_SECRET_BYTES) {
        const isEnv = basename(path) === '.env';
        const hint = isEnv
          ? 'keep only its lines NAME=value, and move everything else into another file'
          : 'move it out of the secrets folder';
        return broken(`is larger than ${MAX_SECRET_BYTES} bytes`, hint);
      }
      if (!attempt.bytes) continue;
      const { bytes } = attempt;
      const text = decode(bytes);
      if (text !== undefined) return { kind: 'read', text, bytes, warnings: access.warnings };
      if (mayBeBinary) return { kind: 'binary', bytes, warnings: access.warnings };
      const line = foreignLine(bytes);
      return isUtf8(bytes)
        ? broken(
            `holds a NUL character in line ${line}`,
            `delete it from line ${line}, and save the file as UTF-8 text`,
          )
        : broken(`is not UTF-8 text in line ${line}`, `fix line ${line}, or save the file as UTF-8 text`);
    }
    return broken('changes all the time while it is read', 'find out which program keeps writing it');
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
    if (code === undefined) throw error;
    if (basename(target) !== basename(path)) {
      const linked = plainText(target, MAX_PATH_LENGTH);
      return broken(`leads to ${linked}, which cannot be read (${code})`, 'put a plain text file in place of the link');
    }
    const hint =
      facts && code === 'EACCES' ? accessHint(path, 'file', ownedBy(facts), user) : 'make it readable for the daemon';
    return broken(`cannot be read (${code})`, hint);
  }
}

function ownedBy({ mode, uid }: BigIntStats): OwnedEntry {
  return { mode: Number(mode), uid: Number(uid) };
}

/** Opens and reads the file once; without bytes if it can't be read or changed meanwhile. */
async function readOnce(path: string): Promise<{ readonly before: BigIntStats; readonly bytes?: Buffer }> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const before = await file.stat({ bigint: true });
    if (!before.isFile() || before.size > MAX_SECRET_BYTES) return { before };
    const bytes = await readUpTo(file, Number(before.size) + 1);
    const after = await file.stat({ bigint: true });
    return signatureOf(before) === signatureOf(after) && bytes.length === Number(before.size)
      ? { before, bytes }
      : { before };
  } finally {
    await file.close();
  }
}

async function readUpTo(file: FileHandle, limit: number): Promise<Buffer> {
  const buffer = Buffer.alloc(limit);
  let length = 0;
  while (length < limit) {
    const { bytesRead } = await file.read(buffer, length, limit - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

/** Returns the number of the first line that is not text, from 1. */
function foreignLine(bytes: Buffer): number {
  let line = 1;
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
    if (decode(bytes.subarray(start, end)) === undefined) return line;
    start = end + 1;
    line += 1;
  }
  return line;
}

/** Returns the text without its byte order mark, or undefined for binary content. */
function decode(bytes: Buffer): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Warnings to report, and whether the content must not be used. */
export interface AccessOutcome {
  readonly warnings: readonly Warning[];
  readonly refused: boolean;
}

const ROOT = 0;

/** Maximum length of a path on Linux. */
const MAX_PATH_LENGTH = 4096;

/** Checks the mode and the owner of a file or folder for a user; without a user only the mode. */
export function classifyAccess(
  path: string,
  kind: 'file' | 'folder',
  facts: OwnedEntry,
  user: number | undefined,
): AccessOutcome {
  const readable = (facts.mode & OTHERS_READ) !== 0;
  const writable = (facts.mode & OTHERS_WRITE) !== 0;
  const foreign = user !== undefined && facts.uid !== user && facts.uid !== ROOT;
  if (!readable && !writable && !foreign) return { warnings: [], refused: false };

  const refused = entryFault(path, facts, user) !== null;
  const faults: string[] = [];
  if (readable || writable) {
    const ways = [readable ? 'read' : '', writable ? 'write' : ''].filter((way) => way !== '');
    faults.push(`other users can ${ways.join(' and ')} this ${kind}`);
  }
  if (foreign) faults.push(`this ${kind} belongs to another user (uid ${facts.uid})`);
  const problem = `${faults.join('; ')}${refused ? '; what it holds is not used' : ''}`;
  return {
    warnings: [{ subject: plainText(path, MAX_PATH_LENGTH), problem, hint: accessHint(path, kind, facts, user) }],
    refused,
  };
}

function accessHint(path: string, kind: 'file' | 'folder', facts: OwnedEntry, user: number | undefined): string {
  const quoted = shellQuote(path);
  const commands: string[] = [];
  const chmod = `chmod ${kind === 'file' ? '600' : '700'} ${quoted}`;
  if (user !== undefined && facts.uid !== user) {
    commands.push(`${user === ROOT ? '' : 'sudo '}chown ${user} ${quoted}`);
    if ((facts.mode & (OTHERS_READ | OTHERS_WRITE)) !== 0) commands.push(chmod);
  } else {
    commands.push(chmod);
  }
  return commands.join(' && ');
}
