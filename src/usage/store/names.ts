/**
 * The dictionary: each text that repeats has a number in the database, and a copy of it here.
 */

import { sql } from './query-builder.ts';
import type { UsageDb } from './schema.ts';

/** Bounds the copy; what falls out is read again. */
const MAX_CACHED = 50_000;

/** Bounds the parameters of one statement. */
const SLICE = 500;

/** Turns texts into numbers and back. Number 0 is no text. */
export class Names {
  readonly #ids = new Map<string, { readonly id: number; readonly day: number }>();
  readonly #texts = new Map<number, string>();

  /**
   * Returns the number of each text, making up new ones, and notes that they were used on `day`.
   *
   * When the transaction it runs in fails, `forget` must be called: numbers that were made up in it are not there.
   */
  async ids(db: UsageDb, texts: Iterable<string | null>, day: number): Promise<(text: string | null) => number> {
    // Only between calls: in the middle of one, numbers just read would be lost.
    if (this.#texts.size > MAX_CACHED) this.forget();
    const wanted = [...new Set(texts)].filter((text) => text !== null);
    const stale = wanted.filter((text) => (this.#ids.get(text)?.day ?? -1) < day);
    for (const slice of slices(stale)) {
      const rows = await db
        .insertInto('names')
        // In one order everywhere, so that daemons which share a database do not wait for each other in a circle.
        .values(slice.sort().map((text) => ({ text, day })))
        .onConflict((conflict) =>
          conflict
            .column('text')
            .doUpdateSet({ day: sql`case when excluded.day > names.day then excluded.day else names.day end` }),
        )
        .returning(['id', 'text'])
        .execute();
      for (const row of rows) this.#remember(row.id, row.text, day);
    }
    return (text) => (text === null ? 0 : (this.#ids.get(text)?.id ?? 0));
  }

  /** Returns the number of a text, or null where no event has it. */
  async find(db: UsageDb, text: string): Promise<number | null> {
    const known = this.#ids.get(text);
    if (known) return known.id;
    const row = await db.selectFrom('names').select(['id', 'day']).where('text', '=', text).executeTakeFirst();
    if (!row) return null;
    this.#remember(row.id, text, row.day);
    return row.id;
  }

  /** Returns the text of each number; one whose text was pruned is null, as 0 is. */
  async texts(db: UsageDb, ids: Iterable<number>): Promise<(id: number) => string | null> {
    const found = new Map<number, string>();
    const missing: number[] = [];
    for (const id of new Set(ids)) {
      const known = this.#texts.get(id);
      if (known !== undefined) found.set(id, known);
      else if (id !== 0) missing.push(id);
    }
    for (const slice of slices(missing)) {
      const rows = await db.selectFrom('names').select(['id', 'text']).where('id', 'in', slice).execute();
      for (const row of rows) {
        found.set(row.id, row.text);
        this.#texts.set(row.id, row.text);
      }
    }
    return (id) => found.get(id) ?? null;
  }

  /** Drops the copy. */
  forget(): void {
    this.#ids.clear();
    this.#texts.clear();
  }

  #remember(id: number, text: string, day: number): void {
    this.#ids.set(text, { id, day });
    this.#texts.set(id, text);
  }
}

function slices<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / SLICE) }, (_, i) => items.slice(i * SLICE, (i + 1) * SLICE));
}
