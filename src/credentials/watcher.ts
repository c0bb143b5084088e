/**
 * Watches the secrets folder for changes. Owns the chokidar package.
 *
 * Watches `~/.secrets` and in it only `aipass`, two levels deep, also before either exists and
 * after either was replaced. Reports that something changed, not what. The vault reads everything
 * again.
 *
 * chokidar 6 can lose a folder for good that is deleted or replaced while it scans. So the folders
 * are compared with those at the time when the watcher was opened; if they differ, another watcher
 * is opened.
 */

import { basename, join, relative, sep } from 'node:path';
import { readdir, stat } from 'node:fs/promises';
import type { FSWatcher, watch } from 'chokidar';
import { systemErrorCode } from '../base/errors.ts';
import { identityOf } from '../base/file-signature.ts';
import { readString } from '../base/json.ts';
import { shellQuote } from '../base/shell-quote.ts';
import type { Warning } from '../base/warning.ts';

export interface WatcherDeps {
  /** `~/.secrets`. */
  readonly root: string;
  /** `~/.secrets/aipass`, a folder in `root`. */
  readonly folder: string;
  readonly onChange: () => void;
  /**
   * Called when the system's notifications fail and changes are found late; without a problem, when
   * they work again.
   */
  readonly onProblem: (problem: Warning | undefined) => void;
  /** Opens the watcher; tests pass one that fails. */
  readonly open?: typeof watch;
}

export interface SecretsWatch {
  /** Opens another watcher if a watched folder was replaced. Never rejects. */
  verify(): Promise<void>;
  stop(): Promise<void>;
}

/** Polling interval if the system cannot notify, in milliseconds. */
const POLLING_INTERVAL_MS = 200;

/** Depth of the watch: from `~/.secrets` over `aipass` to the files in its folders. */
const DEPTH = 2;

/** Starts to watch; resolves when every later change will be reported. */
export async function watchSecrets(deps: WatcherDeps): Promise<SecretsWatch> {
  const watcher = new SecretsWatcher(deps);
  await watcher.verify();
  return watcher;
}

