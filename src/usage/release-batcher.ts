/**
 * Releases of credentials wait some milliseconds to be recorded, so that those of one program share
 * a line. A program in a hurry asks for the same key thousands of times a second, and only the
 * moments differ.
 *
 * A release can wait because its entry in the audit is written before its reply leaves; a call's
 * event cannot.
 */

import type { Clock } from '../base/clock.ts';
import type { EventField } from '../protocol/usage.ts';
import { COLUMNS, type RawEvent } from './event.ts';
import type { Recurrence } from './journal-line.ts';

const WAIT_MS = 20;

/** Maximum number of releases that share one line, and that wait. */
const MAX_WAITING = 256;

/** Takes a release, and the further moments at which the same was released. */
type Append = (release: RawEvent, again: readonly Recurrence[]) => void;

/** The releases of one line; `at` is the moment of the first, in epoch milliseconds. */
interface Group {
  readonly release: RawEvent;
  readonly at: number;
  readonly again: Recurrence[];
}

/** Gathers releases, and passes them on in order. */
export class ReleaseBatcher {
  readonly #clock: Clock;
  readonly #randomId: () => number;
  readonly #append: Append;
  #groups: Group[] = [];
  #count = 0;

  constructor({ clock, randomId }: { readonly clock: Clock; readonly randomId: () => number }, append: Append) {
    this.#clock = clock;
    this.#randomId = randomId;
    this.#append = append;
  }

  /** Takes a release that happens now. */
  add(release: RawEvent): void {
    const at = this.#clock.now();
    const last = this.#groups.at(-1);
    if (last && isSame(last.release, release)) last.again.push([at, this.#randomId()]);
    else this.#groups.push({ release, at, again: [] });
    this.#count += 1;
    if (this.#count === 1) this.#clock.after(WAIT_MS, () => this.flush());
    else if (this.#count >= MAX_WAITING) this.flush();
  }

  /** Passes on what waits. */
  flush(): void {
    const groups = this.#groups;
    this.#groups = [];
    this.#count = 0;
    for (const { release, at, again } of groups) this.#append({ ...release, at }, again);
  }
}

type ReleaseField = Exclude<EventField, 'id' | 'run' | 'at'>;

/** Fields in which two releases may differ. */
const COMPARED = COLUMNS.map(({ field }) => field).filter(
  (field): field is ReleaseField => !['id', 'run', 'at'].includes(field),
);

/** Returns whether two releases differ in their moment alone. */
function isSame(one: RawEvent, other: RawEvent): boolean {
  // A caller that repeats a release records the very same event again.
  return one === other || COMPARED.every((field) => one[field] === other[field]);
}
