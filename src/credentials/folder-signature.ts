/**
 * Signature of the folders behind the secrets' paths: a text that changes when one appears, goes or is replaced.
 */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Returns the signature of `root`, `folder` and the folders in `folder`; follows symbolic links, ignores files. */
export async function readFolderSignature(root: string, folder: string): Promise<string> {
  const names = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const inner = names
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map((entry) => join(folder, entry.name));
  const folders = [root, folder, ...inner.toSorted()];
  return (await Promise.all(folders.map(identify))).join('\n');
}

async function identify(path: string): Promise<string> {
  try {
    const facts = await stat(path, { bigint: true });
    // A new folder may get the inode of one that was just deleted, but not its birth.
    return facts.isDirectory() ? `${path} ${facts.dev} ${facts.ino} ${facts.birthtimeNs}` : '';
  } catch {
    return '';
  }
}
