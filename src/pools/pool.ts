/**
 * The keys of one provider, handed out one call at a time. Owns what a lease and its outcome do to a key, its account
 * and its provider; who is next is lanes.ts's, who is in it roster.ts's.
 *
 * Nothing here waits or asks anyone. Every entry point first lets what is due happen, so that a rest is over when its
 * time has come even if no timer ran.
 */

import { AipassError } from '../base/errors.ts';
import { Lanes } from './lanes.ts';
import type { KeyLease, LeaseOutcome, LeaseRequest } from './lease.ts';
import { readWindows } from '../providers/limit-windows.ts';
import type { KeyAccount, KeyEntry, PoolKey } from './pool-key.ts';
import { poolExhausted, providerResting } from './pool-errors.ts';
import type { CheckVerdict, PoolParts } from './pool-parts.ts';
import { Rests } from './rests.ts';
import { Roster, type SavedPool } from './roster.ts';
import { nextTurn, orderOf, rejoinedTurn } from './strategy.ts';
import { judge, type Verdict } from './verdict.ts';

/** Is a lease under way. */
interface Held {
  readonly number: number;
  readonly key: PoolKey | null;
  readonly model: string | undefined;
  readonly startedAt: number;
  readonly quotaWindows: readonly number[];
}

/** Tells whether the provider said anything. */
function wasAnswered({ kind }: LeaseOutcome): boolean {
  return kind === 'succeeded' || kind === 'refused';
}

/** Is the pool of one provider. */
export class Pool {
  readonly parts: PoolParts;
  readonly roster: Roster;
  readonly rests: Rests;
  readonly #lanes: Lanes;
  #leases = 0;
  #turn = 0;
  #isExhausted = false;
  /** Changes whenever what a refusal says may have. */
  #version = 0;
  #refusal:
    | { readonly error: AipassError; readonly at: number; readonly model: string | undefined; readonly version: number }
    | undefined;

  constructor(parts: PoolParts, saved: SavedPool) {
    this.parts = parts;
    this.roster = new Roster(saved);
    this.#lanes = new Lanes(this.roster.slots, orderOf(parts.strategy));
    this.rests = new Rests(parts, this.roster, {
      newest: () => this.#leases,
      refresh: (key) => this.#refresh(key),
      refreshAccount: (account) => this.#refreshAccount(account),
      dropLane: (model) => {
        if (!this.roster.isListed(model)) this.#lanes.drop(model);
      },
    });
  }

  /** Makes the pool hold exactly these keys; a key that is gone while leased may still be settled. */
  sync(entries: readonly KeyEntry[]): void {
    const now = this.rests.advance();
    const added = this.roster.sync(entries, this.parts.strategy, now, this.parts.chance);
    for (const key of added) this.rests.enter(key, now);
    for (const key of this.roster.keys.values()) this.#rejoin(key);
    this.#lanes.rebuild();
    this.#version += 1;
    this.parts.onChange();
    this.parts.onFree();
  }

  /**
   * Leases the best free key.
   *
   * @throws AipassError NOT_FOUND without any key, POOL_EXHAUSTED where none is free, PROVIDER_UNAVAILABLE while the
   * breaker is open; the latter two with retryAfterMs where the first recovery is known.
   */
  lease(request: Omit<LeaseRequest, 'provider'> = {}): KeyLease {
    const now = this.rests.advance();
    const { model, exclude } = request;
    if (this.roster.keys.size === 0 && this.parts.needsKey) throw this.parts.whyNone();
    if (!this.rests.breaker.cycle.free) throw providerResting(this.parts.provider, this.rests.breaker.cycle, now);
    if (this.roster.keys.size === 0) return this.#take(null, model, now);
    const key = this.next(model, exclude);
    if (!key) throw this.#exhausted(model, now, exclude !== undefined && this.next(model) !== undefined);
    // A probe does not show yet that the pool serves again.
    if (key.cycle.phase === 'awake' && key.account.cycle.phase === 'awake') this.#isExhausted = false;
    return this.#take(key, model, now);
  }

  /** Returns the key that the next lease would get, or undefined. */
  next(model: string | undefined, exclude?: ReadonlySet<string>): PoolKey | undefined {
    const isNamed = model !== undefined && (this.roster.isListed(model) || this.rests.hasModel(model));
    return this.#lanes.best(model, isNamed, exclude);
  }

  /** Lets what is due happen and returns wall time. */
  advance(): number {
    return this.rests.advance();
  }

  /** Takes the verdict of a check of the key as it was at a revision; one that changed since is not judged by it. */
  checked(keyId: string, revision: string, verdict: CheckVerdict, status: number): void {
    this.rests.advance();
    const key = this.roster.keys.get(keyId);
    if (!key || key.revision !== revision) return;
    this.rests.judge(key, verdict, status);
    this.parts.onChange();
    this.parts.onFree();
  }

  /** Returns what has to outlive a restart. */
  save(): SavedPool {
    return this.roster.save(this.parts.clock.now());
  }

