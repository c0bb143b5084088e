import Database from 'better-sqlite3';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  readFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../../src/base/clock.ts';
import { segmentPath } from '../../../src/usage/journal.ts';
import { Usage } from '../../../src/usage/usage.ts';
import { startEmbeddedPostgres } from '../../support/embedded-postgres.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { recordingLogger } from '../../support/recording-logger.ts';
import { until } from '../../support/until.ts';

let folder: string;
let opened: Usage[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aip-outage-'));
  opened = [];
});
afterEach(async () => {
  for (const usage of opened) await usage.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(database = join(folder, 'usage.db'), clock: Clock = systemClock): Usage {
  let id = opened.length * 1_000_000;
  const usage = new Usage({
    database,
    journalFolder: join(folder, 'queue'),
    clock,
    logger: recordingLogger(),
    redact: (text) => text,
    randomId: () => ++id,
  });
  opened.push(usage);
  usage.start();
  return usage;
}

function record(usage: Usage, times: number): void {
  for (let i = 0; i < times; i++) {
    usage.record({ operation: 'completion.create', status: 'success', provider: 'p', caller: 'c', costMicros: 1 });
  }
}

async function requests(usage: Usage): Promise<number> {
  return (await usage.ask('answer', {}, Date.now())).total.requests;
}

describe('recording usage', () => {
  it('has what was recorded in the next answer', async () => {
    const usage = open();
    record(usage, 200);
    expect(await requests(usage)).toBe(200);
    expect(usage.status()).toMatchObject({ database: 'ready', kind: 'sqlite', queued: false, queuedBytes: 0, lost: 0 });
    expect(usage.warnings()).toEqual([]);
    // The thread is awake now, and answers faster than a tick ends.
    for (let more = 1; more <= 20; more++) {
      record(usage, 1);
      expect(await requests(usage)).toBe(200 + more);
    }
  });

  it('lets the thread go when there was nothing to do for a minute, and loses nothing by it', async () => {
    const clock = new ManualClock(Date.now());
    const usage = open(undefined, clock);
    expect(usage.status().database).toBe('asleep');
    record(usage, 3);
    expect(await requests(usage)).toBe(3);
    expect(usage.status().database).toBe('ready');
    clock.advance(59_000);
    record(usage, 1);
    clock.advance(59_000);
    expect(usage.status().database).toBe('ready');
    clock.advance(120_000);
    // Recorded and asked while the thread is about to go: both wait for the next.
    record(usage, 2);
    usage.flush();
    clock.advance(2000);
    expect(await requests(usage)).toBe(6);
    clock.advance(120_000);
    await until('it sleeps', () => usage.status().database === 'asleep');
    record(usage, 1);
    usage.flush();
    clock.advance(2000);
    await until('the event is brought in', () => usage.status().queuedBytes === 0);
    expect(await requests(usage)).toBe(7);
  });

  it('sleeps where an earlier run left nothing to do', async () => {
    const first = open();
    record(first, 2);
    expect(await requests(first)).toBe(2);
    await first.close();
    const clock = new ManualClock(Date.now());
    const second = open(undefined, clock);
    clock.advance(2000);
    expect(second.status()).toMatchObject({ database: 'asleep', queuedBytes: 0 });
    record(second, 1);
    expect(await requests(second)).toBe(3);
  });

  it('loses and repeats nothing when a run ends without its database having been told', async () => {
    const first = open(join(folder, 'no-such-folder-yet', '\0', 'usage.db'));
    record(first, 300);
    await first.close();
    const second = open();
    record(second, 5);
    expect(await requests(second)).toBe(305);
    await second.close();
    const third = open();
    record(third, 1);
    expect(await requests(third)).toBe(306);
    // What the database has is not kept twice: only the segment that was written last is there.
    expect(readdirSync(join(folder, 'queue')).filter((name) => name.endsWith('.jsonl'))).toHaveLength(1);
  });

  it('takes what is recorded after somebody emptied the folder of the queue', async () => {
    const first = open(join(folder, 'x', '\0'));
    record(first, 1);
    await first.close();
    const second = open();
    record(second, 1);
    expect(await requests(second)).toBe(2);
    await second.close();
    for (const name of readdirSync(join(folder, 'queue')).filter((one) => one.endsWith('.jsonl'))) {
      rmSync(join(folder, 'queue', name));
    }
    const third = open();
    record(third, 3);
    expect(await requests(third)).toBe(5);
    await third.close();
    const fourth = open();
    record(fourth, 1);
    expect(await requests(fourth)).toBe(6);
  });

  it('makes up a name for a queue whose name a full disk left empty', async () => {
    mkdirSync(join(folder, 'queue'));
    writeFileSync(join(folder, 'queue', 'name'), '');
    const usage = open();
    record(usage, 1);
    expect(await requests(usage)).toBe(1);
    expect(readFileSync(join(folder, 'queue', 'name'), 'utf8')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('queues while another process holds the database locked, says so, and brings everything in afterwards', async () => {
    const usage = open();
    expect(await requests(usage)).toBe(0);
    const other = new Database(join(folder, 'usage.db'));
    other.exec('begin immediate');
    record(usage, 500);
    await until('the lock is noticed', () => usage.status().database === 'locked');
    expect(usage.status().queuedBytes).toBeGreaterThan(500);
    expect(usage.warnings()[0]).toMatchObject({ subject: 'usage', hint: expect.stringContaining('end the program') });
    record(usage, 500);
    other.exec('rollback');
    other.close();
    await until('the queue is empty', () => usage.status().database === 'ready' && usage.status().queuedBytes === 0);
    expect(await requests(usage)).toBe(1000);
  });

  it('queues while the database takes nothing, and repeats nothing that it took in part', async () => {
    const usage = open();
    await requests(usage);
    await usage.close();
    const file = new Database(join(folder, 'usage.db'));
    file.exec(`create trigger refusal before insert on positions begin select raise(abort, 'refused'); end`);
    file.close();
    const again = open();
    record(again, 50);
    await until('the failure is noticed', () => again.status().queued);
    expect(again.status().lost).toBe(0);
    const fixed = new Database(join(folder, 'usage.db'));
    fixed.exec('drop trigger refusal');
    fixed.close();
    await until('the queue is empty', () => again.status().queuedBytes === 0, 15_000);
    expect(await requests(again)).toBe(50);
  });

  it('queues while the database is corrupt, and fills a new one when it is moved aside', async () => {
    writeFileSync(join(folder, 'usage.db'), 'this is no database, however long one looks at it. '.repeat(200));
    const usage = open();
    record(usage, 100);
    await until('the corruption is noticed', () => usage.status().database === 'corrupt');
    expect(usage.warnings()[0]?.hint).toContain('usage database');
    await expect(requests(usage)).rejects.toMatchObject({ code: 'INTERNAL' });
    renameSync(join(folder, 'usage.db'), join(folder, 'corrupt.db'));
    await until('the queue is empty', () => usage.status().database === 'ready' && usage.status().queuedBytes === 0);
    expect(await requests(usage)).toBe(100);
  });

  it('notices that the database was removed, says so, and loses nothing that is recorded later', async () => {
    const usage = open();
    record(usage, 3);
    expect(await requests(usage)).toBe(3);
    for (const name of readdirSync(folder)) if (name.startsWith('usage.db')) rmSync(join(folder, name));
    record(usage, 4);
    // What the queue still has is taken in again.
    expect(await requests(usage)).toBe(7);
    expect(usage.warnings()).toMatchObject([{ problem: expect.stringContaining('was removed') }]);
    await usage.close();
    const next = open();
    expect(await requests(next)).toBe(7);
    expect(next.warnings()).toEqual([]);
  });

  it('notices that another database was put in its place, and records in that one', async () => {
    const other = open(join(folder, 'other.db'));
    record(other, 2);
    expect(await requests(other)).toBe(2);
    await other.close();
    const usage = open();
    record(usage, 3);
    expect(await requests(usage)).toBe(3);
    renameSync(join(folder, 'other.db'), join(folder, 'usage.db'));
    record(usage, 1);
    // The other one's, and what the queue still has.
    expect(await requests(usage)).toBe(2 + 4);
    expect(usage.warnings()).toMatchObject([{ problem: expect.stringContaining('usage.db') }]);
  });

  it('notices that the database was removed while its thread slept', async () => {
    const clock = new ManualClock(Date.now());
    const usage = open(undefined, clock);
    record(usage, 1);
    expect(await requests(usage)).toBe(1);
    clock.advance(180_000);
    await until('it sleeps', () => usage.status().database === 'asleep');
    for (const name of readdirSync(folder)) if (name.startsWith('usage.db')) rmSync(join(folder, name));
    record(usage, 1);
    expect(await requests(usage)).toBe(2);
    expect(usage.warnings()).toMatchObject([{ problem: expect.stringContaining('was removed') }]);
  });

  it('notices that the queue was removed, says so, and loses nothing of it', async () => {
    const usage = open();
    record(usage, 2);
    expect(await requests(usage)).toBe(2);
    record(usage, 30);
    usage.flush();
    rmSync(join(folder, 'queue'), { recursive: true });
    record(usage, 5);
    await until('it is made anew', () => usage.warnings().length > 0);
    expect(usage.warnings()).toMatchObject([{ problem: expect.stringContaining('queue') }]);
    expect(await requests(usage)).toBe(37);
    await usage.close();
    expect(await requests(open())).toBe(37);
  });

  it('warns of a database of 0 bytes', async () => {
    writeFileSync(join(folder, 'usage.db'), '');
    const usage = open();
    record(usage, 1);
    expect(await requests(usage)).toBe(1);
    expect(usage.warnings()).toMatchObject([{ problem: expect.stringContaining('0 bytes') }]);
  });

  it('says how long the oldest event has waited for the database', async () => {
    const broken = open(join(folder, 'x', '\0'));
    record(broken, 2);
    broken.flush();
    expect(broken.status().queuedBytes).toBeGreaterThan(100);
    await until('the failure is noticed', () => broken.status().queued);
    expect(broken.status().lagMs).toBeGreaterThan(0);
    const works = open();
    expect(await requests(works)).toBe(2);
    await until('it has all', () => works.status().queuedBytes === 0);
    expect(works.status().lagMs).toBe(0);
  });

  it('counts the wait of what a killed run left from its own start', async () => {
    const killed = open(join(folder, 'x', '\0'));
    record(killed, 2);
    await killed.close();
    const clock = new ManualClock(Date.now());
    const next = open(join(folder, 'x', '\0'), clock);
    clock.advance(500);
    expect(next.status()).toMatchObject({ queuedBytes: expect.any(Number), lagMs: 500 });
  });

  it('leaves a database of a newer version untouched, and queues', async () => {
    const first = open();
    record(first, 3);
    expect(await requests(first)).toBe(3);
    await first.close();
    const path = join(folder, 'usage.db');
    const file = new Database(path);
    file.exec(`insert into kysely_migration (name, timestamp) values ('0099_later', 'x')`);
    file.pragma('wal_checkpoint(truncate)');
    file.pragma('journal_mode = delete');
    file.close();
    const before = readFileSync(path);
    const usage = open();
    record(usage, 2);
    await until('the version is noticed', () => usage.status().database === 'newer');
    await expect(requests(usage)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' });
    await usage.close();
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('keeps events in memory while the queue cannot be written, and writes them when it can', async () => {
    writeFileSync(join(folder, 'queue'), 'a file where the folder should be');
    const usage = open();
    record(usage, 20);
    expect(usage.status()).toMatchObject({ waitingInMemory: 20, lost: 0, queued: true });
    expect(usage.warnings().some((warning) => warning.problem.includes('wait in memory'))).toBe(true);
    rmSync(join(folder, 'queue'));
    await until('memory is empty', () => usage.status().waitingInMemory === 0);
    expect(await requests(usage)).toBe(20);
  });

  it('passes over lines of the queue that are no events, and says how many', async () => {
    const first = open(join(folder, 'x', '\0'));
    record(first, 2);
    await first.close();
    const segment = segmentPath(join(folder, 'queue'), 1);
    const lines = readFileSync(segment, 'utf8');
    const text = `garbage\n\0\0\0\n{"at":1}\n${lines}${lines.slice(0, 40)}`;
    chmodSync(segment, 0o600);
    writeFileSync(segment, text);
    const usage = open();
    record(usage, 1);
    await until('all of it is read', () => usage.status().queuedBytes === 0 && usage.status().damaged === 4);
    expect(await requests(usage)).toBe(3);
    expect(usage.warnings().some((warning) => warning.problem.includes('4 usage events or lines'))).toBe(true);
  });

  it('queues while PostgreSQL is away, and brings everything in once when it is back', async () => {
    const server = await startEmbeddedPostgres();
    try {
      const usage = open(await server.createDatabase());
      record(usage, 10);
      expect(await requests(usage)).toBe(10);
      await server.crash();
      record(usage, 200);
      await until('the absence is noticed', () => usage.status().database === 'away');
      record(usage, 200);
      await expect(requests(usage)).rejects.toMatchObject({ code: 'INTERNAL' });
      await server.start();
      await until(
        'the queue is empty',
        () => usage.status().database === 'ready' && usage.status().queuedBytes === 0,
        20_000,
      );
      expect(await requests(usage)).toBe(410);
      await usage.close();
    } finally {
      await server.stop();
    }
  });

  it('prunes and exports while events come in', async () => {
    const usage = open();
    record(usage, 1200);
    const dry = await usage.prune(0, 400, true);
    expect(dry).toMatchObject({ events: 1200, dryRun: true });
    const exported: number[] = [];
    for await (const page of usage.export({})) exported.push(page.length);
    expect(exported).toEqual([500, 500, 200]);
    const pruning = usage.prune(0, 400);
    record(usage, 10);
    expect((await pruning).events).toBeGreaterThanOrEqual(1200);
    expect(await requests(usage)).toBe(1210);
  });
});
