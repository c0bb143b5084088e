import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, test } from 'vitest';
import { identifyProcess } from '../../../src/base/process-identity.ts';
import {
  beginRun,
  describeRun,
  hintForRun,
  readRunRecord,
  writeRunRecord,
  type RunRecord,
} from '../../../src/service/last-exit.ts';

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aip-last-run-'));
  path = join(folder, 'last-run.json');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function deadRun(): Promise<RunRecord> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const identity = identifyProcess(child.pid ?? 0);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return { ...beginRun('/run/a.sock'), ...identity };
}

it('a record is read as it was written, by its owner alone', () => {
  const record: RunRecord = { ...beginRun('/run/a.sock'), stopping: { at: 2, reason: 'SIGTERM' } };
  writeRunRecord(path, record);
  expect(readRunRecord(path)).toEqual(record);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['last-run.json']);
});

test.each(['', '{}', '[]', 'null', '{"pid":1,"startedAt":1e300,"end":null}', '{"pid":1,"startedAt":1}'])(
  '%j is not a record',
  (text) => {
    writeFileSync(path, text);
    expect(readRunRecord(path)).toBeNull();
  },
);

it('a run whose process lives is never called dead, whatever socket it is asked on', () => {
  const alive = beginRun('/run/a.sock');
  expect(describeRun(alive)).toContain(`(pid ${process.pid}, from `);
  expect(describeRun(alive)).toContain('is running and serves /run/a.sock');
  expect(hintForRun(alive, '/run/b.sock', false)).toContain('AIPASSD_RUNTIME_DIR=/run');
  expect(hintForRun(alive, '/run/a.sock', true)).toContain(`kill -9 ${process.pid}`);
  expect(describeRun({ ...alive, stopping: { at: 1, reason: 'SIGTERM' } })).toContain('is stopping (SIGTERM)');
});

it('a run whose process is gone was killed, also where another process has its pid now', async () => {
  const dead = await deadRun();
  for (const record of [dead, { ...dead, pid: process.pid }]) {
    expect(describeRun(record)).toContain('killed');
    expect(describeRun({ ...record, stopping: { at: 1, reason: 'SIGINT' } })).toMatch(/killed.*SIGINT/);
    expect(hintForRun(record, '/run/a.sock', false)).toBeUndefined();
  }
});

it('a run that ended says how', () => {
  const ended: RunRecord = { ...beginRun('/run/a.sock'), end: { at: 0, code: 0, reason: 'SIGTERM' } };
  expect(describeRun(ended)).toContain('ended at 1970-01-01T00:00:00.000Z with exit code 0: SIGTERM');
  expect(hintForRun(ended, '/run/a.sock', false)).toBeUndefined();
});