  /** Takes back every timer. */
  stop(): void {
    this.rests.stop();
  }

  #take(key: PoolKey | null, model: string | undefined, now: number): KeyLease {
    this.#leases += 1;
    const number = this.#leases;
    let quotaWindows: readonly number[] = [];
    const isProbe = this.rests.take(key, model, number, now);
    if (key) {
      this.#turn = key.turn;
      key.count(number, now);
      key.turn = nextTurn(this.parts.strategy, key, this.parts.chance);
      quotaWindows = key.account.takeCall(now);
      const isMetered = this.rests.meter(key.account, key.keyId, now);
      if (isProbe || isMetered) this.#refreshAccount(key.account);
      else this.#refresh(key);
      this.parts.onChange();
    }
    const held: Held = { number, key, model, startedAt: this.parts.clock.monotonic(), quotaWindows };
    let settled = false;
    return {
      provider: this.parts.provider,
      keyId: key?.keyId ?? null,
      value: key?.value ?? null,
      settle: (outcome) => {
        if (settled) return;
        settled = true;
        this.#settle(held, outcome);
      },
    };
  }

  #settle(held: Held, outcome: LeaseOutcome): void {
    const now = this.rests.advance();
    const { key, number, model } = held;
    const { provider } = this.parts;
    const verdict = judge(outcome, provider, model, now);
    this.rests.breaker.cycle.giveBack(number);
    if (verdict.kind === 'provider-failed') this.rests.providerFailed(number, now);
    else if (wasAnswered(outcome) && this.rests.breaker.answer()) this.rests.emitRestored(null);
    if (key) {
      if (outcome.kind === 'succeeded') {
        key.noteLatency(outcome.latencyMs ?? this.parts.clock.monotonic() - held.startedAt);
      }
      if ('headers' in outcome && outcome.headers) {
        for (const window of readWindows(provider, outcome.headers, now)) key.windows.set(window.name, window);
      }
      key.giveBack();
      key.cycle.giveBack(number);
      const { account } = key;
      const changes = [
        account.cycle.giveBack(number),
        model !== undefined && account.models.get(model)?.giveBack(number) === true,
      ];
      // What left the pool has no state any more: only its account has, where others are in it.
      if (account.keys.size > 0) this.#apply(held, key, verdict, outcome, now);
      changes.push(account.keys.size > 0 && this.rests.meter(account, key.keyId, now));
      if (changes.includes(true)) this.#refreshAccount(account);
      else this.#refresh(key);
    }
    this.parts.onChange();
    this.parts.onFree();
  }

  #apply(
    { number, model, quotaWindows }: Held,
    key: PoolKey,
    verdict: Verdict,
    outcome: LeaseOutcome,
    now: number,
  ): void {
    if (outcome.kind === 'succeeded') key.account.add(outcome.tokens, outcome.costUsd, now);
    switch (verdict.kind) {
      case 'served':
        this.rests.served(key, model, number);
        break;
      case 'limited':
        key.account.giveBackCall(quotaWindows, now);
        this.rests.rest(key, model, verdict.sentence, number, now);
        break;
      case 'rejected':
        key.account.giveBackCall(quotaWindows, now);
        this.rests.quarantine(key, verdict.status, now);
        break;
      case 'unblamed':
      case 'provider-failed':
        break;
    }
  }

  #refreshAccount(account: KeyAccount): void {
    for (const key of account.keys) this.#refresh(key);
  }

  /** Gives a key its place again, after its rank or whether it serves changed. */
  #refresh(key: PoolKey): void {
    if (key.removed) return;
    this.#version += 1;
    this.#rejoin(key);
    this.#lanes.update(key.slot);
  }

  #rejoin(key: PoolKey): void {
    const { serves } = key;
    if (serves && !key.served) {
      key.turn = rejoinedTurn(this.parts.strategy, key.turn, this.#turn, this.parts.chance);
    }
    key.served = serves;
  }

  /** Says that no key is free. Looking at every key takes its time, so a moment later the same is said again. */
  #exhausted(model: string | undefined, now: number, isForOthers: boolean): AipassError {
    const { provider, emit } = this.parts;
    const last = this.#refusal;
    const isSame = last?.version === this.#version && last.model === model && now >= last.at && now - last.at < 1000;
    const { error, at } = isSame
      ? last
      : { error: poolExhausted(provider, this.roster.keys.values(), model, now), at: now };
    if (!isSame) this.#refusal = { error, at, model, version: this.#version };
    const retryAfterMs = error.retryAfterMs && Math.max(1, error.retryAfterMs - (now - at));
    // Who tried a key already does not get it, which says nothing of the pool.
    if (!this.#isExhausted && !isForOthers) {
      this.#isExhausted = true;
      emit({ kind: 'pool-exhausted', provider, model: model ?? null, retryAfterMs: retryAfterMs ?? null });
    }
    return new AipassError(error.code, error.message, { hint: error.hint, retryAfterMs });
  }
}
