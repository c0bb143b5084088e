import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { tryFileLock } from '../../../src/base/file-lock.ts';
import { identifyProcess } from '../../../src/base/process-identity.ts';

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aip-file-lock-'));
  path = join(folder, 'lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('a lock is held by one, names it, and is free again when it is given back', async () => {
  const first = await tryFileLock(path);
  const own = identifyProcess(process.pid);

  expect(first.kind).toBe('taken');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await tryFileLock(path)).toEqual({ kind: 'held', holder: own });
  if (first.kind === 'taken') await first.lock.release();
  expect(readdirSync(folder)).toEqual([]);
  expect((await tryFileLock(path)).kind).toBe('taken');
});

it('a lock that another process replaced is not given back for it', async () => {
  const mine = await tryFileLock(path);
  await writeFile(path, 'somebody else');
  if (mine.kind === 'taken') await mine.lock.release();
  expect(readFileSync(path, 'utf8')).toBe('somebody else');
});

it('of many that find a dead holder at once, one gets the lock and the others are told who', async () => {
  await writeFile(path, JSON.stringify({ pid: process.pid, started: 'long ago', nonce: 'n' }));

  const outcomes = await Promise.all(Array.from({ length: 20 }, () => tryFileLock(path)));

  expect(outcomes.filter(({ kind }) => kind === 'taken')).toHaveLength(1);
  expect(outcomes.filter(({ kind }) => kind === 'held')).toHaveLength(19);
  expect(readdirSync(folder)).toEqual(['lock']);
});

it('a folder that does not exist is the error of the system', async () => {
  await expect(tryFileLock(join(folder, 'none', 'lock'))).rejects.toMatchObject({ code: 'ENOENT' });
});
