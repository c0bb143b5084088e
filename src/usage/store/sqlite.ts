/**
 * The usage database as one SQLite file. Owns the better-sqlite3 package. Runs in the usage thread only, because
 * a commit waits for the disk.
 *
 * Nothing is written to a file of a newer program, not even SQLite's own switch to write-ahead logging.
 */

import { closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { systemErrorCode } from '../../base/errors.ts';
import { assertKnownSchema, migrate, MIGRATION_TABLE } from './migrations.ts';
import type { StoreConnection } from './connection.ts';
import type { UsageTables } from './schema.ts';
import { Kysely, SqliteAdapter, SqliteDialect, type SqliteDatabase } from './query-builder.ts';

/** Is how long one statement waits for another process's lock; events queue meanwhile, so a short wait does. */
const LOCK_WAIT_MS = 200;

/** Bounds the prepared statements that are kept; the store has some sixty. */
const MAX_STATEMENTS = 200;

/** Is how much of the file SQLite keeps in the memory of the daemon; the system's own cache has the rest. */
const CACHE_KB = 8000;

/** Is how many free pages are given back to the disk in one step: some 2 MB, a few milliseconds. */
const VACUUM_PAGES = 500;

/** Opens the file, making it (mode 0600) where there is none, and brings its tables up to date. */
export async function openSqlite(path: string): Promise<StoreConnection> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // SQLite would make the file by the umask alone; its side files take the mode of this one.
  closeSync(openSync(path, 'a', 0o600));
  assertKnownSchema(takenSteps(path));

  const file = new Database(path, { timeout: LOCK_WAIT_MS });
  try {
    file.pragma('auto_vacuum = incremental');
    file.pragma('journal_mode = wal');
    file.pragma('synchronous = full');
    file.pragma(`cache_size = -${CACHE_KB}`);
    const db = new Kysely<UsageTables>({ dialect: new WholeStepsDialect({ database: cachingStatements(file) }) });
    await migrate(db, 'sqlite');
    return {
      db,
      dialect: 'sqlite',
      shrink: () => {
        const freeBefore = Number(file.pragma('freelist_count', { simple: true }));
        file.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
        const freePages = Number(file.pragma('freelist_count', { simple: true }));
        // A file restored from a dump has no incremental vacuum: it reuses its room, and gives none back.
        const isMore = freePages > 0 && freePages < freeBefore;
        if (!isMore) file.pragma('wal_checkpoint(truncate)');
        return Promise.resolve(isMore);
      },
      bytes: () => Promise.resolve(statSync(path).size),
      close: () => db.destroy(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Takes each migration as a whole or not at all: Kysely runs them outside a transaction on SQLite, though SQLite can have
 * one, and a daemon killed half way would leave tables that the next one can neither use nor make.
 */
class WholeStepsDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new WholeStepsAdapter();
  }
}

class WholeStepsAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

/** Reads which migrations a file has, without changing it. */
function takenSteps(path: string): string[] {
  if (statSync(path).size === 0) return [];
  try {
    return readSteps(path, true);
  } catch (error) {
    // A writer was killed before its first switch to write-ahead logging: SQLite takes back what it left half done.
    if (systemErrorCode(error) === 'SQLITE_READONLY_ROLLBACK') return readSteps(path, false);
    throw error;
  }
}

function readSteps(path: string, readonly: boolean): string[] {
  const file = new Database(path, { readonly, timeout: LOCK_WAIT_MS });
  try {
    const table = file.prepare('select 1 from sqlite_master where name = ?').get(MIGRATION_TABLE);
    if (table === undefined) return [];
    return file.prepare(`select name from ${MIGRATION_TABLE}`).pluck().all().map(String);
  } finally {
    file.close();
  }
}

const NO_CHANGES = { changes: 0, lastInsertRowid: 0 };

/** Is a statement that has no rows. */
const NOTHING = { reader: false, all: () => [], iterate: () => [].values() };

/** Keeps prepared statements by their text: preparing the widest takes longer than running it. */
function cachingStatements(file: Database.Database): SqliteDatabase {
  const statements = new Map<string, Database.Statement>();
  return {
    close: () => file.close(),
    prepare: (sql) => {
      const known = statements.get(sql);
      if (known) return known;
      if (statements.size >= MAX_STATEMENTS) statements.clear();
      const statement = file.prepare(sql);
      // After a full disk SQLite has rolled back by itself, and a second rollback would hide why.
      if (sql === 'rollback') return { ...NOTHING, run: () => (file.inTransaction ? statement.run() : NO_CHANGES) };
      statements.set(sql, statement);
      return statement;
    },
  };
}
