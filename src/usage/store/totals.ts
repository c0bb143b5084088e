/**
 * Folds events into totals and sessions: the sums that every long answer is made of, and that
 * survive the pruning of events. Pure.
 *
 * Each event adds to one row per resolution and view. A view is a kind (all, by caller, model,
 * provider or key) within one organization and a scope: any caller, or one. The status is in each
 * row. So any answer for an organization, filtered by caller and status or not, is the sum of one
 * run of neighbouring rows. An answer for several is the sum of theirs.
 */

import { ALL_RESOLUTIONS, bucketOf, MINUTE, RESOLUTIONS, type Resolution } from './resolutions.ts';
import { addEvent, addSums, noSums, type Measured, type Sums } from './sums.ts';

/** Numbers of the dimensions that totals are kept by. */
const TOTAL_KINDS = { all: 0, caller: 1, model: 2, provider: 3, key: 4 } as const;
export type TotalKind = keyof typeof TOTAL_KINDS;

/** Numbers of kinds that an organization has in the totals table; 5 had rows before. */
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
 * Row of totals before it is added to what the table holds. Caller and value are ids of names; 0 is
 * "any" and "none".
 */
export interface TotalRow {
  readonly resolution: Resolution;
  readonly kind: number;
  readonly caller: number;
  readonly bucket: number;
  readonly value: number;
  readonly status: number;
  readonly sums: readonly number[];
}

/**
 * Events of one minute that are counted under the same names: most events of a batch share a few of
 * these.
 */
interface Cell {
  readonly bucket: number;
  readonly status: number;
  readonly ids: Dimensions;
  readonly sums: Sums;
}

/** Collects what a batch of events adds, one row for each place it adds to. */
export class TotalsFold {
  readonly #cells = new Map<string, Cell>();
  /** The last event's: the next one is often counted there, too. */
  #last: Cell | undefined;

  /** Adds one event. */
  addEvent(at: number, status: number, ids: Dimensions, event: Measured): void {
    addEvent(this.#cell(at, status, ids).sums, event);
  }

  /** Adds sums that were made elsewhere. */
  addSums(at: number, status: number, ids: Dimensions, sums: readonly number[]): void {
    addSums(this.#cell(at, status, ids).sums, sums);
  }

  /**
   * Returns the rows in the order of the table's key: daemons that share a database then never wait
   * for each other in a circle.
   */
  rows(): readonly TotalRow[] {
    const minutes = new RowFold();
    for (const { bucket, status, ids, sums } of this.#cells.values()) {
      const place = { resolution: MINUTE, bucket, status, sums };
      const { organization } = ids;
      minutes.add({ ...place, kind: kindNumber('caller', organization), caller: 0, value: ids.caller });
      for (const caller of [0, ids.caller]) {
        minutes.add({ ...place, kind: kindNumber('all', organization), caller, value: 0 });
        minutes.add({ ...place, kind: kindNumber('model', organization), caller, value: ids.model });
        minutes.add({ ...place, kind: kindNumber('provider', organization), caller, value: ids.provider });
        minutes.add({ ...place, kind: kindNumber('key', organization), caller, value: ids.key });
      }
    }
    // Each resolution from the one below it: there are far fewer rows than events.
    const folds = [minutes];
    for (const resolution of ALL_RESOLUTIONS.slice(1)) {
      const fold = new RowFold();
      const step = RESOLUTIONS[resolution].ms / (RESOLUTIONS[resolution - 1]?.ms ?? 1);
      for (const row of folds.at(-1)?.rows() ?? []) {
        fold.add({ ...row, resolution, bucket: Math.floor(row.bucket / step) });
      }
      folds.push(fold);
    }
    return folds
      .flatMap((fold) => [...fold.rows()])
      .sort(
        (a, b) =>
          a.resolution - b.resolution ||
          a.kind - b.kind ||
          a.caller - b.caller ||
          a.bucket - b.bucket ||
          a.value - b.value ||
          a.status - b.status,
      );
  }

  #cell(at: number, status: number, ids: Dimensions): Cell {
    const bucket = bucketOf(at, MINUTE);
    const last = this.#last;
    if (last?.bucket === bucket && last.status === status && isSame(last.ids, ids)) return last;
    const place = `${bucket},${status},${ids.caller},${ids.model},${ids.provider},${ids.key},${ids.organization}`;
    let cell = this.#cells.get(place);
    if (!cell) {
      cell = { bucket, status, ids, sums: noSums() };
      this.#cells.set(place, cell);
    }
    this.#last = cell;
    return cell;
  }
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

/** Adds up rows of the same place within one resolution. */
class RowFold {
  readonly #rows = new Map<string, TotalRow & { readonly sums: Sums }>();

  add(row: TotalRow): void {
    const place = `${row.kind},${row.caller},${row.bucket},${row.value},${row.status}`;
    const known = this.#rows.get(place);
    if (known) addSums(known.sums, row.sums);
    else this.#rows.set(place, { ...row, sums: [...row.sums] });
  }

  rows(): Iterable<TotalRow> {
    return this.#rows.values();
  }
}

/** What a batch adds to one session, or to one run of a daemon, within one organization. */
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

/** What a session's events have in common; session 0 is none. */
export type SessionPlace = Pick<SessionRow, 'session' | 'organization' | 'status' | 'caller'>;

/** Collects what a batch of events adds, one row for each session, organization and status. */
export class SessionsFold {
  /** Rows of each session: one has few of them. */
  readonly #rows = new Map<number, SessionRow[]>();

  /** Adds one event to its session. */
  addEvent(at: number, place: SessionPlace, event: Measured): void {
    if (place.session !== 0) addEvent(this.#row(at, place).sums, event);
  }

  /** Adds sums that were made elsewhere. */
  addSums(at: number, place: SessionPlace, sums: readonly number[]): void {
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
