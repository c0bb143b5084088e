/**
 * Bounds the callers and the models that totals of an organization are kept for, each day. A
 * program that invents names must not make a row of each. The names beyond the bound are counted
 * together.
 *
 * The totals themselves show which names have rows of their own, so that the bound holds however
 * often the usage thread comes and goes.
 */

import { Statement, type Executor } from './database.ts';
import { bucketOf, DAY } from './resolutions.ts';
import { kindNumber, type Dimensions } from './totals.ts';

const MAX_NAMES_A_DAY = 1000;

/** Maximum number of sets in the copy: late events are rare, and past days need no room. */
const MAX_COPIES = 256;

/** Name under which the names beyond the bound are counted. */
export const OTHERS = '(others)';

const readValues = new Statement<{ readonly value: number }>((db) =>
  db
    .selectFrom('totals')
    .select('value')
    .distinct()
    .where('resolution', '=', 0)
    .where('kind', '=', 0)
    .where('caller', '=', 0)
    .where('bucket', '=', 0),
);

/** The names of each organization and day that are counted on their own, by their ids. */
export class DailyNames {
  readonly #seen = new Map<string, Set<number>>();

  /** Returns what an event of that moment is counted under; `others` is the id of OTHERS. */
  counted(executor: Executor, at: number, ids: Dimensions, others: number): Promise<Dimensions> | Dimensions {
    const day = bucketOf(at, DAY);
    const { organization } = ids;
    const callers = this.#seen.get(`caller ${organization} ${day}`);
    const models = this.#seen.get(`model ${organization} ${day}`);
    if (callers && models) return bounded(ids, callers, models, others);
    return this.#read(executor, organization, day, others).then((seen) =>
      bounded(ids, seen.callers, seen.models, others),
    );
  }

  /**
   * Drops copies where there are many; between batches only, because the totals do not show what a
   * batch has seen.
   */
  trim(): void {
    if (this.#seen.size > MAX_COPIES) this.#seen.clear();
  }

  /** Drops the copies. */
  forget(): void {
    this.#seen.clear();
  }

  async #read(
    executor: Executor,
    organization: number,
    day: number,
    others: number,
  ): Promise<{ readonly callers: Set<number>; readonly models: Set<number> }> {
    const read = async (kind: 'caller' | 'model'): Promise<Set<number>> => {
      const rows = await executor.run(readValues, [DAY, kindNumber(kind, organization), 0, day]);
      const names = new Set(rows.map(({ value }) => value).filter((id) => id !== 0 && id !== others));
      this.#seen.set(`${kind} ${organization} ${day}`, names);
      return names;
    };
    return { callers: await read('caller'), models: await read('model') };
  }
}

function bounded(ids: Dimensions, callers: Set<number>, models: Set<number>, others: number): Dimensions {
  const caller = boundedId(ids.caller, callers, others);
  const model = boundedId(ids.model, models, others);
  return caller === ids.caller && model === ids.model ? ids : { ...ids, caller, model };
}

function boundedId(id: number, seen: Set<number>, others: number): number {
  if (id === 0 || id === others || seen.has(id)) return id;
  if (seen.size >= MAX_NAMES_A_DAY) return others;
  seen.add(id);
  return id;
}
