/**
 * Reads and writes what the database remembers besides usage: how far it was pruned, and which
 * files were imported.
 */

import { Statement, sql, type Executor } from './database.ts';
import { DAY, HOUR, RESOLUTIONS } from './resolutions.ts';

/** Step of each horizon, so that no larger bucket is answered in part: see prune.ts. */
const STEPS_MS = {
  eventsSince: 1,
  minutesSince: RESOLUTIONS[HOUR].ms,
  hoursSince: RESOLUTIONS[DAY].ms,
  daysSince: RESOLUTIONS[DAY].ms,
} as const;

/** Times before which events, minutes, hours and days were pruned; 0 where nothing was. */
export type Horizons = Readonly<Record<keyof typeof STEPS_MS, number>>;

const HORIZONS = ['eventsSince', 'minutesSince', 'hoursSince', 'daysSince'] as const satisfies (keyof Horizons)[];

const NOTHING_PRUNED: Horizons = { eventsSince: 0, minutesSince: 0, hoursSince: 0, daysSince: 0 };

/**
 * Reads how far was pruned. Where even days were pruned up to a time in the future, the clock was
 * wrong then, and nothing is left of what was there. What is there now came later, and is whole.
 */
export async function readHorizons(executor: Executor, now: number): Promise<Horizons> {
  const noted = await readNoted(executor);
  return noted.daysSince > now ? NOTHING_PRUNED : noted;
}

/**
 * Notes how far is pruned; what was pruned stays pruned when a clock goes back. Where it was pruned
 * too far because the clock had been ahead, what came since is whole. From the next bucket on,
 * answers are as fine as ever.
 */
export async function writeHorizons(executor: Executor, horizons: Horizons, now: number): Promise<void> {
  const noted = await readNoted(executor);
  const isAllGone = noted.daysSince > now;
  for (const name of HORIZONS) {
    const known = isAllGone ? 0 : Math.min(noted[name], Math.ceil(now / STEPS_MS[name]) * STEPS_MS[name]);
    const horizon = Math.max(known, horizons[name]);
    if (horizon !== noted[name]) await writeNote(executor, name, String(horizon));
  }
}

const selectNotes = new Statement<{ readonly name: string; readonly value: string }>((db) =>
  db.selectFrom('notes').selectAll().where('name', 'in', HORIZONS),
);

const selectNote = new Statement<{ readonly value: string }>((db) =>
  db.selectFrom('notes').select('value').where('name', '=', ''),
);

const upsertNote = new Statement((db) =>
  db
    .insertInto('notes')
    .values({ name: '', value: '' })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: sql<string>`excluded.value` })),
);

async function readNoted(executor: Executor): Promise<Horizons> {
  const rows = await executor.run(selectNotes, HORIZONS);
  const noted: Record<keyof Horizons, number> = { ...NOTHING_PRUNED };
  for (const name of HORIZONS) noted[name] = Number(rows.find((row) => row.name === name)?.value ?? 0);
  return noted;
}

/** Reads one note, or null. */
export async function readNote(executor: Executor, name: string): Promise<string | null> {
  return (await executor.run(selectNote, [name]))[0]?.value ?? null;
}

/** Writes one note over what it was. */
export async function writeNote(executor: Executor, name: string, value: string): Promise<void> {
  await executor.run(upsertNote, [name, value]);
}
