/**
 * Makes and changes the tables. Each step has a name and a content that never change, which is why
 * steps spell their columns out. A database with a name that is not here is newer than this
 * program, and is left alone.
 */

import { AipassError } from '../../base/errors.ts';
import {
  Migrator,
  sql,
  type ColumnBuilderCallback,
  type CreateTableBuilder,
  type DialectName,
  type Kysely,
  type Migration,
  type UsageTables,
} from './database.ts';

/** Kysely's table of the migrations that were made. */
export const MIGRATION_TABLE = 'kysely_migration';

/**
 * Rejects a database that has steps which this program does not know.
 *
 * @throws AipassError VERSION_MISMATCH; nothing was changed.
 */
export function assertKnownSchema(taken: readonly string[]): void {
  const known = Object.keys(migrations('sqlite'));
  const unknown = taken.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new AipassError('VERSION_MISMATCH', 'the usage database was made by a newer aipassd', {
    hint: 'install that version again, or set usage.database to another place; the database was not touched',
  });
}

/** Brings the tables up to date. Daemons that share a database take turns. */
export async function migrate(db: Kysely<UsageTables>, dialect: DialectName): Promise<void> {
  const steps = migrations(dialect);
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(steps) } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}

function migrations(dialect: DialectName): Record<string, Migration> {
  return {
    '0001_usage': { up: (db) => createTables(db, dialect) },
    '0002_attempts_cache_writes_organizations': { up: addAttemptsCacheWritesAndOrganizations },
    '0003_sessions_of_organizations': { up: (db) => divideSessions(db, dialect) },
  };
}

/** The sums of 0001. */
const FIRST_SUMS = [
  'requests',
  'releases',
  'prompt_tokens',
  'completion_tokens',
  'cached_tokens',
  'reasoning_tokens',
  'tokens_known',
  'cost_micros',
  'cost_known',
  'latency_ms',
  'latency_known',
  'first_token_ms',
  'first_token_known',
  ...Array.from({ length: 24 }, (_, bucket): `l${number}` => `l${bucket}`),
] as const;

const notNull: ColumnBuilderCallback = (column) => column.notNull();

async function createTables(db: Kysely<UsageTables>, dialect: DialectName): Promise<void> {
  // Rows are found by their key alone, so SQLite keeps no second tree of row numbers.
  const ending = dialect === 'sqlite' ? sql`without rowid` : sql``;

  await db.schema
    .createTable('names')
    .addColumn('id', 'integer', (column) =>
      dialect === 'sqlite' ? column.primaryKey().autoIncrement() : column.primaryKey().generatedByDefaultAsIdentity(),
    )
    .addColumn('text', 'text', (column) => column.notNull().unique())
    .addColumn('day', 'integer', notNull)
    .execute();

  const times = db.schema.createTable('events').addColumn('at', 'bigint', notNull).addColumn('id', 'bigint', notNull);
  const texts = addColumns(
    times,
    ['caller', 'executable', 'session', 'run', 'provider', 'key', 'account', 'operation', 'model', 'error_code'],
    'integer',
    notNull,
  );
  const numbers = addColumns(
    texts.addColumn('status', 'integer', notNull),
    ['pid', 'http_status', 'cost_source', 'prompt_tokens', 'completion_tokens', 'cached_tokens', 'reasoning_tokens'],
    'integer',
  );
  await addColumns(numbers, ['uid', 'cost_micros', 'latency_ms', 'first_token_ms'], 'bigint')
    .addColumn('generation', 'text')
    .addPrimaryKeyConstraint('events_pk', ['at', 'id'])
    .modifyEnd(ending)
    .execute();
  // A generation counts once.
  await sql`create unique index events_generation on events (generation, provider) where generation is not null`.execute(
    db,
  );
  await sql`create index events_key on events (key, status, at)`.execute(db);
  // Failures are few and often searched for; successes are found by time.
  await sql`create index events_failed on events (status, at) where status <> 1`.execute(db);

  await addSums(
    db.schema
      .createTable('totals')
      .addColumn('grain', 'smallint', notNull)
      .addColumn('kind', 'smallint', notNull)
      .addColumn('caller', 'integer', notNull)
      .addColumn('bucket', 'integer', notNull)
      .addColumn('value', 'integer', notNull)
      .addColumn('status', 'smallint', notNull),
  )
    .addPrimaryKeyConstraint('totals_pk', ['grain', 'kind', 'caller', 'bucket', 'value', 'status'])
    .modifyEnd(ending)
    .execute();

  await addSums(
    db.schema
      .createTable('sessions')
      .addColumn('session', 'integer', notNull)
      .addColumn('status', 'smallint', notNull)
      .addColumn('caller', 'integer', notNull)
      .addColumn('first_at', 'bigint', notNull)
      .addColumn('last_at', 'bigint', notNull),
  )
    .addPrimaryKeyConstraint('sessions_pk', ['session', 'status'])
    .modifyEnd(ending)
    .execute();
  await sql`create index sessions_last on sessions (last_at)`.execute(db);

  await db.schema
    .createTable('positions')
    .addColumn('journal', 'text', (column) => column.primaryKey())
    .addColumn('segment', 'bigint', notNull)
    .addColumn('byte_offset', 'bigint', notNull)
    .execute();
  await db.schema
    .createTable('notes')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', notNull)
    .execute();
}

