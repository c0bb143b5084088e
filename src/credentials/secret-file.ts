/**
 * Reads one secrets file safely: a regular file of bounded size that others cannot change, as
 * stable content: UTF-8 text, or bytes for who asks for binary content.
 *
 * Never waits on a FIFO or a device. A problem never quotes the content.
 */

import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, stat } from 'node:fs/promises';
import { systemErrorCode } from '../base/errors.ts';
import { signatureOf } from '../base/file-signature.ts';
import { checkTrust, currentUser, type TrustOutcome } from '../base/file-trust.ts';
import type { Warning } from '../base/warning.ts';
import { accessHint, classifyAccess } from './permissions.ts';

/** Result of reading a secrets file. */
export type SecretFileOutcome =
  /**
   * The text, without its byte order mark, and the bytes are whole; the warnings do not keep them
   * from being used.
   */
  | { readonly kind: 'read'; readonly text: string; readonly bytes: Buffer; readonly warnings: readonly Warning[] }
  /** The bytes are whole and not UTF-8 text; only for who asks for binary content. */
  | { readonly kind: 'binary'; readonly bytes: Buffer; readonly warnings: readonly Warning[] }
  | { readonly kind: 'missing' }
  | { readonly kind: 'refused'; readonly warnings: readonly Warning[] }
  | { readonly kind: 'broken'; readonly warnings: readonly Warning[] };

/**
 * Maximum size of a secrets file: a hundred times a service-account key, and small enough to read
 * at once.
 */
export const MAX_SECRET_BYTES = 1024 * 1024;

/** Maximum number of attempts to read a file that keeps changing. */
const MAX_ATTEMPTS = 5;

/**
 * Reads a secrets file for a user; every failure is an outcome. `check` may know the folder
 * already.
 */
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
  try {
    const trust = check();
    if (trust.kind === 'missing') return { kind: 'missing' };
    // Checked before it is opened, because opening a device can have effects.
    facts = await stat(path, { bigint: true });
    const own = classifyAccess(path, 'file', { mode: Number(facts.mode), uid: Number(facts.uid) }, user);
    if (own.refused && facts.isFile()) return { kind: 'refused', warnings: own.warnings };
    if (trust.kind === 'untrusted') {
      const problem = `${trust.fault.problem}; what it leads to is not used`;
      return { kind: 'refused', warnings: [{ ...trust.fault, problem }] };
    }
    for (let tries = 0; tries < MAX_ATTEMPTS; tries++) {
      if (!facts.isFile()) return broken('is not a regular file', 'put a plain text file in its place');
      const attempt = await readOnce(trust.path);
      facts = attempt.before;
      const access = classifyAccess(path, 'file', { mode: Number(facts.mode), uid: Number(facts.uid) }, user);
      if (access.refused) return { kind: 'refused', warnings: access.warnings };
      if (facts.size > MAX_SECRET_BYTES) {
        return broken(`is larger than ${MAX_SECRET_BYTES} bytes`, 'move it out of the secrets folder');
      }
      if (!attempt.bytes) continue;
      const { bytes } = attempt;
      const text = decode(bytes);
      if (text !== undefined) return { kind: 'read', text, bytes, warnings: access.warnings };
      if (mayBeBinary) return { kind: 'binary', bytes, warnings: access.warnings };
      return broken('is not UTF-8 text', 'save it as UTF-8 text');
    }
    return broken('changes all the time while it is read', 'find out which program keeps writing it');
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
    if (code === undefined) throw error;
    const hint =
      facts && code === 'EACCES'
        ? accessHint(path, 'file', { mode: Number(facts.mode), uid: Number(facts.uid) }, user)
        : 'make it readable for the daemon';
    return broken(`cannot be read (${code})`, hint);
  }
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

/**
 * Returns the text without its byte order mark, or undefined if the bytes are not UTF-8 or hold a
 * NUL.
 */
function decode(bytes: Buffer): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
