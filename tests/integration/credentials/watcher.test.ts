/**
 * The watcher on its own: what it watches, and what it does when the system cannot notify.
 */

import { watch, type FSWatcher } from 'chokidar';
import { rmSync } from 'node:fs';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { watchSecrets, type SecretsWatch, type WatcherDeps } from '../../../src/credentials/watcher.ts';
import type { Warning } from '../../../src/base/warning.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { until } from '../../support/until.ts';

interface Watching extends AsyncDisposable {
  readonly root: string;
  readonly folder: string;
  readonly opened: { readonly watcher: FSWatcher; readonly backend: string | undefined }[];
  readonly problems: (Warning | undefined)[];
  readonly secrets: { current: SecretsWatch | undefined };
  changes: number;
}

/** Watches a fresh home with the real watcher; `open` wraps how it is opened. */
async function startWatching(
  prepare: (folder: string) => Promise<void>,
  open: NonNullable<WatcherDeps['open']> = watch,
): Promise<Watching> {
  const home = makeTempHome();
  const { secretsRoot: root, secrets: folder } = home.paths;
  await prepare(folder);
  const opened: Watching['opened'] = [];
  const problems: (Warning | undefined)[] = [];
  const watching: Watching = {
    root,
    folder,
    opened,
    problems,
    secrets: { current: undefined },
    changes: 0,
    async [Symbol.asyncDispose]() {
      await secrets.stop();
      await home.remove();
    },
  };
  const secrets = await watchSecrets({
    root,
    folder,
    onChange: () => {
      watching.changes += 1;
    },
    onProblem: (problem) => problems.push(problem),
    open: (path, options) => {
      const watcher = open(path, options);
      opened.push({ watcher, backend: options?.backend });
      return watcher;
    },
  });
  watching.secrets.current = secrets;
  return watching;
}

async function makeTree(folder: string): Promise<void> {
  await mkdir(join(folder, 'telegram', 'deep', 'deeper'), { recursive: true });
  await mkdir(join(folder, '..', 'other', 'inner'), { recursive: true });
}

const noMoreWatches = (): Error => Object.assign(new Error('no space'), { code: 'ENOSPC' });

async function hears(watching: Watching, what: string, path: string): Promise<void> {
  const before = watching.changes;
  await writeFile(path, `${before}`);
  await until(what, () => watching.changes > before, 500);
}

/** Writes a file and resolves when the system told chokidar of it. */
async function sees(watching: Watching, path: string): Promise<void> {
  const seen = new Promise<void>((resolve) => {
    watching.opened[0]?.watcher.on('raw', (_event, name) => {
      if (name === basename(path)) resolve();
    });
  });
  await writeFile(path, 'nothing of ours');
  await seen;
}

test('of the secrets folder only ours is watched, and that as deep as secrets lie', async () => {
  await using watching = await startWatching(makeTree);
  const watched = Object.keys(watching.opened[0]?.watcher.getWatched() ?? {});
  expect(watched).toContain(join(watching.folder, 'telegram'));
  expect(watched).not.toContain(join(watching.folder, 'telegram', 'deep', 'deeper'));
  expect(watched.filter((path) => path.includes('other'))).toEqual([]);

  await sees(watching, join(watching.root, 'unrelated'));
  expect(watching.changes).toBe(0);
  await hears(watching, 'a secret is heard of', join(watching.folder, 'telegram', 'bot'));
});

test('while the folder is missing, only its own appearance is heard of', async () => {
  await using watching = await startWatching(async () => {});
  await sees(watching, join(watching.root, '..', 'unrelated'));
  expect(watching.changes).toBe(0);
  await mkdir(watching.root);
  await until('the folder is heard of', () => watching.changes > 0, 500);
});

