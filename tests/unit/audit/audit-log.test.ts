import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openAuditLog as openAt, type AuditLog } from '../../../src/audit/audit-log.ts';
import { startAuditUpkeep } from '../../../src/audit/open.ts';
import { readLines } from '../../../src/audit/lines.ts';
import { parseLine, type AuditEntry } from '../../../src/audit/record.ts';
import { verifyAudit } from '../../../src/audit/verify.ts';
import { systemClock, type Clock } from '../../../src/base/clock.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { recordingLogger } from '../../support/recording-logger.ts';

const entry = (credential: string): AuditEntry => ({
  caller: { uid: 1000, pid: 42, startedAt: 7, executable: '/usr/bin/node', name: 'flow' },
  operation: 'key.get',
  credential,
  outcome: 'released',
});

let folder: string;
let path: string;
const open: AuditLog[] = [];

/** Clock that shows what the test sets. */
class SetClock implements Clock {
  wall = 1_000;
  now = () => this.wall;
  monotonic = () => this.wall;
  after = (delayMs: number, callback: () => void) => systemClock.after(delayMs, callback);
}

const openAuditLog = (clock: Clock = systemClock): AuditLog => {
  const auditLog = openAt(path, clock);
  open.push(auditLog);
  return auditLog;
};
const flush = () => open.forEach((auditLog) => auditLog.flush());
const texts = () => {
  flush();
  return readFileSync(path, 'utf8').split('\n').slice(0, -1);
};
const whole = (lines: readonly string[]) => lines.map((text) => ({ text, ended: true }));
const verify = () => {
  flush();
  return verifyAudit(readLines(path));
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aipassd-audit-'));
  path = join(folder, 'audit.jsonl');
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((auditLog) => auditLog.close()));
  rmSync(folder, { recursive: true });
});

