/**
 * Tells when something in the secrets folder may have changed. Owns the chokidar package.
 *
 * Watches `~/.secrets` itself, of everything in it only `aipass`, and that two levels deep; also before either exists, and
 * after either was replaced. Says that something happened, never what: the vault looks for itself.
 *
 * chokidar 6 can lose a folder that is deleted or replaced while it scans, and for good. So the folders are compared with those
 * that were there when the watcher was opened, and where they differ another is opened.
 */

import type { FSWatcher, watch } from 'chokidar';
import { join, relative, sep } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';
import type { Warning } from '../base/warning.ts';
import { readFolderSignature } from './folder-signature.ts';

/** Says what to watch and whom to tell. */
export interface WatchOptions {
  /** Is `~/.secrets`. */
  readonly root: string;
  /** Is `~/.secrets/aipass`, a folder in `root`. */
  readonly folder: string;
  readonly onChange: () => void;
  /** Is told once, when changes are found late because the system's notifications fail. */
  readonly onProblem: (problem: Warning) => void;
  /** Opens the watcher; tests hand in one that fails. */
  readonly open?: typeof watch;
}

/** Is a watch that has begun. */
export interface SecretsWatch {
  /** Watches anew if a folder is not the one any more that is watched; resolves when that is settled, and never rejects. */
  verify(): Promise<void>;
  /** Ends the watch. */
  stop(): Promise<void>;
}

/** Is how often files are looked at when the system cannot notify, in milliseconds: a change must be served within 500 ms. */
const POLLING_INTERVAL_MS = 200;

/** Reaches from `~/.secrets` over `aipass` to the files in its folders. */
const DEPTH = 2;

/** Starts to watch; resolves when every later change will be told. */
export async function watchSecrets(options: WatchOptions): Promise<SecretsWatch> {
  const watcher = new SecretsWatcher(options);
  await watcher.verify();
  return watcher;
}

class SecretsWatcher implements SecretsWatch {
  readonly #options: WatchOptions;
  #backend: 'auto' | 'polling' = 'auto';
  #current: FSWatcher | undefined;
  /** Identifies the folders as they were when the current watcher was opened. */
  #signature: string | undefined;
  #verifying: Promise<void> | undefined;
  #stopped = false;

  constructor(options: WatchOptions) {
    this.#options = options;
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
    const { root, folder, onChange } = this.#options;
    for (;;) {
      const signature = await readFolderSignature(root, folder);
      if (this.#stopped || (this.#current && signature === this.#signature)) return;
      const first = this.#signature === undefined;
      // Closed before the next is opened, which would else share its handles on folders that are gone.
      await this.#close();
      this.#signature = signature;
      const failure = await this.#open();
      if (failure !== undefined) {
        await this.#close();
        // Polling has no further fallback; the vault reads everything now and then in any case.
        if (this.#backend === 'polling') return;
        this.#fallBack(failure);
      }
      // Nobody told of what happened between the two.
      if (!first) onChange();
    }
  }

  /** Opens a watcher and resolves when it is ready, or with the error that ended it before. */
  async #open(): Promise<unknown> {
    const { root, folder } = this.#options;
    try {
      // Loaded only now, because the daemon answers before it watches.
      const open = this.#options.open ?? (await import('chokidar')).watch;
      this.#current = open(root, {
        backend: this.#backend,
        depth: DEPTH,
        ignored: (path) => path !== root && !isIn(folder, path),
        ignoreInitial: true,
        // The vault waits for quiet itself, and a lent key must not be late.
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
    const { root, folder, onChange } = this.#options;
    const backend = this.#backend;
    return new Promise((resolve) => {
      let ready = false;
      watcher.on('all', onChange);
      // Raw events tell of what has no event of its own: a changed mode, and a second write within the same clock tick.
      watcher.on('raw', (_event, name, details) => {
        if (isAbout(root, folder, details, name)) onChange();
      });
      watcher.once('ready', () => {
        ready = true;
        resolve(undefined);
      });
      watcher.on('error', (error) => {
        // What polling cannot reach, the vault names itself.
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
    this.#options.onProblem({
      subject: this.#options.folder,
      problem: `the system does not tell of changes (${code ?? 'unknown error'}), so files are looked at again and again`,
      hint:
        code === 'ENOSPC' || code === 'EMFILE'
          ? 'raise fs.inotify.max_user_watches and fs.inotify.max_user_instances, then restart aipassd'
          : 'see that the folder can be read, then restart aipassd',
    });
  }

  async #close(): Promise<void> {
    const watcher = this.#current;
    this.#current = undefined;
    // A handle that cannot be closed is no reason not to go on.
    await watcher?.close().catch(() => {});
  }
}

/** Tells whether a raw event is about the secrets: while a folder is missing, chokidar watches the one above it too. */
function isAbout(root: string, folder: string, details: unknown, name: string | null): boolean {
  if (typeof details !== 'object' || details === null || !('watchedPath' in details)) return true;
  if (typeof details.watchedPath !== 'string') return true;
  const path = name === null ? details.watchedPath : join(details.watchedPath, name);
  return path === root || isIn(folder, path) || isIn(path, folder);
}

function isIn(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`));
}
