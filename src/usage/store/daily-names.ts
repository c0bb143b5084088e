/**
 * Bounds the callers and the models that totals are kept for, each day: a program that makes up names must not make a row
 * of each. The rest are counted together.
 *
 * The totals themselves tell which names have rows of their own, so that the bound holds however often the usage thread
 * comes and goes.
 */

import { bucketOf, DAY } from '../grains.ts';
import { TOTAL_KINDS, type Dimensions } from '../totals.ts';
import type { UsageDb } from './schema.ts';

const MAX_NAMES_A_DAY = 1000;

/** Bounds the copies: late events are rare, and days that are over need no room. */
const MAX_COPIES = 16;

/** Is the name under which the rest is counted. */
export const OTHERS = '(others)';

/** Knows which names are counted on their own, by their ids. */
export class DailyNames {
  readonly #seen = new Map<string, Set<number>>();

  /** Returns what an event of that moment is counted under; `others` is the id of OTHERS. */
  async counted(db: UsageDb, at: number, ids: Dimensions, others: number): Promise<Dimensions> {
    const day = bucketOf(at, DAY);
    const bounded = async (kind: 'caller' | 'model'): Promise<number> => {
      const id = ids[kind];
      if (id === 0 || id === others) return id;
      const place = `${kind} ${day}`;
      const seen = this.#seen.get(place) ?? (await readNames(db, TOTAL_KINDS[kind], day, others));
      this.#seen.set(place, seen);
      if (seen.size >= MAX_NAMES_A_DAY && !seen.has(id)) return others;
      seen.add(id);
      return id;
    };
    return { ...ids, caller: await bounded('caller'), model: await bounded('model') };
  }

  /** Drops copies where there are many; between batches only, because the totals do not tell of what a batch has seen. */
  trim(): void {
    if (this.#seen.size > MAX_COPIES) this.#seen.clear();
  }

  /** Drops the copies. */
  forget(): void {
    this.#seen.clear();
  }
}

async function readNames(db: UsageDb, kind: number, day: number, others: number): Promise<Set<number>> {
  const rows = await db
    .selectFrom('totals')
    .select('value')
    .distinct()
    .where('grain', '=', DAY)
    .where('kind', '=', kind)
    .where('caller', '=', 0)
    .where('bucket', '=', day)
    .execute();
  return new Set(rows.map(({ value }) => value).filter((id) => id !== 0 && id !== others));
}
