/**
 * One scan of the secrets folder: its opaque secrets, and what of it others can reach. Its
 * problems, and the removals that a second scan must confirm, are kept with it.
 *
 * Opaque secrets lie in the folders of providers, one level deep. Files beside `.env` (Google's
 * and others) and those of the reserved folders are not served, but their modes are checked.
 *
 * An editor that saves often truncates or deletes a file first. So a file that is suddenly gone or
 * empty keeps its held content until a scan 200 ms later finds the same. A broken or refused file
 * never removes what is held.
 */

import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';
import { checkEntry, checkTrust, currentUser, type TrustOutcome } from '../base/file-trust.ts';
import { mapConcurrently } from '../base/map-concurrently.ts';
import { plainText } from '../base/plain-text.ts';
import { Secret } from '../base/secret.ts';
import { shellQuote } from '../base/shell-quote.ts';
import type { Warning } from '../base/warning.ts';
import {
  BinarySecret,
  isJsonFile,
  isSegment,
  OAUTH_FOLDER,
  ORGANIZATIONS_FOLDER,
  parseDocument,
  type StoredFiles,
} from './opaque-store.ts';
import { classifyAccess, readSecretFile } from './secret-file.ts';

/** Time after which a removal is accepted, in milliseconds: an editor saves faster. */
export const RECHECK_MS = 200;

/** Files that were found gone or empty: path → monotonic time of the first such scan. */
export type PendingRemovals = ReadonlyMap<string, number>;

export interface ScanOptions {
  readonly monotonicMs: number;
  readonly pendingRemovals: PendingRemovals;
  /** Accept at once that a file is gone or empty. */
  readonly trusting: boolean;
}

/** Rules by which the text of a file becomes held content. */
export interface Reading<Held> {
  /** Parses a text; without `held` the text is broken and `faults` give the reasons. */
  readonly parse: (
    text: string,
    bytes: Buffer,
  ) => { readonly held?: Held | undefined; readonly faults: readonly Warning[] };
  /** Holds content that is not text; without it such content is a fault. */
  readonly hold?: (bytes: Buffer) => Held;
  /** Whether an empty text must be confirmed by a second scan. */
  readonly recheckEmpty: boolean;
}

export class FolderScan {
  readonly #options: ScanOptions;
  readonly #pendingRemovals = new Map<string, number>();
  readonly #folders = new Map<string, TrustOutcome>();
  readonly #faults: Warning[] = [];
  readonly #notes: Warning[] = [];
  /** Faults of folders on the way to something else. */
  readonly #onTheWay: Warning[] = [];

  constructor(options: ScanOptions) {
    this.#options = options;
  }

  get pendingRemovals(): PendingRemovals {
    return this.#pendingRemovals;
  }

