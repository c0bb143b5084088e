/**
 * Who is next for which model. All models that nobody named share one lane; a model that is in an allow-list, or that
 * rests with some account, has a lane of its own. Each lane is a tournament tree, so that picking costs O(log n).
 */

import type { PoolKey } from './pool-key.ts';
import type { Ranked } from './strategy.ts';
import { Tournament } from './tournament.ts';

/** Keeps the best key for every model. */
export class Lanes {
  readonly #compare: (a: Ranked, b: Ranked) => number;
  readonly #slots: readonly (PoolKey | undefined)[];
  readonly #general: Tournament;
  readonly #byModel = new Map<string, Tournament>();

  /** `slots` is the pool's own list, which changes under the lanes; `rebuild` and `update` say when. */
  constructor(slots: readonly (PoolKey | undefined)[], compare: (a: Ranked, b: Ranked) => number) {
    this.#slots = slots;
    this.#compare = compare;
    this.#general = this.#tournament(undefined);
  }

  /** Returns the best free key for a model that is not excluded, or undefined. `isNamed` tells whether the model is special. */
  best(model: string | undefined, isNamed: boolean, exclude?: ReadonlySet<string>): PoolKey | undefined {
    const lane = this.#lane(model, isNamed);
    const withdrawn: number[] = [];
    let key = this.#at(lane.best);
    while (key && exclude?.has(key.keyId)) {
      withdrawn.push(key.slot);
      lane.withdraw(key.slot);
      key = this.#at(lane.best);
    }
    for (const slot of withdrawn) lane.update(slot);
    return key;
  }

  /** Looks at one key again in every lane. O(log n) for each. */
  update(slot: number): void {
    this.#general.update(slot);
    for (const lane of this.#byModel.values()) lane.update(slot);
  }

  /** Looks at all keys again. O(n). */
  rebuild(): void {
    this.#byModel.clear();
    this.#general.rebuild(this.#slots.length);
  }

  /** Forgets the lane of a model that is not special any more. */
  drop(model: string): void {
    this.#byModel.delete(model);
  }

  #lane(model: string | undefined, isNamed: boolean): Tournament {
    if (model === undefined || !isNamed) return this.#general;
    let lane = this.#byModel.get(model);
    if (!lane) {
      lane = this.#tournament(model);
      lane.rebuild(this.#slots.length);
      this.#byModel.set(model, lane);
    }
    return lane;
  }

  #tournament(model: string | undefined): Tournament {
    return new Tournament(
      (a, b) => {
        const [left, right] = [this.#slots[a], this.#slots[b]];
        return left !== undefined && right !== undefined && this.#compare(left, right) < 0;
      },
      (slot) => this.#slots[slot]?.servesModel(model) === true,
    );
  }

  #at(slot: number | undefined): PoolKey | undefined {
    return slot === undefined ? undefined : this.#slots[slot];
  }
}
