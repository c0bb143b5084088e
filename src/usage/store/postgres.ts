/**
 * The usage database as tables in PostgreSQL, for daemons that share one history. Owns the pg
 * package.
 *
 * A server that is away fails fast: events queue in the journal meanwhile.
 */

import { Pool, types } from 'pg';
import { assertKnownSchema, migrate, MIGRATION_TABLE } from './migrations.ts';
import {
  CompiledQuery,
  Kysely,
  PostgresDialect,
  sql,
  type Executor,
  type SqlValue,
  type Statement,
  type StoreConnection,
  type UsageDb,
  type UsageTables,
} from './database.ts';

const CONNECT_LIMIT_MS = 5000;
const STATEMENT_LIMIT_MS = 30_000;

/** The store asks one thing at a time; the second connection is the migrator's. */
const CONNECTIONS = 2;

/** Types whose values come as text but are safe numbers here: counts and sums below 2^53. */
const NUMBER_TYPES: ReadonlySet<number> = new Set([types.builtins.INT8, types.builtins.NUMERIC]);

/** Connects to `postgres://…` and brings the tables up to date. */
export async function openPostgres(url: string): Promise<StoreConnection> {
  const pool = new Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    statement_timeout: STATEMENT_LIMIT_MS,
    query_timeout: STATEMENT_LIMIT_MS + 1000,
    application_name: 'aipassd',
    types: {
      getTypeParser: (type: Parameters<typeof types.getTypeParser>[0], format?: 'text' | 'binary') =>
        NUMBER_TYPES.has(type) ? Number : types.getTypeParser(type, format),
    },
  });
  // An idle connection that the server ends is replaced at the next query; without a listener the
  // event ends the thread.
  pool.on('error', () => {});
  const db = new Kysely<UsageTables>({ dialect: new PostgresDialect({ pool }) });
  try {
    assertKnownSchema(await takenSteps(db));
    await migrate(db, 'postgres');
  } catch (error) {
    await db.destroy();
    throw error;
  }
  const texts = new Map<Statement<unknown>, string>();
  const executorOf = (target: UsageDb): Executor => ({
    db: target,
    dialect: 'postgres',
    async run<Row>(statement: Statement<Row>, values: readonly SqlValue[]): Promise<Row[]> {
      const text = texts.get(statement) ?? statement.build(db).compile().sql;
      texts.set(statement, text);
      return (await target.executeQuery<Row>(CompiledQuery.raw(text, [...values]))).rows;
    },
  });
  return {
    ...executorOf(db),
    found: 'database',
    transaction: (work) => db.transaction().execute((transaction) => work(executorOf(transaction))),
    isGone: () => false,
    // PostgreSQL's autovacuum reuses the room by itself.
    shrink: () => Promise.resolve(false),
    bytes: async () => {
      const { rows } = await sql<{ bytes: number }>`select pg_database_size(current_database()) as bytes`.execute(db);
      return rows[0]?.bytes ?? 0;
    },
    close: () => db.destroy(),
  };
}

async function takenSteps(db: Kysely<UsageTables>): Promise<string[]> {
  const { rows: found } = await sql`select 1 where to_regclass(${MIGRATION_TABLE}) is not null`.execute(db);
  if (found.length === 0) return [];
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(MIGRATION_TABLE)}`.execute(db);
  return rows.map((row) => row.name);
}
