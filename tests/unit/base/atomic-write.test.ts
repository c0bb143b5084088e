import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFileAtomic, writeFileAtomic } from '../../../src/base/atomic-write.ts';
import { ENV_TEMPLATE, initEnvFile } from '../../../src/credentials/template.ts';

let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aip-'));
});

afterEach(() => rm(folder, { recursive: true }));

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

test('a written file has mode 0600, its new folders 0700, and nothing else is left', async () => {
  const path = join(folder, 'a', 'b', 'secret');
  const umask = process.umask(0);
  try {
    await writeFileAtomic(path, 'one');
    await writeFileAtomic(path, 'two');
  } finally {
    process.umask(umask);
  }
  expect(await readFile(path, 'utf8')).toBe('two');
  expect([await modeOf(path), await modeOf(join(folder, 'a', 'b')), await modeOf(join(folder, 'a'))]).toEqual([
    '600',
    '700',
    '700',
  ]);
  expect(await readdir(join(folder, 'a', 'b'))).toEqual(['secret']);
});

test('a strict umask takes nothing from the mode, and an open old file is closed to others', async () => {
  const path = join(folder, 'secret');
  await writeFile(path, 'old', { mode: 0o644 });
  const umask = process.umask(0o777);
  try {
    await writeFileAtomic(path, 'new');
  } finally {
    process.umask(umask);
  }
  expect(await modeOf(path)).toBe('600');
});

test('a symbolic link stays, and its target is replaced', async () => {
  await mkdir(join(folder, 'real'));
  await writeFile(join(folder, 'real', 'file'), 'old');
  await symlink('real/file', join(folder, 'link'));
  await writeFileAtomic(join(folder, 'link'), 'new');
  expect(await readlink(join(folder, 'link'))).toBe('real/file');
  expect(await readFile(join(folder, 'real', 'file'), 'utf8')).toBe('new');
});

test('a failed write leaves the old file and no temporary one', async () => {
  await mkdir(join(folder, 'taken', 'by a folder'), { recursive: true });
  await expect(writeFileAtomic(join(folder, 'taken'), 'x')).rejects.toThrow('EISDIR');
  await expect(createFileAtomic(join(folder, 'taken'), 'x')).rejects.toThrow('EEXIST');
  expect(await readdir(folder)).toEqual(['taken']);
});

test('a temporary name that is taken is never written to', async () => {
  await writeFile(join(folder, '.aipassd-taken.tmp'), 'of somebody else');
  await expect(writeFileAtomic(join(folder, 'secret'), 'x', { randomName: () => 'taken' })).rejects.toThrow('EEXIST');
  expect(await readFile(join(folder, '.aipassd-taken.tmp'), 'utf8')).toBe('of somebody else');
});

test('a new .env comes from the template, and one that exists is left alone', async () => {
  const path = join(folder, '.secrets', 'aipass', '.env');
  expect(await initEnvFile(path)).toBe('created');
  expect(await readFile(path, 'utf8')).toBe(ENV_TEMPLATE);
  expect([await modeOf(path), await modeOf(join(folder, '.secrets'))]).toEqual(['600', '700']);

  await writeFile(path, 'MINE=1');
  expect(await initEnvFile(path)).toBe('exists');
  expect(await readFile(path, 'utf8')).toBe('MINE=1');
  expect(await readdir(join(folder, '.secrets', 'aipass'))).toEqual(['.env']);

  await symlink('nowhere', join(folder, 'dangling'));
  expect(await initEnvFile(join(folder, 'dangling'))).toBe('exists');
});

test('a file where the folder should be is a failure', async () => {
  await writeFile(join(folder, 'file'), '');
  await expect(initEnvFile(join(folder, 'file', '.env'))).rejects.toThrow('EEXIST');
});