it('a record is in the file after the flush, in a file that only its owner reads', () => {
  const auditLog = openAuditLog();
  auditLog.record(entry('openrouter/OPENROUTER_API_KEY'));
  expect(parseLine(texts()[0] ?? '')).toMatchObject({ seq: 1, credential: 'openrouter/OPENROUTER_API_KEY' });
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

it('a chain goes on over a restart and is intact', async () => {
  openAuditLog().record(entry('a'));
  await open.splice(0)[0]?.close();
  const auditLog = openAuditLog();
  auditLog.record(entry('b'));
  expect(await verify()).toEqual({ kind: 'intact', records: 2, last: auditLog.last, cutShort: false });
});

it('a changed, a removed and an added line are each found', async () => {
  const auditLog = openAuditLog();
  for (const id of ['a', 'b', 'c']) auditLog.record(entry(id));
  const lines = texts();
  const [first = '', second = '', third = ''] = lines;
  expect(await verifyAudit(whole([first, second.replace('"b"', '"x"'), third]))).toMatchObject({
    kind: 'broken',
    line: 3,
  });
  expect(await verifyAudit(whole([first, third]))).toMatchObject({ kind: 'broken', line: 2 });
  expect(await verifyAudit(whole([second, third]))).toMatchObject({ kind: 'broken', line: 1 });
  expect(await verifyAudit(whole([first, first, second, third]))).toMatchObject({ kind: 'broken', line: 2 });
  expect(await verifyAudit(whole([first, 'garbage']))).toMatchObject({ kind: 'broken', line: 2 });
});

it('a line that a crash cut short is taken out, and the chain says so', async () => {
  openAuditLog().record(entry('a'));
  await open.splice(0)[0]?.close();
  appendFileSync(path, '{"seq":2,"at":17');
  const auditLog = openAuditLog();
  auditLog.record(entry('b'));
  expect(texts().map((line) => parseLine(line))).toMatchObject([
    { credential: 'a' },
    { operation: 'audit.repair' },
    { credential: 'b' },
  ]);
  expect(await verify()).toMatchObject({ kind: 'intact', records: 3 });
});

it('a prune takes away what is old and leaves a chain that verifies, however often', async () => {
  const clock = new SetClock();
  const auditLog = openAuditLog(clock);
  for (const wall of [1_000, 2_000, 3_000]) {
    clock.wall = wall;
    auditLog.record(entry(`at-${wall}`));
  }
  expect(await auditLog.prune({ before: 2_500, maxBytes: Number.MAX_SAFE_INTEGER })).toBe(2);
  auditLog.record(entry('later'));
  expect(texts().map((line) => parseLine(line))).toMatchObject([
    { anchor: { seq: 2 } },
    { credential: 'at-3000' },
    { operation: 'audit.prune' },
    { credential: 'later' },
  ]);
  expect(await verify()).toMatchObject({ kind: 'intact', records: 3 });

  clock.wall = 9_000;
  expect(await auditLog.prune({ before: 8_000, maxBytes: Number.MAX_SAFE_INTEGER })).toBe(3);
  expect(await verify()).toMatchObject({ kind: 'intact', records: 1 });
  expect(await auditLog.prune({ before: 8_000, maxBytes: Number.MAX_SAFE_INTEGER })).toBe(0);
});

it('an anchor that was made up is found', async () => {
  const auditLog = openAuditLog();
  for (const id of ['a', 'b', 'c']) auditLog.record(entry(id));
  const [, second = '', third = ''] = texts();
  const previous = parseLine(second);
  const hash = previous !== null && 'previous' in previous ? previous.previous : '';
  const forged = JSON.stringify({ anchor: { seq: 1, hash } });
  expect(await verifyAudit(whole([forged, second, third]))).toMatchObject({ kind: 'broken', line: 1 });
});

it('an audit that is too long loses its oldest lines first', async () => {
  const auditLog = openAuditLog();
  for (let at = 0; at < 1000; at += 1) auditLog.record(entry(`key-${at}`));
  auditLog.flush();
  const before = statSync(path).size;
  await auditLog.prune({ before: 0, maxBytes: before - 1 });
  expect(statSync(path).size).toBeLessThanOrEqual(before / 2 + 1024);
  expect(await verify()).toMatchObject({ kind: 'intact' });
  expect(texts().at(-2)).toContain('key-999');
});

it('lines that are written while a prune runs are all kept', async () => {
  const clock = new SetClock();
  const auditLog = openAuditLog(clock);
  for (let at = 0; at < 2000; at += 1) auditLog.record(entry(`old-${at}`));
  clock.wall = 5_000;
  const pruning = auditLog.prune({ before: 4_000, maxBytes: Number.MAX_SAFE_INTEGER });
  for (let at = 0; at < 500; at += 1) {
    auditLog.record(entry(`new-${at}`));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await pruning).toBe(2000);
  expect(texts().filter((line) => line.includes('"new-'))).toHaveLength(500);
  expect(await verify()).toMatchObject({ kind: 'intact' });
});

it('a file that was taken away is made anew, and the gap is found', async () => {
  const auditLog = openAuditLog();
  auditLog.record(entry('a'));
  auditLog.flush();
  unlinkSync(path);
  auditLog.check();
  auditLog.record(entry('b'));
  expect(texts()).toHaveLength(2);
  expect(await verify()).toMatchObject({ kind: 'broken', line: 1 });
});

it('a file whose end is no record is kept as it is, and the check names the place', async () => {
  writeFileSync(path, 'not a record\nhalf');
  openAuditLog().record(entry('a'));
  expect(texts().slice(0, 2)).toEqual(['not a record', 'half']);
  expect(await verify()).toMatchObject({ kind: 'broken', line: 1 });
});

it('a stranger cannot forge a line or hide one by the name it gives itself', async () => {
  const auditLog = openAuditLog();
  const caller = {
    uid: 1,
    pid: 2,
    startedAt: 3,
    executable: null,
    name: `a\n{"seq":9}\u2028\u202e${'x'.repeat(10_000)}`,
  };
  auditLog.record({ ...entry('a'), caller });
  expect(texts()).toHaveLength(1);
  expect((texts()[0] ?? '').length).toBeLessThan(2_000);
  expect(await verify()).toMatchObject({ kind: 'intact', records: 1 });
});

it('nothing is recorded after the close', async () => {
  const auditLog = openAuditLog();
  await auditLog.close();
  expect(() => auditLog.record(entry('a'))).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
});

it('half a line at the end is told apart from a line that was changed', async () => {
  const auditLog = openAuditLog();
  auditLog.record(entry('a'));
  flush();
  appendFileSync(path, '{"seq":2,"at":17');
  expect(await verify()).toMatchObject({ kind: 'intact', records: 1, cutShort: true });
  // Where the daemon wrote that line in whole, something took its end away.
  expect(await verifyAudit(readLines(path), { seq: 2, hash: '0'.repeat(64) })).toMatchObject({ kind: 'broken' });
});

it('an id of any length or with control characters stays one line of bounded length', async () => {
  const auditLog = openAuditLog();
  auditLog.record({ ...entry(`\u0000\r\n\u001b[2J${'k'.repeat(100_000)}`), detail: '\n{"seq":2}' });
  expect(texts()).toHaveLength(1);
  expect((texts()[0] ?? '').length).toBeLessThan(2_000);
  expect(texts()[0]).not.toMatch(/\p{Cc}/u);
  expect(await verify()).toMatchObject({ kind: 'intact', records: 1 });
});

it('a folder that was taken away is made anew, and what was recorded meanwhile is in it', async () => {
  path = join(folder, 'state', 'audit.jsonl');
  const auditLog = openAuditLog();
  auditLog.record(entry('a'));
  flush();
  rmSync(join(folder, 'state'), { recursive: true });
  // In the way of the folder: nothing can be made, and nobody may be told that all is well.
  writeFileSync(join(folder, 'state'), '');
  auditLog.check();
  auditLog.record(entry('b'));
  flush();
  expect(auditLog.warning()?.problem).toContain('cannot be written');
  unlinkSync(join(folder, 'state'));
  auditLog.check();
  expect(auditLog.warning()).toBeNull();
  expect(texts().map((line) => parseLine(line))).toMatchObject([{ credential: 'b' }, { operation: 'audit.repair' }]);
});

it('a file that was away for a moment is written on when it is back', async () => {
  const auditLog = openAuditLog();
  auditLog.record(entry('a'));
  flush();
  renameSync(path, `${path}.away`);
  mkdirSync(path);
  auditLog.check();
  auditLog.record(entry('b'));
  expect(auditLog.warning()?.problem).toContain('cannot be written');
  rmSync(path, { recursive: true });
  renameSync(`${path}.away`, path);
  auditLog.check();
  expect(auditLog.warning()).toBeNull();
  expect(await verify()).toMatchObject({ kind: 'intact', records: 2 });
});

it.runIf(process.platform === 'linux')(
  'a full disk is reported, holds lines back up to a bound, and takes them in order once it has room',
  async () => {
    symlinkSync('/dev/full', path);
    const auditLog = openAuditLog();
    const logger = recordingLogger();
    const clock = new ManualClock();
    const stop = startAuditUpkeep(auditLog, () => ({ retentionDays: 1, maxBytes: 2 ** 30 }), clock, logger);
    auditLog.record(entry('first'));
    clock.advance(60_000);
    expect(auditLog.warning()?.problem).toContain('ENOSPC');
    expect(JSON.stringify(logger.lines)).toContain('ENOSPC');

    const long = { ...entry('x'.repeat(512)), detail: 'x'.repeat(512) };
    let recorded = 1;
    const fill = (): void => {
      for (; recorded < 100_000; recorded += 1) auditLog.record(long);
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'INTERNAL', message: expect.stringContaining('ENOSPC') }));
    expect(recorded).toBeGreaterThan(1000);

    // The prune of the first round is over.
    await new Promise(setImmediate);
    unlinkSync(path);
    clock.advance(60_000);
    await stop();
    expect(auditLog.warning()).toBeNull();
    // The repair is noted although the lines were over the bound.
    expect(await verify()).toMatchObject({ kind: 'intact', records: recorded + 1 });
  },
);

