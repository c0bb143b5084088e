import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import {
  identifyProcess,
  isProcessAlive,
  readStartTicks,
  type ProcessIdentity,
} from '../../../src/base/process-identity.ts';

async function deadProcess(): Promise<ProcessIdentity> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const identity = identifyProcess(child.pid ?? 0);
  child.kill('SIGKILL');
  await once(child, 'exit');
  if (identity === undefined) throw new Error('the process could not be identified');
  return identity;
}

it('a process is alive as long as it runs, and no longer', async () => {
  const own = identifyProcess(process.pid);
  expect(own).toMatchObject({ pid: process.pid, started: expect.any(String) });
  expect(own && isProcessAlive(own)).toBe(true);
  expect(isProcessAlive(await deadProcess())).toBe(false);
});

it('another process of the same pid is not mistaken for it', async () => {
  const dead = await deadProcess();

  expect(isProcessAlive({ ...dead, pid: process.pid })).toBe(false);
});

it('a process whose start is not known counts as alive while its pid is in use', async () => {
  const dead = await deadProcess();

  expect(isProcessAlive({ pid: process.pid, started: null })).toBe(true);
  expect(isProcessAlive({ pid: dead.pid, started: null })).toBe(false);
});

it.each([0, -1, 1.5, Number.NaN, 2 ** 40])('%d identifies no process', (pid) => {
  expect(identifyProcess(pid)).toBeUndefined();
  expect(isProcessAlive({ pid, started: null })).toBe(false);
  expect(readStartTicks(pid)).toBeNull();
});

it.runIf(process.platform === 'linux')('start ticks grow from one process to the next', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  expect(readStartTicks(child.pid ?? 0)).toBeGreaterThanOrEqual(readStartTicks(process.pid) ?? Number.NaN);
  child.kill('SIGKILL');
  await once(child, 'exit');
});
