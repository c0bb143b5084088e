/**
 * The pools of all providers: one each, made when it is first asked for, fed from the vault, saved
 * for the next run.
 */

import { AipassError } from '../base/errors.ts';
import type { PoolExplanation, PoolInfo, PoolStrategy } from '../protocol/pool.ts';
import { availabilityOf, BUSY_RETRY_MS, poolExhausted, type Availability } from './availability.ts';
import { LeaseQueue, isWorthWaiting } from './lease-queue.ts';
import type { KeyLease, LeaseRequest, LeaseWait } from './lease.ts';
import type { KeyEntry, PoolKey } from './pool-key.ts';
import { describePool, explainPool } from './pool-report.ts';
import { parseSavedPools, type SavedPool } from './pool-state.ts';
import { Pool, type CheckVerdict, type PoolDeps } from './pool.ts';
import type { BreakerCaller } from './provider-breaker.ts';

export interface PoolSettings {
  readonly strategy?: PoolStrategy | undefined;
  /** Time for which a call waits for a key where its caller names none, in milliseconds. */
  readonly maxWaitMs?: number | undefined;
  readonly needsKey: boolean;
}

export interface PoolsDeps extends Pick<PoolDeps, 'clock' | 'random' | 'emit' | 'onChange' | 'debug'> {
  /** Result of `save` in the last run, unchecked. */
  readonly saved: unknown;
  /**
   * Returns the settings of a provider's pool. Throws AipassError NOT_FOUND for an unknown
   * provider.
   */
  readonly settingsOf: (provider: string) => PoolSettings;
  /** Returns the active keys of a provider, in their order. */
  readonly keysOf: (provider: string) => readonly KeyEntry[];
  /** Returns the error for a provider without any key. */
  readonly whyNone: (provider: string) => AipassError;
}

/** States of a key that serves, though perhaps not one call more. */
const HEALTHY: ReadonlySet<string> = new Set(['ready', 'busy'] satisfies Availability['state'][]);

const NOTHING_SAVED: SavedPool = { keys: {}, accounts: {} };

export class Pools {
  readonly #deps: PoolsDeps;
  readonly #pools = new Map<
    string,
    { readonly pool: Pool; readonly queue: LeaseQueue; readonly settings: PoolSettings }
  >();
  readonly #checkListeners = new Set<(provider: string, keyId: string) => void>();
  #saved: ReadonlyMap<string, SavedPool> | undefined;

  constructor(deps: PoolsDeps) {
    this.#deps = deps;
  }

  /** Leases a key of a provider, as its pool does, which throws why there is none. */
  lease(request: LeaseRequest): KeyLease {
    return this.#of(request.provider).pool.lease(request);
  }

  /**
   * Leases a key, waiting for one if the caller has the time. Rejects as `lease` throws, and with
   * CANCELLED when the signal aborts.
   */
  async acquire(request: LeaseRequest, wait: LeaseWait = {}): Promise<KeyLease> {
    const { pool, queue, settings } = this.#of(request.provider);
    const maxWaitMs = Math.max(0, (wait.maxWaitMs ?? settings.maxWaitMs ?? 0) - (wait.spentMs ?? 0));
    try {
      // A caller that comes while others wait takes its turn with them.
      if (queue.size === 0 || maxWaitMs === 0) return pool.lease(request);
    } catch (error) {
      // Up to BUSY_RETRY_MS the error may only guess: a call in flight can end at any moment.
      const known = error instanceof AipassError ? (error.retryAfterMs ?? Number.POSITIVE_INFINITY) : 0;
      const isFutile = known > Math.max(maxWaitMs, BUSY_RETRY_MS);
      if (maxWaitMs === 0 || isFutile || !isWorthWaiting(error)) throw error;
    }
    const { model, caller, program } = request;
    const attempt = (): KeyLease => pool.lease({ ...request, exclude: undefined });
    return queue.wait({ model, caller, program, attempt }, maxWaitMs, wait.signal);
  }

  /**
   * Calls back when a key needs a check, whose verdict `checked` takes; the returned function ends
   * that.
   */
  onCheckNeeded(listener: (provider: string, keyId: string) => void): () => void {
    this.#checkListeners.add(listener);
    return () => this.#checkListeners.delete(listener);
  }

