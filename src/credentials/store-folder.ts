/**
 * Reads the secrets folder: the opaque secrets, and the files and folders that others can reach.
 *
 * Opaque secrets lie in the folders of providers, one level deep. Files beside `.env` (Google's and
 * others) and those of the reserved folders are not served, but their modes are checked.
 */

import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';
import { currentUser } from '../base/file-trust.ts';
import { Secret } from '../base/secret.ts';
import { shellQuote } from '../base/shell-quote.ts';
import type { FolderScan } from './folder-scan.ts';
import { parseJson } from './opaque-secret.ts';
import type { StoredFiles } from './opaque-store.ts';
import { BinarySecret, isJsonFile } from './opaque-store.ts';
import { classifyAccess } from './permissions.ts';
import { isSegment, OAUTH_FOLDER, ORGANIZATIONS_FOLDER } from './secret-name.ts';

/** Maximum number of opaque secrets: more were put there by mistake. */
const MAX_FILES = 4096;

/** Number of files that are open at once. */
const FILES_AT_ONCE = 16;

/** Content of a folder; `unreadable` means that it is unknown. */
type FolderOutcome =
  | { readonly kind: 'listed'; readonly files: readonly string[]; readonly folders: readonly string[] }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable' };

/** Reads every opaque secret and returns what is held from now on. Adds problems to the scan. */
export async function readStore(
  folder: string,
  envFile: string,
  held: StoredFiles,
  scan: FolderScan,
): Promise<StoredFiles> {
  const top = await listFolder(folder, scan);
  if (top.kind === 'unreadable') return held;
  const wanted = new Set(held.keys());
  const unreadable = new Set<string>();

  if (top.kind === 'listed') {
    await checkFiles(
      top.files.map((file) => join(folder, file)).filter((path) => path !== envFile),
      scan,
    );
    for (const provider of top.folders.filter(isSegment)) {
      const inner = await listFolder(join(folder, provider), scan);
      if (inner.kind === 'unreadable') unreadable.add(provider);
      if (inner.kind !== 'listed') continue;
      if (provider === OAUTH_FOLDER || provider === ORGANIZATIONS_FOLDER) {
        const paths = inner.files.map((file) => join(folder, provider, file));
        await checkFiles(paths, scan);
      } else {
        for (const file of inner.files.filter(isSegment)) wanted.add(`${provider}/${file}`);
      }
    }
  }
  if (wanted.size > MAX_FILES) {
    const problem = `holds ${wanted.size} files, of which ${MAX_FILES} are read`;
    scan.addFaults([{ subject: folder, problem, hint: 'move other files out of it' }]);
  }
  return readFiles(folder, [...wanted].slice(0, MAX_FILES), held, unreadable, scan);
}

/** Checks the mode and owner of a folder that is not read itself; a missing one is fine. */
export async function checkFolder(path: string, scan: FolderScan): Promise<void> {
  await checkPath(path, 'folder', scan);
}

async function readFiles(
  folder: string,
  files: readonly string[],
  held: StoredFiles,
  unreadable: ReadonlySet<string>,
  scan: FolderScan,
): Promise<StoredFiles> {
  const next = new Map<string, Secret>();
  for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
    const some = files.slice(at, at + FILES_AT_ONCE);
    const contents = await Promise.all(
      some.map((file) => {
        const before = held.get(file);
        const provider = file.slice(0, file.indexOf('/'));
        return unreadable.has(provider) ? Promise.resolve(before) : readFile(join(folder, file), before, scan);
      }),
    );
    for (const [index, content] of contents.entries()) {
      const file = some[index];
      if (content && file !== undefined) next.set(file, content);
    }
  }
  return next;
}

function readFile(path: string, before: Secret | undefined, scan: FolderScan): Promise<Secret | undefined> {
  const json = isJsonFile(path);
  return scan.read(path, before, {
    recheckEmpty: !json,
    parse: (text, bytes) => {
      if (json && parseJson(text).kind === 'broken') {
        return {
          faults: [{ subject: path, problem: 'is not valid JSON', hint: 'fix it, or drop .json from its name' }],
        };
      }
      // With its byte order mark, because the file is handed out as it is, too.
      return { held: unlessChanged(before, new Secret(bytes.toString('utf8'))), faults: [] };
    },
    ...(json ? {} : { hold: (bytes: Buffer) => unlessChanged(before, new BinarySecret(bytes)) }),
  });
}

/** Returns what was held before where it is the same, so that comparing two scans is cheap. */
function unlessChanged(before: Secret | undefined, now: Secret): Secret {
  return before?.equals(now) === true && before.constructor === now.constructor ? before : now;
}

async function listFolder(path: string, scan: FolderScan): Promise<FolderOutcome> {
  let entries: Dirent[];
  try {
    const trust = await scan.checkFolder(path);
    if (trust.kind === 'untrusted') {
      // Also who can read it, where that is its own fault.
      await checkPath(path, 'folder', scan);
      const problem = `${trust.fault.problem}; nothing in it is used`;
      if (trust.path !== path) scan.addFaults([{ ...trust.fault, problem }]);
      return { kind: 'unreadable' };
    }
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') return { kind: 'missing' };
    if (code === 'ENOTDIR') {
      scan.addFaults([{ subject: path, problem: 'is not a folder', hint: 'put a folder in its place' }]);
      return { kind: 'missing' };
    }
    const problem = `this folder cannot be read (${code ?? 'unknown error'})`;
    scan.addFaults([{ subject: path, problem, hint: `chmod 700 ${shellQuote(path)}` }]);
    return { kind: 'unreadable' };
  }
  await checkPath(path, 'folder', scan);
  const files: string[] = [];
  const folders: string[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const kind = entry.isSymbolicLink() ? await kindOfTarget(join(path, entry.name)) : kindOf(entry);
    if (kind === 'file') files.push(entry.name);
    if (kind === 'folder') folders.push(entry.name);
  }
  return { kind: 'listed', files, folders };
}

async function kindOfTarget(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    return kindOf(await stat(path));
  } catch {
    // A dangling link is not a file.
    return undefined;
  }
}

function kindOf(entry: Pick<Dirent, 'isFile' | 'isDirectory'>): 'file' | 'folder' | undefined {
  if (entry.isFile()) return 'file';
  return entry.isDirectory() ? 'folder' : undefined;
}

async function checkFiles(paths: readonly string[], scan: FolderScan): Promise<void> {
  for (const path of paths.slice(0, MAX_FILES)) await checkPath(path, 'file', scan);
}

async function checkPath(path: string, kind: 'file' | 'folder', scan: FolderScan): Promise<void> {
  try {
    const { warnings, refused } = classifyAccess(path, kind, await stat(path), currentUser());
    if (refused) scan.addFaults(warnings);
    else scan.addNotes(warnings);
  } catch {
    // Gone since it was listed, or unreachable: then it is not used either.
  }
}
