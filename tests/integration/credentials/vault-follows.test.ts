/**
 * The vault follows a real folder: whatever way a file is changed, the change is served within 500
 * ms.
 */

import { mkdir, open, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import { SERVED_WITHIN_MS, startVault, type WatchedVault } from './watched-vault.ts';

const FIRST = 'OPENROUTER_API_KEY=sk-or-v1-first\n';

async function startWithKey(): Promise<WatchedVault> {
  const started = await startVault(async ({ folder, envFile }) => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(envFile, FIRST, { mode: 0o600 });
  });
  await started.serves('openrouter', ['sk-or-v1-first']);
  return started;
}

describe('a key that is changed or added is served within 500 ms', () => {
  test('when the file is written in place', async () => {
    await using it = await startWithKey();
    await it.write('.env', `${FIRST}OPENAI_API_KEY=sk-other\n`);
    await it.serves('openai', ['sk-other']);
    await it.write('.env', 'OPENAI_API_KEY=sk-third\n');
    await it.serves('openai', ['sk-third']);
    await it.serves('openrouter', []);
  });

  test('when it is replaced by one of the same length within the same moment', async () => {
    await using it = await startWithKey();
    await it.write('.env', 'OPENROUTER_API_KEY=sk-or-v1-aaaaa\n');
    await it.write('.env', 'OPENROUTER_API_KEY=sk-or-v1-bbbbb\n');
    await it.serves('openrouter', ['sk-or-v1-bbbbb']);
  });

  test('when an editor writes a new file and renames it over the old one', async () => {
    await using it = await startWithKey();
    for (const value of ['sk-or-v1-second', 'sk-or-v1-third']) {
      await it.write('.env.tmp', `OPENROUTER_API_KEY=${value}\n`);
      await rename(join(it.folder, '.env.tmp'), it.envFile);
      await it.serves('openrouter', [value]);
    }
  });

  test('when an editor moves the old file away and writes a new one', async () => {
    await using it = await startWithKey();
    for (const value of ['sk-or-v1-second', 'sk-or-v1-third']) {
      await rename(it.envFile, `${it.envFile}~`);
      await it.write('.env', `OPENROUTER_API_KEY=${value}\n`);
      await unlink(`${it.envFile}~`);
      await it.serves('openrouter', [value]);
    }
  });

  test('when the file is replaced ten times in a second, and the last content wins', async () => {
    await using it = await startWithKey();
    for (let round = 1; round <= 10; round++) {
      if (round % 2 === 0) {
        await it.write('.env.new', `OPENROUTER_API_KEY=sk-or-v1-round-${round}\n`);
        await rename(join(it.folder, '.env.new'), it.envFile);
      } else {
        await it.write('.env', `OPENROUTER_API_KEY=sk-or-v1-round-${round}\n`);
      }
      const next = performance.now() + 100;
      await until('a tenth of a second passes', () => performance.now() >= next);
    }
    await it.serves('openrouter', ['sk-or-v1-round-10']);
  });

  test('when neither folder exists at first', async () => {
    await using it = await startVault();
    expect(it.vault.keys()).toEqual([]);
    await mkdir(it.root, { mode: 0o700 });
    await it.write('.env', FIRST);
    await it.serves('openrouter', ['sk-or-v1-first']);
    await it.write('.env', 'OPENROUTER_API_KEY=sk-or-v1-second\n');
    await it.serves('openrouter', ['sk-or-v1-second']);
  });

  test('when only our folder appears later', async () => {
    await using it = await startVault(({ root }) => mkdir(root, { mode: 0o700 }));
    await it.write('.env', FIRST);
    await it.serves('openrouter', ['sk-or-v1-first']);
    await it.write('telegram/bot', '123:abcdef');
    await until('the secret is there', () => it.vault.secretNames().length === 1, SERVED_WITHIN_MS);
    await it.write('.env', 'OPENROUTER_API_KEY=sk-or-v1-second\n');
    await it.serves('openrouter', ['sk-or-v1-second']);
  });

  test('when the folder is deleted and comes back', async () => {
    await using it = await startWithKey();
    for (const gone of [it.folder, it.root]) {
      await rm(gone, { recursive: true });
      await it.serves('openrouter', []);
      await it.write('.env', 'OPENROUTER_API_KEY=sk-or-v1-back\n');
      await it.serves('openrouter', ['sk-or-v1-back']);
      await it.write('.env', 'OPENROUTER_API_KEY=sk-or-v1-again\n');
      await it.serves('openrouter', ['sk-or-v1-again']);
    }
  });

  test('when the folder above it is moved away, and another one made', async () => {
    await using it = await startWithKey();
    await rename(it.root, `${it.root}-away`);
    await it.serves('openrouter', []);
    await mkdir(it.folder, { recursive: true, mode: 0o700 });
    await it.write('.env', 'OPENROUTER_API_KEY=sk-or-v1-new\n');
    await it.serves('openrouter', ['sk-or-v1-new']);
  });

  test('when another folder is renamed into its place', async () => {
    await using it = await startWithKey();
    for (const round of [1, 2]) {
      await it.write('../next/.env', `OPENROUTER_API_KEY=sk-or-v1-swapped-${round}\n`);
      await rename(it.folder, join(it.root, `old-${round}`));
      await rename(join(it.root, 'next'), it.folder);
      await it.serves('openrouter', [`sk-or-v1-swapped-${round}`]);
      await it.write('.env', `OPENROUTER_API_KEY=sk-or-v1-written-${round}\n`);
      await it.serves('openrouter', [`sk-or-v1-written-${round}`]);
    }
  });

  test('when the folder is a link that is turned to another folder', async () => {
    await using it = await startVault(async ({ root, folder }) => {
      for (const name of ['one', 'two']) {
        await mkdir(join(root, '..', name), { recursive: true, mode: 0o700 });
        await writeFile(join(root, '..', name, '.env'), `OPENROUTER_API_KEY=sk-or-v1-${name}\n`, { mode: 0o600 });
      }
      await mkdir(root, { mode: 0o700 });
      await symlink('../one', folder);
    });
    await it.serves('openrouter', ['sk-or-v1-one']);
    await symlink('../two', join(it.root, 'turned'));
    await rename(join(it.root, 'turned'), it.folder);
    await it.serves('openrouter', ['sk-or-v1-two']);
    await it.write('.env', 'OPENROUTER_API_KEY=sk-or-v1-three\n');
    await it.serves('openrouter', ['sk-or-v1-three']);
  });

  test('when .env is a link to a file elsewhere', async () => {
    await using it = await startVault(async ({ root, folder, envFile }) => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFile(join(root, '..', 'dotfile'), FIRST, { mode: 0o600 });
      await symlink('../../dotfile', envFile);
    });
    await it.serves('openrouter', ['sk-or-v1-first']);
    await writeFile(join(it.root, '..', 'dotfile'), 'OPENROUTER_API_KEY=sk-or-v1-second\n');
    await it.serves('openrouter', ['sk-or-v1-second']);
  });
});