  /** Takes over what the vault holds now, in every pool. */
  keysChanged(): void {
    for (const [provider, { pool }] of this.#pools) pool.sync(this.#deps.keysOf(provider));
  }

  /** Describes the pool of a provider. Throws as `settingsOf` does. */
  describe(provider: string): PoolInfo {
    const { pool, queue } = this.#of(provider);
    return describePool(pool, queue.size);
  }

  /** Returns which key of a provider would serve next, and why each other one would not. */
  explain(provider: string, model?: string, who: BreakerCaller = {}): PoolExplanation {
    return explainPool(this.#of(provider).pool, model, who);
  }

  /**
   * Returns the first of some keys that may be used now, for any model. That is one that is ready
   * or busy, else one that is half-open. It is none that is cooling down or quarantined.
   */
  firstUsable<K extends { readonly keyId: string }>(provider: string, keys: readonly K[]): K | undefined {
    const { pool } = this.#of(provider);
    const now = pool.advance();
    const states = keys.map(({ keyId }) => {
      const key = pool.registry.keys.get(keyId);
      return key === undefined ? '' : availabilityOf(key, 'for-any', now).state;
    });
    const healthy = states.findIndex((state) => HEALTHY.has(state));
    return keys[healthy === -1 ? states.indexOf('half-open') : healthy];
  }

  /**
   * Returns a key as the pool holds it, or undefined for one that it does not use. `checked`
   * compares its revision; earlier traffic taught its windows.
   */
  keyOf(provider: string, keyId: string): Pick<PoolKey, 'revision' | 'quarantine' | 'windows'> | undefined {
    return this.#of(provider).pool.registry.keys.get(keyId);
  }

  /**
   * Returns the error for a provider of which no key can be used: there is none, or all are out.
   */
  whyNone(provider: string): AipassError {
    const { pool } = this.#of(provider);
    const keys = [...pool.registry.keys.values()];
    return keys.length === 0 ? pool.whyNone() : poolExhausted(provider, keys, { model: undefined }, pool.advance());
  }

  /**
   * Applies the verdict of a check of a key as it was at a revision; `status` is what the provider
   * answered, 0 for none.
   */
  checked(provider: string, keyId: string, revision: string, verdict: CheckVerdict, status: number): void {
    this.#of(provider).pool.checked(keyId, revision, verdict, status);
  }

  /** Returns the saved form of all pools, of providers that were not asked for in this run too. */
  save(): Readonly<Record<string, SavedPool>> {
    const used = [...this.#pools].map(([provider, { pool }]): [string, SavedPool] => [provider, pool.save()]);
    return Object.fromEntries([...this.#savedPools(), ...used]);
  }

  stop(): void {
    for (const { pool, queue } of this.#pools.values()) {
      pool.stop();
      queue.stop();
    }
  }

  #of(provider: string): { readonly pool: Pool; readonly queue: LeaseQueue; readonly settings: PoolSettings } {
    const known = this.#pools.get(provider);
    if (known) return known;
    const { clock, random, emit, onChange, debug, whyNone, settingsOf } = this.#deps;
    const settings = settingsOf(provider);
    const queue = new LeaseQueue(clock, () => pool.mayLease);
    const pool: Pool = new Pool(
      {
        provider,
        strategy: settings.strategy ?? 'least-used',
        // The configuration may change it.
        get needsKey() {
          return settingsOf(provider).needsKey;
        },
        clock,
        random,
        emit,
        onChange,
        debug,
        whyNone: () => whyNone(provider),
        onFree: () => queue.serve(),
        requestCheck: (keyId) => {
          for (const listener of this.#checkListeners) listener(provider, keyId);
        },
      },
      this.#savedPools().get(provider) ?? NOTHING_SAVED,
    );
    pool.sync(this.#deps.keysOf(provider));
    const made = { pool, queue, settings };
    this.#pools.set(provider, made);
    return made;
  }

  #savedPools(): ReadonlyMap<string, SavedPool> {
    this.#saved ??= parseSavedPools(this.#deps.saved);
    return this.#saved;
  }
}
