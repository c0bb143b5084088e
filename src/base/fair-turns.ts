/**
 * Shares the event loop between those that have work waiting. One pass through the loop does a few milliseconds of that
 * work, a turn each, so that nobody else waits behind a hundred thousand requests of one peer.
 */

/** Time that the turns of one pass through the event loop may take, in milliseconds. */
const PASS_MS = 3;

/** Round-robin queue of items that have work waiting. */
export class FairTurns<Item> {
  readonly #turn: (item: Item) => boolean;
  readonly #items = new Set<Item>();
  #leftMs = PASS_MS;
  #isScheduled = false;

  /** `turn` does a small part of an item's work, and returns whether more is waiting. It must not throw. */
  constructor(turn: (item: Item) => boolean) {
    this.#turn = turn;
  }

  /** Adds an item that has work waiting. */
  add(item: Item): void {
    this.#items.add(item);
    this.#schedule();
  }

  /** Takes turns with an item at once, where nobody waits and this pass has time left; adds it with what remains. */
  run(item: Item): void {
    let isWaiting = true;
    if (this.#items.size === 0 && this.#leftMs > 0) {
      const begunAt = performance.now();
      const deadline = begunAt + this.#leftMs;
      do {
        isWaiting = this.#turn(item);
      } while (isWaiting && performance.now() < deadline);
      this.#leftMs -= performance.now() - begunAt;
    }
    if (isWaiting) this.#items.add(item);
    // Where little is used up, not each pass through the event loop needs a call of ours.
    if (isWaiting || this.#leftMs < PASS_MS / 2) this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#pass);
  }

  readonly #pass = (): void => {
    this.#isScheduled = false;
    const begunAt = performance.now();
    const deadline = begunAt + PASS_MS;
    for (const item of this.#items) {
      // Moved to the end, where this loop finds it again, and the next pass after those that had no turn.
      this.#items.delete(item);
      if (this.#turn(item)) this.#items.add(item);
      if (performance.now() >= deadline) break;
    }
    // What a pass took is not there for those that come before the next one.
    this.#leftMs = PASS_MS - (performance.now() - begunAt);
    if (this.#items.size > 0 || this.#leftMs < PASS_MS / 2) this.#schedule();
  };
}
