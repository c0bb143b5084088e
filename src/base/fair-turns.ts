/**
 * Shares the event loop between those that have work waiting. One pass through the loop does a few
 * milliseconds of that work, a turn each. So nobody else waits behind a hundred thousand requests
 * of one peer.
 */

/** Time that the turns of one pass through the event loop may take, in milliseconds. */
const PASS_MS = 2;

/** Round-robin queue of items that have work waiting. */
export class FairTurns<Item> {
  readonly #turn: (item: Item) => boolean;
  readonly #turnsPerPass: number;
  readonly #items = new Set<Item>();
  #leftMs = PASS_MS;
  #leftTurns: number;
  #isScheduled = false;

  /**
   * `turn` does a small part of an item's work, and returns whether more is waiting. It must not
   * throw. Turns whose work goes on in promises, where no pass sees it, are bounded in number.
   */
  constructor(turn: (item: Item) => boolean, turnsPerPass = Number.POSITIVE_INFINITY) {
    this.#turn = turn;
    this.#turnsPerPass = turnsPerPass;
    this.#leftTurns = turnsPerPass;
  }

  /** Whether nobody waits and this pass has time left, so that what comes may be done at once. */
  get hasTime(): boolean {
    return this.#items.size === 0 && this.#leftMs > 0 && this.#leftTurns > 0;
  }

  /** Counts time that work took which was done at once, in milliseconds. */
  spend(ms: number): void {
    this.#leftMs -= ms;
    // While little is used up, no pass has to be scheduled.
    if (this.#isHalfUsed()) this.#schedule();
  }

  /** Adds an item that has work waiting. */
  add(item: Item): void {
    this.#items.add(item);
    this.#schedule();
  }

  /** Takes turns with an item at once, where this pass has time left; adds it with what remains. */
  run(item: Item): void {
    let isWaiting = true;
    if (this.hasTime) {
      const begunAt = performance.now();
      const deadline = begunAt + this.#leftMs;
      do {
        isWaiting = this.#turn(item);
        this.#leftTurns -= 1;
      } while (isWaiting && this.#leftTurns > 0 && performance.now() < deadline);
      this.spend(performance.now() - begunAt);
    }
    if (isWaiting) this.add(item);
  }

  #isHalfUsed(): boolean {
    return this.#leftMs < PASS_MS / 2 || this.#leftTurns < this.#turnsPerPass / 2;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Every second pass through the loop is left to everybody else: what was read before it is also
    // answered before the turns go on.
    setImmediate(() => setImmediate(this.#pass));
  }

  readonly #pass = (): void => {
    this.#isScheduled = false;
    const begunAt = performance.now();
    const deadline = begunAt + PASS_MS;
    this.#leftTurns = this.#turnsPerPass;
    for (const item of this.#items) {
      // Moved to the end, so that the items without a turn come first, in this pass and the next.
      this.#items.delete(item);
      if (this.#turn(item)) this.#items.add(item);
      this.#leftTurns -= 1;
      if (this.#leftTurns <= 0 || performance.now() >= deadline) break;
    }
    // The time that a pass took is not available to work done at once before the next pass.
    this.#leftMs = PASS_MS - (performance.now() - begunAt);
    if (this.#items.size > 0 || this.#isHalfUsed()) this.#schedule();
  };
}