describe('a file at work', () => {
  test('keys stay while an editor has truncated the file, and change once when it has written', async () => {
    await using it = await startWithKey();
    let changes = 0;
    it.vault.onChange(() => {
      changes += 1;
    });
    const file = await open(it.envFile, 'w');
    const later = performance.now() + 120;
    while (performance.now() < later) {
      await until('a moment passes', () => true);
      expect(it.vault.keys('openrouter')).toHaveLength(1);
    }
    await file.writeFile('OPENROUTER_API_KEY=sk-or-v1-second\n');
    await file.close();
    await it.serves('openrouter', ['sk-or-v1-second']);
    expect(changes).toBe(1);
  });

  test('a file that stays empty, or away, gives no keys any more', async () => {
    await using it = await startWithKey();
    await it.write('.env', '');
    await it.serves('openrouter', []);
    await it.write('.env', FIRST);
    await it.serves('openrouter', ['sk-or-v1-first']);
    await unlink(it.envFile);
    await it.serves('openrouter', []);
  });

  test('a listener can be taken back, and one that fails disturbs nobody', async () => {
    await using it = await startWithKey();
    const heard: string[] = [];
    it.vault.onChange(() => {
      throw new Error('a broken listener');
    });
    const takeBack = it.vault.onChange(() => heard.push('taken back'));
    takeBack();
    it.vault.onChange((names) => heard.push(...names));
    await it.write('.env', 'OPENROUTER_API_KEY=sk-or-v1-second\n');
    await until('a listener was called', () => heard.length > 0);
    expect(heard).toEqual(['OPENROUTER_API_KEY']);
  });
});
