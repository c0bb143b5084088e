/**
 * Chooses the kind of database from the configuration.
 */

import type { StoreConnection } from './database.ts';

/**
 * Returns whether a setting of `usage.database` is the address of a PostgreSQL server; anything
 * else is the path of a file.
 */
export function isPostgresUrl(database: string): boolean {
  return /^postgres(?:ql)?:\/\//i.test(database);
}

/**
 * Opens the database that the configuration names. What only the other kind needs is not loaded.
 */
export async function openConnection(database: string): Promise<StoreConnection> {
  if (isPostgresUrl(database)) return (await import('./postgres.ts')).openPostgres(database);
  return (await import('./sqlite.ts')).openSqlite(database);
}
