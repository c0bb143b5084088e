/**
 * The only way a secrets file is written: whole, for its owner alone, and on the disk before anyone relies on it.
 *
 * Temporary file in the same folder, mode 0600, fsync, rename, fsync of the folder. A reader sees the old text or the new one.
 */

import { randomUUID } from 'node:crypto';
import { link, mkdir, open, realpath, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/**
 * Replaces a secrets file, or makes it; missing folders are made with mode 0700. A symbolic link stays: its target is replaced.
 *
 * @throws the system's error; the old file is then untouched and no temporary file stays.
 */
export async function writeSecretFile(
  path: string,
  text: string,
  randomName: () => string = randomUUID,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
  const target = await targetOf(path);
  await throughTemporary(target, text, randomName, (temporary) => rename(temporary, target));
}

/**
 * Makes a secrets file and never overwrites one; missing folders are made with mode 0700.
 *
 * @throws the system's error, `EEXIST` where something has that name already.
 */
export async function createSecretFile(
  path: string,
  text: string,
  randomName: () => string = randomUUID,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
  // A link fails where the name is taken; a rename would replace what is there.
  await throughTemporary(path, text, randomName, async (temporary) => {
    await link(temporary, path);
    await unlink(temporary);
  });
}

async function throughTemporary(
  path: string,
  text: string,
  randomName: () => string,
  putInPlace: (temporary: string) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  // The dot keeps it out of the store's listing.
  const temporary = join(folder, `.aipassd-${randomName()}.tmp`);
  const file = await open(temporary, 'wx', FILE_MODE);
  try {
    try {
      // The umask may have taken bits from the mode.
      await file.chmod(FILE_MODE);
      await file.writeFile(text, 'utf8');
      await file.sync();
    } finally {
      await file.close();
    }
    await putInPlace(temporary);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(folder);
}

async function targetOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return path;
    throw error;
  }
}

async function syncFolder(folder: string): Promise<void> {
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
