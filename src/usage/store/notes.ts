/**
 * Reads and writes what the database remembers besides usage: how far it was pruned, and which files were imported.
 */

import type { UsageDb } from './schema.ts';

/** Is the time before which events, minutes, hours and days were pruned; 0 where nothing was. */
export interface Horizons {
  readonly eventsSince: number;
  readonly minutesSince: number;
  readonly hoursSince: number;
  readonly daysSince: number;
}

const HORIZONS = ['eventsSince', 'minutesSince', 'hoursSince', 'daysSince'] as const;

/** Reads how far was pruned. */
export async function readHorizons(db: UsageDb): Promise<Horizons> {
  const rows = await db.selectFrom('notes').selectAll().where('name', 'in', HORIZONS).execute();
  const horizon = (name: string): number => Number(rows.find((row) => row.name === name)?.value ?? 0);
  return {
    eventsSince: horizon('eventsSince'),
    minutesSince: horizon('minutesSince'),
    hoursSince: horizon('hoursSince'),
    daysSince: horizon('daysSince'),
  };
}

/** Notes how far is pruned; what was pruned stays pruned when a clock goes back. */
export async function writeHorizons(db: UsageDb, horizons: Horizons): Promise<void> {
  const noted = await readHorizons(db);
  for (const name of HORIZONS) {
    if (horizons[name] > noted[name]) await writeNote(db, name, String(horizons[name]));
  }
}

/** Reads one note, or null. */
export async function readNote(db: UsageDb, name: string): Promise<string | null> {
  const row = await db.selectFrom('notes').select('value').where('name', '=', name).executeTakeFirst();
  return row?.value ?? null;
}

/** Writes one note over what it was. */
export async function writeNote(db: UsageDb, name: string, value: string): Promise<void> {
  await db
    .insertInto('notes')
    .values({ name, value })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
    .execute();
}