function addSums<Table extends string, Column extends string>(
  table: CreateTableBuilder<Table, Column>,
): CreateTableBuilder<Table, Column | (typeof FIRST_SUMS)[number]> {
  return addColumns(table, FIRST_SUMS, 'bigint', notNull);
}

/**
 * Every call of before was one attempt, wrote unknown amounts to caches, and used the default
 * organization's keys.
 */
async function addAttemptsCacheWritesAndOrganizations(db: Kysely<UsageTables>): Promise<void> {
  const statements = [
    'alter table totals rename column grain to resolution',
    'alter table events add column cache_write_tokens integer',
    'alter table events add column organization integer not null default 0',
    'alter table events add column retried smallint not null default 0',
    ...['totals', 'sessions'].flatMap((table) => [
      `alter table ${table} add column attempts bigint not null default 0`,
      `alter table ${table} add column cache_write_tokens bigint not null default 0`,
      `update ${table} set attempts = requests`,
    ]),
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}

/**
 * Sessions of before are the default organization's. Totals of others have numbers of kinds of
 * their own, which are larger than a small integer.
 */
async function divideSessions(db: Kysely<UsageTables>, dialect: DialectName): Promise<void> {
  const run = (statement: string) => sql.raw(statement).execute(db);
  await run('create index events_organization on events (organization, at) where organization <> 0');
  if (dialect === 'postgres') {
    await run('alter table totals alter column kind type integer');
    await run('alter table sessions add column organization integer not null default 0');
    await run('alter table sessions drop constraint sessions_pk');
    await run('alter table sessions add constraint sessions_pk primary key (session, organization, status)');
    return;
  }
  const sums = [...FIRST_SUMS, 'attempts', 'cache_write_tokens'];
  const columns = ['session', 'status', 'caller', 'first_at', 'last_at', ...sums];
  await run(`create table divided (${columns.map((column) => `${column} bigint not null`).join(', ')},
    organization integer not null default 0, primary key (session, organization, status)) without rowid`);
  await run(`insert into divided (${columns.join(', ')}) select ${columns.join(', ')} from sessions`);
  await run('drop table sessions');
  await run('alter table divided rename to sessions');
  await run('create index sessions_last on sessions (last_at)');
}

function addColumns<Table extends string, Column extends string, Added extends string>(
  table: CreateTableBuilder<Table, Column>,
  names: readonly Added[],
  type: 'integer' | 'bigint',
  build?: ColumnBuilderCallback,
): CreateTableBuilder<Table, Column | Added> {
  let builder: CreateTableBuilder<Table, Column | Added> = table;
  for (const name of names) builder = builder.addColumn(name, type, build);
  return builder;
}
