/**
 * Writes files that matter: whole, and on the disk before anyone relies on them.
 * state-store.ts writes in its own way, and gives the reason.
 *
 * Temporary file in the same folder, fsync, rename, fsync of the folder. A reader sees the old
 * content or the new one. Files are made for their owner alone (0600, folders 0700) unless a mode
 * is given.
 */

import { randomBytes, randomUUID } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { link, lstat, open, readdir, realpath, rename, rm, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemErrorCode } from './errors.ts';
import { makeFolder } from './make-folder.ts';

const FILE_MODE = 0o600;

/** Temporary files: ours, those of file-lock.ts, and those of write-file-atomic. */
const TEMPORARY = /^(?:\.aipassd-[0-9a-f-]{36}\.tmp|\..+\.lock\.[0-9a-f-]{16,36}|state\.json\.\d+)$/;

/** Age at which a temporary file is abandoned, in milliseconds: a worker lives for two hours. */
const ABANDONED_MS = 86_400_000;

/**
 * Replaces a file, or makes it; missing folders are made with mode 0700. A symbolic link stays: its
 * target is replaced. The file has the mode, 0600 without one, whatever the umask is.
 *
 * @throws the system's error; the old file is then untouched and no temporary file stays.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  { mode = FILE_MODE, randomName = randomUUID }: { readonly mode?: number; readonly randomName?: () => string } = {},
): Promise<void> {
  makeFolder(dirname(path));
  const target = await targetOf(path);
  await throughTemporary(target, content, mode, randomName(), (temporary) => rename(temporary, target));
}

/**
 * Makes a file and never overwrites one; missing folders are made with mode 0700.
 *
 * @throws the system's error, `EEXIST` where something has that name already.
 */
export async function createFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  makeFolder(dirname(path));
  // A link fails where the name is taken; a rename would replace what is there.
  await throughTemporary(path, content, FILE_MODE, randomUUID(), async (temporary) => {
    await link(temporary, path);
    await unlink(temporary);
  });
}

/**
 * Replaces a small file at once, for places that cannot wait. A crash of the machine may leave the
 * old content, never half of the new one. Throws the system's error; no temporary file stays.
 */
export function writeFileAtomicSync(path: string, content: string): void {
  makeFolder(dirname(path));
  const temporary = temporaryIn(dirname(path), randomUUID());
  try {
    writeFileSync(temporary, content, { mode: FILE_MODE, flag: 'wx', flush: true });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Temporary file whose room on the disk is taken already. */
export interface ReservedFile {
  /** Puts a text in place of the file, through the kept room. Throws the system's error. */
  write(text: string): Promise<void>;
  /** Releases the reserved space; does nothing after a write. */
  release(): Promise<void>;
}

/**
 * Proves that a file can be written, and keeps room for `bytes` beside it. A symbolic link stays.
 *
 * @throws the system's error; no temporary file stays.
 */
export async function reserveFile(path: string, bytes: number): Promise<ReservedFile> {
  makeFolder(dirname(path));
  const target = await targetOf(path);
  await removeAbandoned(dirname(target));
  const temporary = temporaryIn(dirname(target), randomUUID());
  const release = (): Promise<void> => rm(temporary, { force: true });
  const file = await open(temporary, 'wx', FILE_MODE);
  try {
    // Random bytes take room also where zeros are stored as holes or are compressed.
    await fill(file, randomBytes(bytes), FILE_MODE);
  } catch (error) {
    await release();
    throw error;
  }
  return {
    release,
    async write(text) {
      // Overwritten where it is, not made anew: what was kept is never free for others in between.
      const kept = await open(temporary, 'r+');
      await fill(kept, text, FILE_MODE);
      await rename(temporary, target);
      await syncFolder(dirname(target));
    },
  };
}

/**
 * Removes temporary files in a folder that are older than an age. Their process died, they take
 * space, and they can hold a secret that is never renewed or revoked.
 */
export async function removeAbandoned(folder: string, ageMs: number = ABANDONED_MS): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!TEMPORARY.test(name)) continue;
    const path = join(folder, name);
    const facts = await lstat(path).catch(() => undefined);
    // The time of a file has fractions of a millisecond, the clock has none.
    if (facts?.isFile() === true && Date.now() - Math.floor(facts.mtimeMs) >= ageMs) await rm(path, { force: true });
  }
}

async function throughTemporary(
  path: string,
  content: string | Uint8Array,
  mode: number,
  name: string,
  putInPlace: (temporary: string) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  const temporary = temporaryIn(folder, name);
  const file = await open(temporary, 'wx', mode);
  try {
    await fill(file, content, mode);
    await putInPlace(temporary);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    // What fails on an open file does not hold its path: a full disk.
    if (error instanceof Error && !('path' in error)) Object.assign(error, { path });
    throw error;
  }
  await syncFolder(folder);
}

/** Writes a file from its beginning, ends it there, waits for the disk, and closes it. */
async function fill(file: FileHandle, content: string | Uint8Array, mode: number): Promise<void> {
  try {
    // The umask may have taken bits from the mode.
    await file.chmod(mode);
    const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
    await file.writeFile(bytes);
    await file.truncate(bytes.length);
    await file.sync();
  } finally {
    await file.close();
  }
}

function temporaryIn(folder: string, name: string): string {
  // The dot keeps it out of listings of secrets.
  return join(folder, `.aipassd-${name}.tmp`);
}

async function targetOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return path;
    throw error;
  }
}

/** Puts the names in a folder on the disk, where its file system can. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems cannot sync a folder; the file itself is on the disk.
    if (systemErrorCode(error) !== 'EINVAL' && systemErrorCode(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}
