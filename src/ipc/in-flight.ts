/**
 * A request that has no answer yet: what ends it, and how much its frame holds of its user's books.
 */

/** Is one request in flight. */
export class InFlight extends AbortController {
  /** Is the length of its frame, in UTF-16 units. */
  readonly length: number;

  constructor(length: number) {
    super();
    this.length = length;
  }
}
