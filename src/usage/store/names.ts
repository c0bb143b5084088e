/**
 * The dictionary: each text that repeats has a number in the database, and a copy of it here.
 */

import { BulkInsert, sql, Statement, type Executor } from './database.ts';

/** Maximum size of the copy; evicted names are read again. */
const MAX_CACHED = 50_000;

/** Maximum number of parameters of one query. */
const SLICE = 500;

interface NameRow {
  readonly id: number;
  readonly text: string;
  readonly day: number;
}

const insertNames = new BulkInsert<{ readonly text: string; readonly day: number }, NameRow>(
  (db, rows) =>
    db
      .insertInto('names')
      .values(Array.from({ length: rows }, () => ({ text: '', day: 0 })))
      .onConflict((conflict) =>
        conflict
          .column('text')
          .doUpdateSet({ day: sql`case when excluded.day > names.day then excluded.day else names.day end` }),
      )
      .returning(['id', 'text', 'day']),
  ({ text, day }) => [text, day],
);

const findName = new Statement<NameRow>((db) =>
  db.selectFrom('names').select(['id', 'text', 'day']).where('text', '=', ''),
);

/** Turns texts into numbers and back. Number 0 stands for no text. */
export class Names {
  readonly #ids = new Map<string, { readonly id: number; readonly day: number }>();
  readonly #texts = new Map<number, string>();

  /**
   * Returns the number of each text, making up new ones, and notes that they were used on `day`.
   *
   * When the transaction it runs in fails, `forget` must be called: numbers that were made up in it
   * are not there.
   */
  async ids(executor: Executor, texts: Iterable<string | null>, day: number): Promise<(text: string | null) => number> {
    // Only between calls: in the middle of one, numbers just read would be lost.
    if (this.#texts.size > MAX_CACHED) this.forget();
    const stale = new Set<string>();
    for (const text of texts) if (text !== null && (this.#ids.get(text)?.day ?? -1) < day) stale.add(text);
    if (stale.size > 0) {
      // In one order everywhere, so that daemons which share a database do not wait for each other
      // in a circle.
      const rows = [...stale].sort().map((text) => ({ text, day }));
      for (const row of await insertNames.run(executor, rows)) this.#remember(row.id, row.text, day);
    }
    return (text) => (text === null ? 0 : (this.#ids.get(text)?.id ?? 0));
  }

  /** Returns the number of a text, or null where no event has it. */
  async find(executor: Executor, text: string): Promise<number | null> {
    const known = this.#ids.get(text);
    if (known) return known.id;
    const [row] = await executor.run(findName, [text]);
    if (!row) return null;
    this.#remember(row.id, text, row.day);
    return row.id;
  }

  /** Returns the text of each number; one whose text was pruned is null, as 0 is. */
  async texts(executor: Executor, ids: Iterable<number>): Promise<(id: number) => string | null> {
    const found = new Map<number, string>();
    const missing: number[] = [];
    for (const id of new Set(ids)) {
      const text = this.#texts.get(id);
      if (text !== undefined) found.set(id, text);
      else if (id > 0) missing.push(id);
    }
    for (let start = 0; start < missing.length; start += SLICE) {
      const slice = missing.slice(start, start + SLICE);
      const rows = await executor.db.selectFrom('names').select(['id', 'text']).where('id', 'in', slice).execute();
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
