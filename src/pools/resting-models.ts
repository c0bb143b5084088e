/**
 * Which models rest, or are half open, on their own, and with which accounts. Owns how many may: each costs an order of
 * all keys (lanes.ts), and whoever asks chooses their names.
 */

import type { KeyAccount } from './pool-key.ts';
import type { RestCycle } from './rest-cycle.ts';

/** Is how many models may rest on their own in one pool; above it a limit of one more is taken for the account's. */
const MAX_RESTING_MODELS = 64;

/** Is how long after its rest a model that nobody asks for any more is remembered, in milliseconds. */
export const FORGET_MODEL_MS = 3_600_000;

/** Remembers the models of one pool that rest. */
export class RestingModels {
  readonly #accounts = new Map<string, Set<KeyAccount>>();
  readonly #onForgotten: (model: string) => void;

  /** `onForgotten` is told of a model that rests with no account any more. */
  constructor(onForgotten: (model: string) => void) {
    this.#onForgotten = onForgotten;
  }

  /** Tells whether a model rests with some account. */
  has(model: string): boolean {
    return this.#accounts.has(model);
  }

  /** Tells whether a model may rest on its own. */
  mayRest(model: string): boolean {
    return this.#accounts.has(model) || this.#accounts.size < MAX_RESTING_MODELS;
  }

  remember(account: KeyAccount, model: string, cycle: RestCycle): void {
    account.models.set(model, cycle);
    const accounts = this.#accounts.get(model) ?? new Set();
    this.#accounts.set(model, accounts.add(account));
  }

  /** Lets what is due happen to a model of an account. Returns when it is to be looked at again, where that is known. */
  wake(account: KeyAccount, model: string, now: number): number | undefined {
    const cycle = account.models.get(model);
    if (!cycle?.rest) return undefined;
    const wasResting = cycle.phase === 'resting';
    cycle.wake(now);
    if (cycle.phase !== 'half-open') return undefined;
    const forgetAt = cycle.rest.until + FORGET_MODEL_MS;
    if (wasResting) return forgetAt;
    if (cycle.free && forgetAt <= now) this.forget(account, model);
    return undefined;
  }

  /** Forgets a model of an account. */
  forget(account: KeyAccount, model: string): void {
    account.models.delete(model);
    const accounts = this.#accounts.get(model);
    accounts?.delete(account);
    if (accounts?.size !== 0) return;
    this.#accounts.delete(model);
    this.#onForgotten(model);
  }
}
