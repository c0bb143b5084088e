/**
 * Tells when something in the secrets folder may have changed. Owns the chokidar package.
 *
 * Watches `~/.secrets` itself, of everything in it only `aipass`, and that two levels deep; also before either exists, and
 * after either was replaced. Says that something happened, never what: the vault looks for itself.
 */

import type { FSWatcher } from 'chokidar';
import { watch } from 'chokidar';
import { join, relative, sep } from 'node:path';
import { systemErrorCode } from '../base/errors.ts';
import type { Release } from '../base/releasers.ts';
import type { Warning } from '../base/warning.ts';

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

/** Is how often files are looked at when the system cannot notify, in milliseconds: a change must be served within 500 ms. */
const POLLING_INTERVAL_MS = 200;

/** Reaches from `~/.secrets` over `aipass` to the files in its folders. */
const DEPTH = 2;

/** Starts to watch; resolves when every later change will be told. The returned function ends it. */
export async function watchSecrets(options: WatchOptions): Promise<Release> {
  const watching = new SecretsWatcher(options);
  await watching.start();
  return () => watching.stop();
}

class SecretsWatcher {
  readonly #options: WatchOptions;
  #current: FSWatcher | undefined;
  #stopped = false;
  #closing: Promise<void> = Promise.resolve();

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const failure = await this.#open('auto');
    if (failure !== undefined) await this.#poll(failure);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#close();
    await this.#closing;
  }

  /** Opens a watcher and resolves when it is ready, or with the error that ended it before. */
  #open(backend: 'auto' | 'polling'): Promise<unknown> {
    const { root, folder, onChange } = this.#options;
    return new Promise((resolve) => {
      let watcher: FSWatcher;
      try {
        watcher = (this.#options.open ?? watch)(root, {
          backend,
          depth: DEPTH,
          ignored: (path) => path !== root && !isIn(folder, path),
          ignoreInitial: true,
          // The vault waits for quiet itself, and a lent key must not be late.
          atomic: false,
          persistent: false,
          pollingInterval: POLLING_INTERVAL_MS,
          pollingBinaryInterval: POLLING_INTERVAL_MS,
        });
      } catch (error) {
        resolve(error ?? new Error('no watcher'));
        return;
      }
      this.#current = watcher;
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
        // Polling has no further fallback; what it cannot reach, the vault names itself.
        if (backend === 'polling' || this.#current !== watcher) return;
        this.#close();
        if (ready) void this.#poll(error);
        else resolve(error);
      });
    });
  }

  async #poll(cause: unknown): Promise<void> {
    if (this.#stopped) return;
    const code = systemErrorCode(cause);
    this.#options.onProblem({
      subject: this.#options.folder,
      problem: `the system does not tell of changes (${code ?? 'unknown error'}), so files are looked at again and again`,
      hint:
        code === 'ENOSPC' || code === 'EMFILE'
          ? 'raise fs.inotify.max_user_watches and fs.inotify.max_user_instances, then restart aipassd'
          : 'see that the folder can be read, then restart aipassd',
    });
    await this.#open('polling');
    // Something may have changed between the two watchers.
    if (!this.#stopped) this.#options.onChange();
  }

  #close(): void {
    const watcher = this.#current;
    this.#current = undefined;
    if (!watcher) return;
    this.#closing = Promise.allSettled([this.#closing, watcher.close()]).then(() => {});
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