test('a watcher that fails later is replaced by polling, and the problem is told once', async () => {
  await using watching = await startWatching(makeTree);
  watching.opened[0]?.watcher.emit('error', noMoreWatches());
  await until('polling was opened', () => watching.opened.length === 2 && watching.changes > 0);
  expect(watching.opened.map(({ backend }) => backend)).toEqual(['auto', 'polling']);
  expect(watching.opened[0]?.watcher.closed).toBe(true);
  expect(watching.problems).toHaveLength(1);
  expect(watching.problems[0]?.problem).toContain('ENOSPC');
  expect(watching.problems[0]?.hint).toContain('fs.inotify.max_user_watches');

  await hears(watching, 'polling hears of a new file', join(watching.folder, '.env'));
  await hears(watching, 'polling hears of a new secret', join(watching.folder, 'telegram', 'bot'));
});

test('a watcher that fails before it is ready is replaced by polling', async () => {
  await using watching = await startWatching(makeTree, (path, options) => {
    const watcher = watch(path, options);
    if (options?.backend !== 'polling') queueMicrotask(() => watcher.emit('error', noMoreWatches()));
    return watcher;
  });
  expect(watching.opened.map(({ backend }) => backend)).toEqual(['auto', 'polling']);
  await hears(watching, 'polling hears of a new file', join(watching.folder, '.env'));
});

test('a watcher that cannot even be made is a problem, not a failure', async () => {
  await using watching = await startWatching(makeTree, () => {
    throw new TypeError('pollingInterval must be a finite number');
  });
  expect(watching.opened).toEqual([]);
  expect(watching.problems).toHaveLength(1);
});

test('after its release nothing is heard of any more', async () => {
  const watching = await startWatching(makeTree);
  const { watcher } = watching.opened[0] ?? {};
  await watching[Symbol.asyncDispose]();
  expect(watcher?.closed).toBe(true);
});

test('what was replaced unseen is watched again once it was verified, and verifying what is in order opens nothing', async () => {
  await using watching = await startWatching(async (folder) => {
    const home = join(folder, '..', '..');
    for (const name of ['one', 'two']) await makeTree(join(home, name, 'aipass'));
    await symlink('one', join(folder, '..'));
  });
  await watching.secrets.current?.verify();
  expect(watching.opened).toHaveLength(1);

  // Nobody watches the folder in which ~/.secrets itself is a link.
  await symlink('two', join(watching.root, '..', 'turned'));
  await rename(join(watching.root, '..', 'turned'), watching.root);
  await watching.secrets.current?.verify();
  expect(watching.opened).toHaveLength(2);
  expect(watching.opened[0]?.watcher.closed).toBe(true);
  expect(watching.changes).toBeGreaterThan(0);
  await hears(watching, 'a file in the other folder', join(watching.folder, '.env'));
});

test('a folder that is deleted while the watcher is opened is heard of when it comes back', async () => {
  await using watching = await startWatching(makeTree, (path, options) => {
    const watcher = watch(path, options);
    if (options?.backend === 'auto') for (const one of [path].flat()) rmSync(one, { recursive: true, force: true });
    return watcher;
  });
  await mkdir(watching.folder, { recursive: true });
  await until('the folder is heard of', () => watching.changes > 0, 500);
});

test('a link that leads to itself is polled around, and watched again once it is fixed', async () => {
  await using watching = await startWatching(async (folder) => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await symlink('.env', join(folder, '.env'));
  });
  const path = join(watching.folder, '.env');
  await until('polling was opened', () => watching.opened.at(-1)?.backend === 'polling');
  expect(watching.problems.at(-1)?.subject).toBe(path);
  await watching.secrets.current?.verify();
  expect(watching.opened.at(-1)?.backend).toBe('polling');

  rmSync(path);
  await writeFile(path, '', { mode: 0o600 });
  await watching.secrets.current?.verify();

  expect(watching.opened.at(-1)?.backend).toBe('auto');
  expect(watching.problems).toHaveLength(2);
  expect(watching.problems.at(-1)).toBeUndefined();
  await hears(watching, 'the watcher hears of a change', path);
});