class SecretsWatcher implements SecretsWatch {
  readonly #deps: WatcherDeps;
  #backend: 'auto' | 'polling' = 'auto';
  #current: FSWatcher | undefined;
  /** Link in a loop that made the watch fall back to polling. */
  #loop: string | undefined;
  /** Signature of the folders when the current watcher was opened. */
  #signature: string | undefined;
  #verifying: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: WatcherDeps) {
    this.#deps = deps;
  }

  verify(): Promise<void> {
    this.#verifying ??= this.#settle().finally(() => {
      this.#verifying = undefined;
    });
    return this.#verifying;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#verifying;
    await this.#close();
  }

  /** Opens watchers until one was ready before any folder changed. */
  async #settle(): Promise<void> {
    const { root, folder, onChange } = this.#deps;
    if (this.#loop !== undefined && !(await isLoop(this.#loop))) {
      this.#loop = undefined;
      this.#backend = 'auto';
      await this.#close();
      this.#deps.onProblem(undefined);
    }
    for (;;) {
      const signature = await readFolderSignature(root, folder);
      if (this.#stopped || (this.#current && signature === this.#signature)) return;
      const first = this.#signature === undefined;
      // Closed before the next is opened, which would else share its handles on folders that are
      // gone.
      await this.#close();
      this.#signature = signature;
      const failure = await this.#open();
      if (failure !== undefined) {
        await this.#close();
        // Polling has no further fallback; the vault reads everything every 30 s in any case.
        if (this.#backend === 'polling') return;
        this.#fallBack(failure);
      }
      // Changes between the two watchers were not reported.
      if (!first) onChange();
    }
  }

  /** Opens a watcher and resolves when it is ready, or with the error that ended it before. */
  async #open(): Promise<unknown> {
    const { root, folder } = this.#deps;
    try {
      // Loaded only now, because the daemon answers before it watches.
      const open = this.#deps.open ?? (await import('chokidar')).watch;
      this.#current = open(root, {
        backend: this.#backend,
        depth: DEPTH,
        ignored: (path) => path !== root && !isIn(folder, path),
        ignoreInitial: true,
        // The vault waits for quiet itself, and a key in use must not be late.
        atomic: false,
        persistent: false,
        pollingInterval: POLLING_INTERVAL_MS,
        pollingBinaryInterval: POLLING_INTERVAL_MS,
      });
      return await this.#attach(this.#current);
    } catch (error) {
      return error ?? new Error('no watcher');
    }
  }

  #attach(watcher: FSWatcher): Promise<unknown> {
    const { root, folder, onChange } = this.#deps;
    const backend = this.#backend;
    return new Promise((resolve) => {
      let ready = false;
      watcher.on('all', onChange);
      // Raw events report what has no event of its own: a changed mode, and a second write within
      // the same clock tick.
      watcher.on('raw', (_event, name, details) => {
        if (isAbout(root, folder, details, name)) onChange();
      });
      watcher.once('ready', () => {
        ready = true;
        resolve(undefined);
      });
      watcher.on('error', (error) => {
        // The vault reports what polling cannot reach.
        if (backend === 'polling' || this.#current !== watcher) return;
        if (ready) void this.#replace(error);
        else resolve(error);
      });
    });
  }

  async #replace(failure: unknown): Promise<void> {
    const closed = this.#close();
    this.#fallBack(failure);
    await closed;
    await this.verify();
  }

  #fallBack(failure: unknown): void {
    if (this.#backend === 'polling') return;
    this.#backend = 'polling';
    const code = systemErrorCode(failure);
    const path = readString(failure, 'path');
    if (code === 'ELOOP' && path !== undefined) {
      this.#loop = path;
      this.#deps.onProblem({
        subject: path,
        problem: 'this link leads to itself (ELOOP), so the files are polled until it is fixed',
        hint: `see where it leads: ls -l ${shellQuote(path)}; put a file in its place`,
      });
      return;
    }
    this.#deps.onProblem({
      subject: this.#deps.folder,
      problem: `the system does not report changes (${code ?? 'unknown error'}), so the files are polled`,
      hint:
        code === 'ENOSPC' || code === 'EMFILE'
          ? 'raise fs.inotify.max_user_watches and fs.inotify.max_user_instances, then restart aipassd'
          : 'make the folder readable, then restart aipassd',
    });
  }

  async #close(): Promise<void> {
    const watcher = this.#current;
    this.#current = undefined;
    // A handle that cannot be closed must not stop the watch.
    await watcher?.close().catch(() => {});
  }
}

/** Returns whether a raw event is about the secrets: chokidar also watches a folder above. */
function isAbout(root: string, folder: string, details: unknown, name: string | null): boolean {
  if (typeof details !== 'object' || details === null || !('watchedPath' in details)) return true;
  if (typeof details.watchedPath !== 'string') return true;
  const { watchedPath } = details;
  // A folder that is moved away reports its own name.
  const paths = name === null || name === basename(watchedPath) ? [watchedPath] : [];
  if (name !== null) paths.push(join(watchedPath, name));
  return paths.some((path) => path === root || isIn(folder, path) || isIn(path, folder));
}

function isIn(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`));
}

/**
 * Returns the signature of `root`, `folder` and the folders in `folder`: a text that changes when
 * one appears, goes or is replaced. Follows symbolic links, ignores files.
 */
async function readFolderSignature(root: string, folder: string): Promise<string> {
  const names = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const inner = names
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map((entry) => join(folder, entry.name));
  const folders = [root, folder, ...inner.toSorted()];
  return (await Promise.all(folders.map(identify))).join('\n');
}

/** Returns whether a path is a link that leads to itself. */
async function isLoop(path: string): Promise<boolean> {
  return await stat(path).then(
    () => false,
    (error: unknown) => systemErrorCode(error) === 'ELOOP',
  );
}

async function identify(path: string): Promise<string> {
  try {
    const facts = await stat(path, { bigint: true });
    return facts.isDirectory() ? `${path} ${identityOf(facts)}` : '';
  } catch {
    return '';
  }
}
