/**
 * Inserts many rows in few statements, whose texts are made once: building the text of a wide statement takes longer
 * than running it.
 */

import { CompiledQuery } from './query-builder.ts';
import type { UsageDb } from './schema.ts';

/** Lists how many rows a statement holds, largest first; few sizes, so that each is prepared once. The largest stays below SQLite's 32,766 parameters. */
const SIZES = [128, 16, 1] as const;

/** Builds the statement for a number of rows whose values do not matter. */
export type BuildInsert = (db: UsageDb, rows: number) => { compile(): CompiledQuery };

/** Is one kind of insert, with its statements' texts. */
export class BulkInsert<Row, Returned = unknown> {
  readonly #build: BuildInsert;
  readonly #flatten: (row: Row) => readonly (number | string | null)[];
  readonly #texts = new Map<number, string>();

  /** `flatten` returns a row's values in the order of the statement's columns. */
  constructor(build: BuildInsert, flatten: (row: Row) => readonly (number | string | null)[]) {
    this.#build = build;
    this.#flatten = flatten;
  }

  /** Inserts the rows and returns what the statements return. */
  async run(db: UsageDb, rows: readonly Row[]): Promise<Returned[]> {
    const returned: Returned[] = [];
    let start = 0;
    while (start < rows.length) {
      const size = SIZES.find((candidate) => candidate <= rows.length - start) ?? 1;
      const values = rows.slice(start, start + size).flatMap(this.#flatten);
      const result = await db.executeQuery<Returned>(CompiledQuery.raw(this.#text(db, size), values));
      for (const row of result.rows) returned.push(row);
      start += size;
    }
    return returned;
  }

  #text(db: UsageDb, size: number): string {
    let text = this.#texts.get(size);
    if (text === undefined) {
      text = this.#build(db, size).compile().sql;
      this.#texts.set(size, text);
    }
    return text;
  }
}
