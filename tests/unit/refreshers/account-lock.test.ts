import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockAccount } from '../../../src/refreshers/account-file.ts';
import { identifyProcess, type ProcessIdentity } from '../../../src/base/process-identity.ts';

let folder = '';
let file = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aip-lock-'));
  file = join(folder, 'test.json');
  path = join(folder, '.test.json.lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function deadProcess(): Promise<ProcessIdentity> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const identity = identifyProcess(child.pid ?? 0);
  child.kill('SIGKILL');
  await once(child, 'exit');
  if (identity === undefined) throw new Error('the process could not be identified');
  return identity;
}

describe('the lock of an account', () => {
  it('is held by one, and free again when it is given back', async () => {
    const first = await lockAccount(file, 0);

    expect(await lockAccount(file, 0)).toBeUndefined();
    await first?.release();
    const second = await lockAccount(file, 0);
    expect(second).toBeDefined();
    await second?.release();
    expect(await readdir(folder)).toEqual([]);
  });

  it('names its holder by pid and start time', async () => {
    const lock = await lockAccount(file, 0);

    const holder: unknown = JSON.parse(await readFile(path, 'utf8'));

    expect(holder).toMatchObject(identifyProcess(process.pid) ?? {});
    await lock?.release();
  });

  it('is taken over from a dead holder, and from one whose pid now belongs to another process', async () => {
    const dead = await deadProcess();
    for (const holder of [dead, { pid: process.pid, started: 'long ago' }]) {
      await writeFile(path, JSON.stringify({ ...holder, nonce: '00000000-0000-4000-8000-000000000000' }));
      const lock = await lockAccount(file, 0);
      expect(lock).toBeDefined();
      await lock?.release();
    }
    expect(await readdir(folder)).toEqual([]);
  });

  it('is taken over from a file that nobody here wrote', async () => {
    await writeFile(path, 'garbage');

    const lock = await lockAccount(file, 0);

    expect(lock).toBeDefined();
    await lock?.release();
  });

  it('is taken over by exactly one of many that find the holder dead, also when a claimant died', async () => {
    const dead = await deadProcess();
    const content = JSON.stringify({ ...dead, nonce: '00000000-0000-4000-8000-000000000001' });
    await writeFile(path, content);
    await writeFile(
      `${path}.${createHash('sha256').update(content).digest('hex').slice(0, 16)}`,
      JSON.stringify({ ...dead, nonce: '00000000-0000-4000-8000-000000000002' }),
    );

    const locks = await Promise.all(Array.from({ length: 30 }, () => lockAccount(file, 0)));

    const held = locks.filter((lock) => lock !== undefined);
    expect(held).toHaveLength(1);
    await Promise.all(held.map((lock) => lock.release()));
    const last = await lockAccount(file, 1000);
    expect(last).toBeDefined();
    await last?.release();
  });

  it('is waited for', async () => {
    const first = await lockAccount(file, 0);
    const waiting = lockAccount(file, 10_000);

    await first?.release();

    const second = await waiting;
    expect(second).toBeDefined();
    await second?.release();
  });
});
