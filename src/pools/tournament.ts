/**
 * The best of many, kept up to date: a tournament tree over numbered slots. Finding the winner costs nothing, a change of
 * one slot O(log n) comparisons, whatever the order is that it is asked to keep.
 */

const NOBODY = -1;

/** Keeps the best eligible slot. */
export class Tournament {
  readonly #isBetter: (a: number, b: number) => boolean;
  readonly #isEligible: (slot: number) => boolean;
  /** Is a complete binary tree: node 1 is the root, the leaves begin at `#size`. Each holds the slot that won below it. */
  #winners = new Int32Array([NOBODY, NOBODY]);
  #size = 1;

  /** `isBetter` is a strict order of slots; `isEligible` says which take part. Both are asked again by `update` only. */
  constructor(isBetter: (a: number, b: number) => boolean, isEligible: (slot: number) => boolean) {
    this.#isBetter = isBetter;
    this.#isEligible = isEligible;
  }

  /** Returns the best eligible slot, or undefined where none is. */
  get best(): number | undefined {
    const winner = this.#winners[1];
    return winner === undefined || winner === NOBODY ? undefined : winner;
  }

  /** Plays anew for a number of slots. O(n). */
  rebuild(slots: number): void {
    this.#size = 1;
    while (this.#size < slots) this.#size *= 2;
    this.#winners = new Int32Array(2 * this.#size).fill(NOBODY);
    for (let slot = 0; slot < slots; slot += 1) {
      if (this.#isEligible(slot)) this.#winners[this.#size + slot] = slot;
    }
    for (let node = this.#size - 1; node >= 1; node -= 1) this.#play(node);
  }

  /** Plays the matches of one slot again, after its rank or its eligibility changed. O(log n). */
  update(slot: number): void {
    this.#set(slot, this.#isEligible(slot) ? slot : NOBODY);
  }

  /** Takes a slot out until its next `update`. O(log n). */
  withdraw(slot: number): void {
    this.#set(slot, NOBODY);
  }

  #set(slot: number, value: number): void {
    this.#winners[this.#size + slot] = value;
    for (let node = (this.#size + slot) >> 1; node >= 1; node >>= 1) this.#play(node);
  }

  #play(node: number): void {
    const left = this.#winners[2 * node] ?? NOBODY;
    const right = this.#winners[2 * node + 1] ?? NOBODY;
    this.#winners[node] =
      left === NOBODY ? right : right === NOBODY ? left : this.#isBetter(right, left) ? right : left;
  }
}
