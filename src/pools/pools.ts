/**
 * The pools of all providers: one each, made when it is first asked for, fed from the vault, saved for the next run.
 */

import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { PoolEvent, PoolExplanation, PoolInfo, PoolStrategy } from '../protocol/pool.ts';
import type { Chance } from './backoff.ts';
import { LeaseQueue, isWorthWaiting } from './lease-queue.ts';
import type { KeyLease, KeySource, LeaseRequest, LeaseWait } from './lease.ts';
import type { KeyEntry } from './pool-key.ts';
import { BUSY_RETRY_MS, poolExhausted } from './pool-errors.ts';
import type { CheckVerdict } from './pool-parts.ts';
import { describePool, explainPool } from './pool-report.ts';
import { parseSavedPools } from './pool-state.ts';
import { Pool } from './pool.ts';
import { recoveryOf } from './recovery.ts';
import type { SavedPool } from './roster.ts';

/** Is what configuration says of a provider's pool. */
export interface PoolSettings {
  readonly strategy?: PoolStrategy | undefined;
  /** Is how long a call waits for a key where its caller does not say. */
  readonly maxWaitMs?: number | undefined;
  readonly needsKey: boolean;
}

/** Is what the pools are given. */
export interface PoolsParts {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly emit: (event: PoolEvent) => void;
  /** Is told when `save` would return something else; may be called very often. */
  readonly onChange: () => void;
  /** Is what `save` returned in the last run, unchecked. */
  readonly saved: unknown;
  /** Returns the settings of a provider's pool. Throws AipassError NOT_FOUND for a provider that nobody knows. */
  readonly settingsOf: (provider: string) => PoolSettings;
  /** Returns the active keys of a provider, in their order. */
  readonly keysOf: (provider: string) => readonly KeyEntry[];
  /** Returns the error that says why a provider has no key at all. */
  readonly whyNone: (provider: string) => AipassError;
  /** Asks for a check of a key, whose verdict comes through `checked`; absent where nobody can. */
  readonly requestCheck?: (provider: string, keyId: string) => void;
}

const NOTHING_SAVED: SavedPool = { keys: {}, accounts: {} };

/** Hands out the keys of all providers. */
export class Pools implements KeySource {
  readonly #parts: PoolsParts;
  readonly #pools = new Map<
    string,
    { readonly pool: Pool; readonly queue: LeaseQueue; readonly settings: PoolSettings }
  >();
  #saved: ReadonlyMap<string, SavedPool> | undefined;

  constructor(parts: PoolsParts) {
    this.#parts = parts;
  }

  lease(request: LeaseRequest): KeyLease {
    return this.#of(request.provider).pool.lease(request);
  }

  async acquire(request: LeaseRequest, wait: LeaseWait = {}): Promise<KeyLease> {
    const { pool, queue, settings } = this.#of(request.provider);
    const maxWaitMs = Math.max(0, (wait.maxWaitMs ?? settings.maxWaitMs ?? 0) - (wait.spentMs ?? 0));
    try {
      // Who comes while others wait stands behind them.
      if (queue.size === 0 || maxWaitMs === 0) return pool.lease(request);
    } catch (error) {
      // Up to BUSY_RETRY_MS the error may only guess: a call in flight can end at any moment.
      const known = error instanceof AipassError ? (error.retryAfterMs ?? Number.POSITIVE_INFINITY) : 0;
      const isFutile = known > Math.max(maxWaitMs, BUSY_RETRY_MS);
      if (maxWaitMs === 0 || isFutile || !isWorthWaiting(error)) throw error;
    }
    const { model } = request;
    return queue.wait(model, () => pool.lease({ model }), maxWaitMs, wait.signal);
  }

  /** Takes over what the vault holds now, in every pool. */
  keysChanged(): void {
    for (const [provider, { pool }] of this.#pools) pool.sync(this.#parts.keysOf(provider));
  }

  /** Describes the pool of a provider. Throws as `settingsOf` does. */
  describe(provider: string): PoolInfo {
    const { pool, queue } = this.#of(provider);
    return describePool(pool, queue.size);
  }

  /** Says which key of a provider would serve next, and why each other one would not. */
  explain(provider: string, model?: string): PoolExplanation {
    return explainPool(this.#of(provider).pool, model);
  }

  /**
   * Returns the ids of the keys that may be used now, whatever they are used for: neither resting nor quarantined.
   * Those that the strategy prefers come first.
   */
  usable(provider: string): readonly string[] {
    const { pool } = this.#of(provider);
    const now = pool.advance();
    return [...pool.roster.keys.values()]
      .filter((key) => ['ready', 'busy', 'half-open'].includes(recoveryOf(key, 'for-any', now).state))
      .map((key) => key.keyId);
  }

  /** Returns what `checked` compares: the revision of a key as the pool holds it, or undefined for one that it does not use. */
  revisionOf(provider: string, keyId: string): string | undefined {
    return this.#of(provider).pool.roster.keys.get(keyId)?.revision;
  }

  /** Tells whether a key is out because its provider refused it. */
  isQuarantined(provider: string, keyId: string): boolean {
    return (this.#of(provider).pool.roster.keys.get(keyId)?.quarantine ?? null) !== null;
  }

  /** Returns the error that says why no key of a provider can be had: there is none, or all are out. */
  whyNone(provider: string): AipassError {
    const { pool } = this.#of(provider);
    const keys = [...pool.roster.keys.values()];
    return keys.length === 0 ? this.#parts.whyNone(provider) : poolExhausted(provider, keys, undefined, pool.advance());
  }

  /** Takes the verdict of a check of a key as it was at a revision; `status` is what the provider answered, 0 for none. */
  checked(provider: string, keyId: string, revision: string, verdict: CheckVerdict, status: number): void {
    this.#of(provider).pool.checked(keyId, revision, verdict, status);
  }

  /** Returns what has to outlive a restart, of providers that were not asked for in this run too. */
  save(): Readonly<Record<string, SavedPool>> {
    const used = [...this.#pools].map(([provider, { pool }]): [string, SavedPool] => [provider, pool.save()]);
    return Object.fromEntries([...this.#savedPools(), ...used]);
  }

  /** Ends every wait and takes back every timer. */
  stop(): void {
    for (const { pool, queue } of this.#pools.values()) {
      pool.stop();
      queue.stop();
    }
  }

  #of(provider: string): { readonly pool: Pool; readonly queue: LeaseQueue; readonly settings: PoolSettings } {
    const known = this.#pools.get(provider);
    if (known) return known;
    const settings = this.#parts.settingsOf(provider);
    const { clock, chance, emit, onChange, requestCheck, whyNone } = this.#parts;
    const queue = new LeaseQueue(clock);
    const pool = new Pool(
      {
        provider,
        strategy: settings.strategy ?? 'least-used',
        needsKey: settings.needsKey,
        clock,
        chance,
        emit,
        onChange,
        whyNone: () => whyNone(provider),
        onFree: () => queue.serve(),
        requestCheck: requestCheck && ((keyId) => requestCheck(provider, keyId)),
      },
      this.#savedPools().get(provider) ?? NOTHING_SAVED,
    );
    pool.sync(this.#parts.keysOf(provider));
    const made = { pool, queue, settings };
    this.#pools.set(provider, made);
    return made;
  }

  #savedPools(): ReadonlyMap<string, SavedPool> {
    this.#saved ??= parseSavedPools(this.#parts.saved);
    return this.#saved;
  }
}