  /** Problems: first those that keep content from being used, then the others. */
  get warnings(): readonly Warning[] {
    // A folder at fault is met again on the way to each file.
    const onTheWay = new Map(this.#onTheWay.map((one) => [one.subject, one]));
    for (const { subject } of [...this.#faults, ...this.#notes]) onTheWay.delete(subject);
    const all = [...this.#faults, ...onTheWay.values(), ...this.#notes];
    return [...new Map(all.map((one) => [`${one.subject}\n${one.problem}`, one])).values()];
  }

  /** Adds problems that keep content from being used. */
  addFaults(warnings: readonly Warning[]): void {
    this.#faults.push(...warnings);
  }

  /** Adds the fault of a folder, which is reported once unless the folder has faults of its own. */
  addOnTheWay(warning: Warning): void {
    this.#onTheWay.push(warning);
  }

  /** Adds problems that do not keep content from being used. */
  addNotes(warnings: readonly Warning[]): void {
    this.#notes.push(...warnings);
  }

  /** Checks a path by the rule of base/file-trust.ts; each folder once a scan. */
  check(path: string): TrustOutcome {
    const folder = this.checkFolder(dirname(path));
    return folder.kind === 'trusted' ? checkEntry(folder, basename(path)) : folder;
  }

  checkFolder(path: string): TrustOutcome {
    const outcome = this.#folders.get(path) ?? checkTrust(path);
    this.#folders.set(path, outcome);
    return outcome;
  }

  /** Reads a file and returns what is held of it from now on, or undefined. */
  async read<Held>(path: string, held: Held | undefined, reading: Reading<Held>): Promise<Held | undefined> {
    const outcome = await readSecretFile(path, currentUser(), () => this.check(path), reading.hold !== undefined);
    if (outcome.kind === 'missing') return held !== undefined && this.#isPending(path) ? held : undefined;
    if (outcome.kind === 'binary' && reading.hold) {
      this.addNotes(outcome.warnings);
      return reading.hold(outcome.bytes);
    }
    if (outcome.kind !== 'read') {
      const kept = held === undefined ? '' : '; its content from before stays in use';
      for (const one of outcome.warnings) {
        const warning = { ...one, problem: `${one.problem}${kept}` };
        if (path.startsWith(`${one.subject}/`)) this.addOnTheWay(warning);
        else this.addFaults([warning]);
      }
      return held;
    }
    this.addNotes(outcome.warnings);
    const emptied = reading.recheckEmpty && held !== undefined && outcome.text.trim() === '';
    if (emptied && this.#isPending(path)) return held;
    const parsed = reading.parse(outcome.text, outcome.bytes);
    this.addFaults(parsed.faults);
    return parsed.held ?? held;
  }

  #isPending(path: string): boolean {
    if (this.#options.trusting) return false;
    const since = this.#options.pendingRemovals.get(path) ?? this.#options.monotonicMs;
    if (this.#options.monotonicMs - since >= RECHECK_MS) return false;
    this.#pendingRemovals.set(path, since);
    return true;
  }
}

/** Maximum number of opaque secrets: more were put there by mistake. */
const MAX_FILES = 4096;

const FILES_AT_ONCE = 16;

/** Limits of what is shown of a folder's unusable names: how many, and how long. */
const MAX_SHOWN_NAMES = 5;
const MAX_SHOWN_CHARS = 60;

/** Content of a folder; `unreadable` means that it is unknown. */
type FolderOutcome =
  | {
      readonly kind: 'listed';
      readonly files: readonly string[];
      readonly folders: readonly string[];
      /** Those of them that are symbolic links. */
      readonly links: ReadonlySet<string>;
    }
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
    for (const provider of usable(folder, top.folders, scan)) {
      if (top.links.has(provider) && (await leadsBack(folder, provider))) {
        scan.addNotes([unreadLink(join(folder, provider))]);
        continue;
      }
      const inner = await listFolder(join(folder, provider), scan);
      if (inner.kind === 'unreadable') unreadable.add(provider);
      if (inner.kind !== 'listed') continue;
      if (provider === OAUTH_FOLDER || provider === ORGANIZATIONS_FOLDER) {
        const paths = inner.files.map((file) => join(folder, provider, file));
        await checkFiles(paths, scan);
      } else {
        const place = join(folder, provider);
        for (const file of usable(place, inner.files, scan)) {
          if (inner.links.has(file) && (await leadsBack(folder, join(provider, file)))) {
            scan.addNotes([unreadLink(join(place, file))]);
          } else wanted.add(`${provider}/${file}`);
        }
        scan.addNotes(
          inner.folders.filter(isSegment).map((deep) =>
            inner.links.has(deep)
              ? unreadLink(join(place, deep))
              : {
                  subject: join(place, deep),
                  problem: 'is not read: a secret is <provider>/<slug>, without further folders',
                  hint: `move its files to ${shellQuote(place)}`,
                },
          ),
        );
      }
    }
  }
  if (wanted.size > MAX_FILES) {
    const problem = `holds ${wanted.size} files, of which ${MAX_FILES} are read`;
    scan.addFaults([{ subject: folder, problem, hint: 'move other files out of it' }]);
  }
  return readFiles(folder, [...wanted].slice(0, MAX_FILES), held, unreadable, scan);
}

/** Returns the names that can be a provider or a slug, and reports the others but hidden ones. */
function usable(folder: string, names: readonly string[], scan: FolderScan): string[] {
  const odd = names.filter((name) => !isSegment(name) && !name.startsWith('.') && name !== '__pycache__');
  if (odd.length > 0) {
    const shown = odd.slice(0, MAX_SHOWN_NAMES).map((name) => JSON.stringify(plainText(name, MAX_SHOWN_CHARS)));
    const problem = `names that cannot be used, so that their files are not read: ${shown.join(', ')}`;
    scan.addNotes([{ subject: folder, problem, hint: 'rename them, without control characters and backslashes' }]);
  }
  return names.filter(isSegment);
}

/**
 * Returns whether a link leads back into the store. That is the store itself, a folder above it, a
 * file beside `.env`, or a reserved folder. By such a link OAuth files would be secrets.
 */
async function leadsBack(folder: string, link: string): Promise<boolean> {
  try {
    const [root, target] = await Promise.all([realpath(folder), realpath(join(folder, link))]);
    if (target === root || root.startsWith(target === '/' ? '/' : `${target}/`)) return true;
    if (!target.startsWith(`${root}/`)) return false;
    const [first = '', ...others] = target.slice(root.length + 1).split('/');
    const isFileOfRoot = others.length === 0 && (await stat(target)).isFile();
    return isFileOfRoot || first === OAUTH_FOLDER || first === ORGANIZATIONS_FOLDER;
  } catch {
    // Gone since it was listed.
    return false;
  }
}

function unreadLink(path: string): Warning {
  return { subject: path, problem: 'is a link that is not followed', hint: `delete the link: rm ${shellQuote(path)}` };
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
  const contents = await mapConcurrently(files, FILES_AT_ONCE, (file) => {
    const before = held.get(file);
    const provider = file.slice(0, file.indexOf('/'));
    return unreadable.has(provider) ? before : readFile(join(folder, file), before, scan);
  });
  return new Map(contents.flatMap((content, index) => (content ? [[files[index] ?? '', content] as const] : [])));
}

function readFile(path: string, before: Secret | undefined, scan: FolderScan): Promise<Secret | undefined> {
  const json = isJsonFile(path);
  return scan.read(path, before, {
    recheckEmpty: !json,
    parse: (text, bytes) => {
      if (json && parseDocument(text) === undefined) {
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
    const trust = scan.checkFolder(path);
    if (trust.kind === 'untrusted') {
      // Also who can read it, where that is its own fault.
      await checkPath(path, 'folder', scan);
      const problem = `${trust.fault.problem}; nothing in it is used`;
      if (trust.path !== path) scan.addOnTheWay({ ...trust.fault, problem });
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
  const links = new Set(entries.filter((entry) => entry.isSymbolicLink()).map(({ name }) => name));
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const kind = entry.isSymbolicLink() ? await kindOfTarget(join(path, entry.name)) : kindOf(entry);
    if (kind === 'file') files.push(entry.name);
    if (kind === 'folder') folders.push(entry.name);
  }
  return { kind: 'listed', files, folders, links };
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
    const facts = await stat(path);
    if (kind === 'folder' && !facts.isDirectory()) {
      const hint = `put a folder in its place: ls -l ${shellQuote(path)}`;
      scan.addFaults([{ subject: path, problem: 'is not a folder', hint }]);
      return;
    }
    const { warnings, refused } = classifyAccess(path, kind, facts, currentUser());
    if (refused) scan.addFaults(warnings);
    else scan.addNotes(warnings);
  } catch {
    // Gone since it was listed, or unreachable: then it is not used either.
  }
}
