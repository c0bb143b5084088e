/**
 * Texts that change when a file changes: a signature (its content may be another) and an identity
 * (it is another file). To be compared for equality only. Links are followed.
 * Runs on Node 20.16 for the client.
 */

import { statSync, type BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { systemErrorCode } from './errors.ts';

/** Signature and identity of a path at which there is no file. */
export const ABSENT = 'absent';

/** Start of the text for a path that cannot be read; the system's reason follows. */
const UNREADABLE = 'unreadable:';

/** Returns the signature of a file, ABSENT, or the reason why it cannot be read. */
export async function readFileSignature(path: string): Promise<string> {
  try {
    return signatureOf(await stat(path, { bigint: true }));
  } catch (error) {
    return failureOf(error);
  }
}

/** Returns the signature of a file as readFileSignature does. */
export function readFileSignatureSync(path: string): string {
  try {
    return signatureOf(statSync(path, { bigint: true }));
  } catch (error) {
    return failureOf(error);
  }
}

/** Returns the identity of what a path leads to, ABSENT, or the reason why it cannot be read. */
export function readFileIdentitySync(path: string): string {
  try {
    return identityOf(statSync(path, { bigint: true }));
  } catch (error) {
    return failureOf(error);
  }
}

/**
 * Returns whether a path still leads to the file of an identity. Also true where the path cannot be
 * read: then nothing shows that the file was removed.
 */
export function isStill(path: string, identity: string): boolean {
  const found = readFileIdentitySync(path);
  return found === identity || found.startsWith(UNREADABLE);
}

/** Returns the signature of a file from its facts. A change of mode or owner changes it too. */
export function signatureOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}

/** A new file may get the inode of a deleted one, but not its birth. */
export function identityOf({ dev, ino, birthtimeNs }: BigIntStats): string {
  return [dev, ino, birthtimeNs].join(':');
}

function failureOf(error: unknown): string {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' ? ABSENT : `${UNREADABLE}${code ?? 'unknown'}`;
}
