/**
 * Owns the kysely package: the parts of it that the store uses come from here.
 */

export { CompiledQuery, Kysely, PostgresDialect, SqliteAdapter, SqliteDialect, sql } from 'kysely';
export type { ColumnBuilderCallback, CreateTableBuilder, Generated, SqliteDatabase } from 'kysely';
export { Migrator } from 'kysely/migration';
export type { Migration } from 'kysely/migration';
