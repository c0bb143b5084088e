import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeFolder } from '../../../src/base/make-folder.ts';

const SRC = new URL('../../../src/', import.meta.url).href;

/** Opens each file below /proc; a recursive mkdir of Node's own would never return. */
const OPEN_ALL = `
  const { openLogSink } = await import('${SRC}base/log-sink.ts');
  const { StateStore } = await import('${SRC}base/state-store.ts');
  const { openAuditLog } = await import('${SRC}audit/audit-log.ts');
  const { executePlan } = await import('${SRC}service/plan.ts');
  const { systemClock: clock } = await import('${SRC}base/clock.ts');
  const path = '/proc/aipassd/sub/file';
  const codes = [openLogSink({ level: 'info', file: path, stdout: false }).warning()?.problem];
  const fail = (error) => codes.push(error.code);
  await new StateStore({ path, clock, logger: { warn() {} } }).open().catch(fail);
  try { openAuditLog(path, clock); } catch (error) { fail(error); }
  await executePlan([{ kind: 'folder', path, mode: 0o755 }]).next().catch(fail);
  console.log(JSON.stringify(codes));
`;

it('a folder is made with those above it, for its owner alone', () => {
  const folder = mkdtempSync(join(tmpdir(), 'aip-folder-'));
  try {
    const path = join(folder, 'a', 'b');
    makeFolder(path);
    makeFolder(path);
    expect([statSync(path).mode & 0o777, statSync(join(folder, 'a')).mode & 0o777]).toEqual([0o700, 0o700]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it.runIf(process.platform === 'linux')('a place below /proc fails at once, whatever is opened there', () => {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', OPEN_ALL], { timeout: 20_000 });
  expect(stderr.toString()).toBe('');
  expect(JSON.parse(stdout.toString())).toEqual([expect.stringContaining('ENOENT'), 'ENOENT', 'ENOENT', 'ENOENT']);
});
