/**
 * The usage database as one SQLite file. Owns the better-sqlite3 package. Runs in the usage thread
 * only, because a commit waits for the disk.
 *
 * Nothing is written to a file of a newer program, not even SQLite's own switch to write-ahead
 * logging.
 */

import { closeSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { BoundedMap } from '../../base/bounded-map.ts';
import { systemErrorCode } from '../../base/errors.ts';
import { isStill, readFileIdentitySync } from '../../base/file-signature.ts';
import { assertTrusted } from '../../base/file-trust.ts';
import { makeFolder } from '../../base/make-folder.ts';
import {
  Kysely,
  SqliteAdapter,
  SqliteDialect,
  type Executor,
  type SqliteDatabase,
  type SqlValue,
  type Statement,
  type StoreConnection,
  type UsageDb,
  type UsageTables,
} from './database.ts';
import { assertKnownSchema, migrate, MIGRATION_TABLE } from './migrations.ts';

/**
 * Maximum wait of one statement for another process's lock, in milliseconds; events queue
 * meanwhile, so it is short.
 */
const LOCK_WAIT_MS = 200;

/** Maximum number of kysely's own queries that are kept prepared. */
const MAX_STATEMENTS = 200;

/**
 * Size of SQLite's own cache in the memory of the daemon; the system's cache has the whole file.
 */
const CACHE_KB = 1000;

/** Number of free pages that one step gives back to the disk: some 2 MB, a few milliseconds. */
const VACUUM_PAGES = 500;

/** Endings of the file and of those that SQLite makes beside it. */
const ENDINGS = ['', '-wal', '-shm', '-journal'];

/**
 * Opens the file, making it (mode 0600) where there is none, and brings its tables up to date.
 *
 * @throws AipassError UNSAFE_PERMISSIONS where others could have written it, or put a link in its
 * place.
 */
export async function openSqlite(path: string): Promise<StoreConnection> {
  for (const ending of ENDINGS) assertTrusted('the usage database', `${path}${ending}`);
  makeFolder(dirname(path));
  const found = findDatabase(path);
  // SQLite would make the file by the umask alone; its side files take the mode of this one.
  closeSync(openSync(path, 'a', 0o600));
  assertKnownSchema(takenSteps(path));

  try {
    const file = new Database(path, { timeout: LOCK_WAIT_MS });
    try {
      return await connectTo(file, path, found);
    } catch (error) {
      file.close();
      throw error;
    }
  } catch (error) {
    // A full disk lets the file be made, and not be filled: one that stays empty would be taken for
    // a lost history.
    if (found === 'nothing' && findDatabase(path) === 'empty') {
      for (const ending of ENDINGS) rmSync(path + ending, { force: true });
    }
    throw error;
  }
}

/** Brings an open file up to date and makes the connection on it. */
async function connectTo(
  file: Database.Database,
  path: string,
  found: StoreConnection['found'],
): Promise<StoreConnection> {
  file.pragma('auto_vacuum = incremental');
  file.pragma('journal_mode = wal');
  file.pragma('synchronous = full');
  file.pragma(`cache_size = -${CACHE_KB}`);
  const db = new Kysely<UsageTables>({ dialect: new WholeStepsDialect({ database: cachingStatements(file) }) });
  await migrate(db, 'sqlite');
  const executor = executorOn(file, db);
  const opened = readFileIdentitySync(path);
  const openedLog = readFileIdentitySync(`${path}-wal`);
  const isGone = (): boolean => !isStill(path, opened);
  return {
    ...executor,
    found,
    transaction: (work) => inTransaction(file, () => work(executor)),
    isGone,
    shrink: () => {
      const freeBefore = Number(file.pragma('freelist_count', { simple: true }));
      file.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
      const freePages = Number(file.pragma('freelist_count', { simple: true }));
      // A file restored from a dump has no incremental vacuum: it reuses its room, and gives none
      // back.
      const isMore = freePages > 0 && freePages < freeBefore;
      if (!isMore) file.pragma('wal_checkpoint(truncate)');
      return Promise.resolve(isMore);
    },
    bytes: () => Promise.resolve(statSync(path).size),
    close: async () => {
      const wasGone = isGone();
      if (wasGone) file.pragma('wal_checkpoint(truncate)');
      await db.destroy();
      // SQLite leaves the log of a file that is gone, and would apply it to the one that is there
      // now.
      if (!wasGone || readFileIdentitySync(`${path}-wal`) !== openedLog) return;
      for (const side of ['-wal', '-shm']) rmSync(`${path}${side}`, { force: true });
    },
  };
}

function findDatabase(path: string): StoreConnection['found'] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) return 'nothing';
  return stats.size === 0 ? 'empty' : 'database';
}

/** Runs statements without kysely: each is prepared once. */
function executorOn(file: Database.Database, db: UsageDb): Executor {
  const prepared = new Map<Statement<unknown>, Database.Statement<SqlValue[]>>();
  const prepare = (statement: Statement<unknown>): Database.Statement<SqlValue[]> => {
    let known = prepared.get(statement);
    if (!known) {
      known = file.prepare<SqlValue[]>(statement.build(db).compile().sql);
      prepared.set(statement, known);
    }
    return known;
  };
  return {
    db,
    dialect: 'sqlite',
    change: (statement, values) => prepare(statement).run(...values).changes,
    run<Row>(statement: Statement<Row>, values: readonly SqlValue[]): Row[] {
      const known = prepare(statement);
      if (known.reader) return known.all(...values) as Row[];
      known.run(...values);
      return [];
    },
  };
}

async function inTransaction<T>(file: Database.Database, work: () => Promise<T>): Promise<T> {
  file.exec('begin immediate');
  try {
    const result = await work();
    file.exec('commit');
    return result;
  } catch (error) {
    // After a full disk SQLite has rolled back by itself, and a second rollback would hide why.
    if (file.inTransaction) file.exec('rollback');
    throw error;
  }
}

/**
 * Makes each migration as a whole or not at all: Kysely runs them outside a transaction on SQLite,
 * though SQLite can have one. A daemon killed half way would leave tables that the next one can
 * neither use nor make.
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

/** Returns the migrations that a file has, without changing it. */
function takenSteps(path: string): string[] {
  if (statSync(path).size === 0) return [];
  try {
    return readSteps(path, true);
  } catch (error) {
    // A writer was killed before its first switch to write-ahead logging: SQLite takes back what it
    // left half done.
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

/** Parts of a statement that has no rows. */
const NOTHING = { reader: false, all: () => [], iterate: () => [].values() };

/** Keeps kysely's prepared statements by their text. */
function cachingStatements(file: Database.Database): SqliteDatabase {
  const statements = new BoundedMap<string, Database.Statement>(MAX_STATEMENTS);
  return {
    close: () => file.close(),
    prepare: (sql) => {
      const known = statements.get(sql);
      if (known) return known;
      const statement = file.prepare(sql);
      // After a full disk SQLite has rolled back by itself, and a second rollback would hide why.
      if (sql === 'rollback') return { ...NOTHING, run: () => (file.inTransaction ? statement.run() : NO_CHANGES) };
      statements.set(sql, statement);
      return statement;
    },
  };
}
