/**
 * Folds events into totals and sessions: the sums that every long answer is made of, and that
 * survive the pruning of events. Pure.
 *
 * Each event adds to one row per resolution and view. A view is a kind (all, by caller, model,
 * provider or key) within one organization and a scope: any caller, or one. The status is in each
 * row. So any answer for an organization, filtered by caller and status or not, is the sum of one
 * run of neighbouring rows. An answer for several is the sum of theirs.
 */

import { bucketOf, MINUTE } from './resolutions.ts';
import { addSums, noSums, type Sums } from './sums.ts';

/** Numbers of the dimensions that totals are kept by. */
const TOTAL_KINDS = { all: 0, caller: 1, model: 2, provider: 3, key: 4 } as const;
export type TotalKind = keyof typeof TOTAL_KINDS;

/**
 * Numbers of kinds that an organization has in the totals table; number 5 is taken by rows of an
 * older version.
 */
const KINDS_EACH = 8;

/** Returns the number of a kind in the totals table for an organization, by the id of its name. */
export function kindNumber(kind: TotalKind, organization: number): number {
  return organization * KINDS_EACH + TOTAL_KINDS[kind];
}

/** Returns the organization whose totals have that number of a kind. */
export function organizationOfKind(number: number): number {
  return Math.floor(number / KINDS_EACH);
}

/** Ids of the names that an event is counted under; 0 is none. */
export interface Dimensions {
  readonly caller: number;
  readonly model: number;
  readonly provider: number;
  readonly key: number;
  readonly organization: number;
}

/**
 * Sums that a batch adds to one view in one minute, and so to the hour, day and block of that
 * minute. Caller and value are ids of names; 0 is "any" and "none".
 */
export interface TotalRow {
  readonly kind: number;
  readonly caller: number;
  readonly value: number;
  readonly status: number;
  readonly minute: number;
  readonly sums: Sums;
}

/** The kinds of totals that each caller has of its own; "caller" has those of all. */
const KINDS_OF_CALLER = ['all', 'model', 'provider', 'key'] as const;

/** Sums that a batch adds in one minute, to one organization, with one status. */
interface Place {
  readonly minute: number;
  readonly status: number;
  readonly organization: number;
  /** Sums by kind, caller and value. */
  readonly sums: Readonly<Record<(typeof KINDS_OF_CALLER)[number], Map<number, Map<number, Sums>>>>;
}

/** Collects what a batch of events adds, one row for each view and minute. */
export class TotalsFold {
  readonly #places = new Map<string, Place>();
  /** The last event's place, names, and sums: those of the next one are often the same. */
  #last: { readonly place: Place; readonly ids: Dimensions; readonly sums: readonly Sums[] } | undefined;

  /** Adds the sums of an event, or of several that are counted under the same names. */
  add(at: number, status: number, ids: Dimensions, more: readonly number[]): void {
    for (const sums of this.#sumsOf(at, status, ids)) addSums(sums, more);
  }

  /**
   * Returns the rows in one order everywhere: daemons that share a database then never wait for
   * each other in a circle.
   */
  rows(): readonly TotalRow[] {
    const rows: TotalRow[] = [];
    for (const { minute, status, organization, sums: ofPlace } of this.#places.values()) {
      const add = (kind: TotalKind, caller: number, value: number, sums: Sums): void => {
        rows.push({ kind: kindNumber(kind, organization), caller, value, status, minute, sums });
      };
      for (const kind of KINDS_OF_CALLER) {
        const ofAnyCaller = new Map<number, Sums>();
        for (const [caller, values] of ofPlace[kind]) {
          for (const [value, sums] of values) {
            add(kind, caller, value, sums);
            if (kind === 'all') add('caller', 0, caller, sums);
            addSums(valueAt(ofAnyCaller, value, noSums), sums);
          }
        }
        for (const [value, sums] of ofAnyCaller) add(kind, 0, value, sums);
      }
    }
    return rows.sort(
      (a, b) =>
        a.kind - b.kind || a.caller - b.caller || a.value - b.value || a.status - b.status || a.minute - b.minute,
    );
  }

  /** Returns the sums that an event of a caller adds to, one for each kind. */
  #sumsOf(at: number, status: number, ids: Dimensions): readonly Sums[] {
    const minute = bucketOf(at, MINUTE);
    const { organization, caller } = ids;
    const last = this.#last;
    if (last?.place.minute === minute && last.place.status === status && isSame(last.ids, ids)) return last.sums;
    const place = valueAt(this.#places, `${minute},${status},${organization}`, () => ({
      minute,
      status,
      organization,
      sums: { all: new Map(), model: new Map(), provider: new Map(), key: new Map() },
    }));
    const sums = KINDS_OF_CALLER.map((kind) => {
      const values = valueAt(place.sums[kind], caller, () => new Map<number, Sums>());
      return valueAt(values, kind === 'all' ? 0 : ids[kind], noSums);
    });
    this.#last = { place, ids, sums };
    return sums;
  }
}

/** Returns the value of a key, making it where there is none. */
function valueAt<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function isSame(one: Dimensions, other: Dimensions): boolean {
  return (
    one.caller === other.caller &&
    one.model === other.model &&
    one.provider === other.provider &&
    one.key === other.key &&
    one.organization === other.organization
  );
}

/** Sums that a batch adds to one session, or to one run of a daemon, within one organization. */
export interface SessionRow {
  readonly session: number;
  readonly organization: number;
  readonly status: number;
  /** Id of the caller's name; 0 for a run, which has many. */
  readonly caller: number;
  firstAt: number;
  lastAt: number;
  readonly sums: Sums;
}

/** The key of a session's row, and its caller; session 0 is none. */
export type SessionPlace = Pick<SessionRow, 'session' | 'organization' | 'status' | 'caller'>;

/** Collects what a batch of events adds, one row for each session, organization and status. */
export class SessionsFold {
  /** Rows of each session: one has few of them. */
  readonly #rows = new Map<number, SessionRow[]>();

  /** Adds the sums of an event, or of several, to their session. */
  add(at: number, place: SessionPlace, sums: readonly number[]): void {
    if (place.session !== 0) addSums(this.#row(at, place).sums, sums);
  }

  /** Returns the rows in the order of the table's key; see TotalsFold. */
  rows(): readonly SessionRow[] {
    return [...this.#rows.values()]
      .flat()
      .sort((a, b) => a.session - b.session || a.organization - b.organization || a.status - b.status);
  }

  #row(at: number, { session, organization, status, caller }: SessionPlace): SessionRow {
    const rows = this.#rows.get(session) ?? [];
    let row = rows.find((one) => one.organization === organization && one.status === status);
    if (!row) {
      row = { session, organization, status, caller, firstAt: at, lastAt: at, sums: noSums() };
      this.#rows.set(session, rows);
      rows.push(row);
    }
    row.firstAt = Math.min(row.firstAt, at);
    row.lastAt = Math.max(row.lastAt, at);
    return row;
  }
}