it.runIf(process.platform === 'linux')('lines that are lost at the close are told of', async () => {
  symlinkSync('/dev/full', path);
  const auditLog = openAt(path, systemClock);
  auditLog.record(entry('a'));
  await expect(auditLog.close()).rejects.toMatchObject({
    code: 'INTERNAL',
    message: expect.stringMatching(/lost: ENOSPC/),
  });
});

it('a file that is replaced by a folder is noticed within a second, and at the stop', async () => {
  const clock = new ManualClock();
  const auditLog = openAuditLog(clock);
  const stop = startAuditUpkeep(auditLog, () => ({ retentionDays: 1, maxBytes: 1e9 }), clock, recordingLogger());
  auditLog.record(entry('a'));
  flush();
  unlinkSync(path);
  mkdirSync(path);
  clock.advance(1000);
  expect(auditLog.warning()).toMatchObject({ subject: path, problem: expect.stringContaining('EISDIR') });
  await stop();
  await expect(auditLog.close()).rejects.toMatchObject({
    code: 'INTERNAL',
    message: expect.stringContaining('EISDIR'),
  });
});

it('entries that went into a file that was replaced just before the stop are reported as lost', async () => {
  const auditLog = openAuditLog();
  auditLog.record(entry('a'));
  flush();
  unlinkSync(path);
  mkdirSync(path);
  auditLog.record(entry('b'));
  await expect(auditLog.close()).rejects.toMatchObject({
    code: 'INTERNAL',
    message: expect.stringContaining('EISDIR'),
  });
});
