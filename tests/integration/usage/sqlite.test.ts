import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openConnection } from '../../../src/usage/store/open.ts';
import { sql } from '../../../src/usage/store/database.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aip-sqlite-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/**
 * Leaves a file as a writer does that is killed in the middle of a transaction, its rollback
 * journal beside it.
 */
function leaveHalfWritten(path: string): void {
  const writing = join(folder, 'writing.db');
  const file = new Database(writing);
  file.exec('create table half (text text)');
  // A cache of a few pages makes SQLite write before the end of the transaction.
  file.pragma('cache_size = 1');
  file.exec('begin');
  const insert = file.prepare('insert into half values (?)');
  for (let row = 0; row < 100; row += 1) insert.run('x'.repeat(1000));
  for (const ending of ['', '-journal']) copyFileSync(`${writing}${ending}`, `${path}${ending}`);
  file.exec('rollback');
  file.close();
}

describe('the SQLite file', () => {
  it('is gone when it was removed, and not when it cannot be looked at for a while', async () => {
    const place = join(folder, 'data');
    const opened = await openConnection(join(place, 'usage.db'));
    renameSync(place, join(folder, 'elsewhere'));
    // A link in a circle: neither there nor missing.
    symlinkSync(place, place);
    expect(opened.isGone()).toBe(false);
    unlinkSync(place);
    expect(opened.isGone()).toBe(true);
    renameSync(join(folder, 'elsewhere'), place);
    expect(opened.isGone()).toBe(false);
    await opened.close();
  });

  it('is not left behind with 0 bytes where SQLite could not open it', async () => {
    // Longer than a path that SQLite takes, and short enough for the system.
    const place = join(folder, ...Array.from({ length: 12 }, () => 'x'.repeat(200)));
    mkdirSync(place, { recursive: true });
    const path = join(place, 'usage.db');
    await expect(openConnection(path)).rejects.toMatchObject({ code: 'SQLITE_CANTOPEN' });
    expect(existsSync(path)).toBe(false);
  });

  it('is taken up where its last writer was killed before write-ahead logging, and what was half written is undone', async () => {
    const path = join(folder, 'usage.db');
    leaveHalfWritten(path);
    expect(existsSync(`${path}-journal`)).toBe(true);
    const opened = await openConnection(path);
    expect((await sql<{ count: number }>`select count(*) as count from half`.execute(opened.db)).rows).toEqual([
      { count: 0 },
    ]);
    expect((await sql`select * from positions`.execute(opened.db)).rows).toEqual([]);
    await opened.close();
  });

  it('gives no room back where it was restored without the means to, and says that it is done', async () => {
    const path = join(folder, 'usage.db');
    await (await openConnection(path)).close();
    const file = new Database(path);
    file.pragma('journal_mode = delete');
    file.pragma('auto_vacuum = none');
    file.exec('vacuum; begin; create table filler (text text)');
    const insert = file.prepare('insert into filler values (?)');
    for (let row = 0; row < 100; row += 1) insert.run('x'.repeat(4096));
    file.exec('delete from filler; commit');
    expect(file.pragma('freelist_count', { simple: true })).toBeGreaterThan(50);
    file.close();
    const opened = await openConnection(path);
    expect(await opened.shrink()).toBe(false);
    await opened.close();
  });
});
