/**
 * Releases of credentials that wait some milliseconds to be recorded, so that those of one program in a hurry share a
 * line: such a program asks for the same key thousands of times a second, and only the moments differ.
 *
 * A release can wait because its line in the audit is written before its reply leaves; a call's event cannot.
 */

import type { Clock } from '../base/clock.ts';
import type { RawEvent } from './event.ts';
import type { Moment } from './journal-lines.ts';

const WAIT_MS = 20;

/** Is how many releases share one line at most, and how many wait at most. */
const MAX_WAITING = 256;

/** Takes a release, and the further moments at which the same was released. */
type Append = (release: RawEvent, again: readonly Moment[]) => void;

/** Is one line to be. */
interface Group {
  readonly release: RawEvent;
  readonly again: Moment[];
}

/** Gathers releases, and hands them on in order. */
export class WaitingReleases {
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
    else this.#groups.push({ release: { ...release, at }, again: [] });
    this.#count += 1;
    if (this.#count === 1) this.#clock.after(WAIT_MS, () => this.flush());
    else if (this.#count >= MAX_WAITING) this.flush();
  }

  /** Hands on what waits. */
  flush(): void {
    const groups = this.#groups;
    this.#groups = [];
    this.#count = 0;
    for (const { release, again } of groups) this.#append(release, again);
  }
}

/** Tells whether two releases differ in their moment alone. What a release has no value for is not compared. */
function isSame(one: RawEvent, other: RawEvent): boolean {
  return (
    one.pid === other.pid &&
    one.session === other.session &&
    one.keyId === other.keyId &&
    one.provider === other.provider &&
    one.account === other.account &&
    one.operation === other.operation &&
    one.status === other.status &&
    one.errorCode === other.errorCode &&
    one.caller === other.caller &&
    one.uid === other.uid &&
    one.executable === other.executable
  );
}
