/**
 * A lock file that names the process that holds it, by pid, start time and a nonce.
 *
 * A lock is created complete, by linking a finished file, so that nobody reads half of one and only
 * one process can create it. The lock of a dead holder is replaced by a rename, and only by the
 * process that holds a second lock on that replacement. The name of the second lock is a digest of
 * the content. So the lock is never absent in between, and one of several processes that try at
 * once always gets it.
 */

import { createHash, randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { AipassError, systemErrorCode } from './errors.ts';
import { isRecord, parseJson } from './json.ts';
import { identifyProcess, isProcessAlive, type ProcessIdentity } from './process-identity.ts';
import { shellQuote } from './shell-quote.ts';

/** Most attempts to take one lock, so that a defect cannot become an endless loop. */
const MAX_ATTEMPTS = 20;

/** Maximum depth of locks on replacing a lock; one process died at each level. */
const MAX_DEPTH = 8;

export interface FileLock {
  /** Removes the lock, unless another process has replaced it. A second call does nothing. */
  release(): Promise<void>;
}

export type FileLockOutcome =
  | { readonly kind: 'taken'; readonly lock: FileLock }
  /** Another process holds it, or is about to replace a dead holder's. */
  | { readonly kind: 'held'; readonly holder: ProcessIdentity };

/**
 * Tries once to take a lock, from a dead holder too; a file that no process of ours wrote counts as
 * a dead holder's.
 *
 * @throws the system's error where the folder cannot be written; AipassError INTERNAL where the
 * lock keeps changing.
 */
export async function tryFileLock(path: string): Promise<FileLockOutcome> {
  const own = identifyProcess(process.pid) ?? { pid: process.pid, started: null };
  const content = `${JSON.stringify({ ...own, nonce: randomUUID() })}\n`;
  const holder = await take(path, content, 0);
  if (holder !== undefined) return { kind: 'held', holder };
  return {
    kind: 'taken',
    lock: {
      release: async () => {
        if ((await readIfThere(path)) === content) await rm(path, { force: true });
      },
    },
  };
}

/** Takes a lock with the given content; returns the living holder where there is one. */
async function take(path: string, content: string, depth: number): Promise<ProcessIdentity | undefined> {
  const attempts = depth < MAX_DEPTH ? MAX_ATTEMPTS : 0;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (await create(path, content)) return undefined;
    const found = await readIfThere(path);
    if (found === undefined) continue;
    const holder = parseHolder(found);
    if (holder !== undefined && isProcessAlive(holder)) return holder;

    const claim = `${path}.${createHash('sha256').update(found).digest('hex').slice(0, 16)}`;
    const other = await take(claim, content, depth + 1);
    if (other !== undefined) return other;
    try {
      // The dead holder's lock may be long replaced: then the claim was released before, and made
      // anew by us.
      if ((await readIfThere(path)) === found) {
        await rename(await writeDraft(path, content), path);
        return undefined;
      }
    } finally {
      await unlink(claim);
    }
  }
  throw new AipassError('INTERNAL', `cannot take the lock ${path}: it keeps changing`, {
    hint: `if no aipassd runs, remove it: rm ${shellQuote(path)}*`,
  });
}

async function create(path: string, content: string): Promise<boolean> {
  const draft = await writeDraft(path, content);
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(draft);
  }
}

async function writeDraft(path: string, content: string): Promise<string> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, content, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    // A full disk lets the file be made, and not be written.
    await rm(draft, { force: true });
    throw error;
  }
  return draft;
}

function parseHolder(text: string): ProcessIdentity | undefined {
  const value = parseJson(text);
  if (!isRecord(value)) return undefined;
  const { pid, started } = value;
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return typeof started === 'string' || started === null ? { pid, started } : undefined;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
