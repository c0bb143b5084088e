/**
 * The pool of one provider. Owns which key serves the next call, and what the outcome of a call
 * does to a key, its billing account and its provider.
 *
 * The next key is found by one scan over all keys, with the strategy as a comparison. `npm run
 * bench -- pools` has the figures for 10 to 10,000 keys, beside calls that take hundreds of
 * milliseconds. Nothing here waits or asks anyone. Every entry point first does what is due, so
 * that a cooldown is over when its time has come even if no timer ran.
 */

import type { Random } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { wakeAt } from '../base/timers.ts';
import { LIMIT_REASONS, type CooldownReason, type PoolEvent, type PoolStrategy } from '../protocol/pool.ts';
import type { FailureClass } from '../providers/classify-failure.ts';
import type { FailureReason } from '../providers/failure-table.ts';
import { readWindows } from '../providers/limit-windows.ts';
import {
  breakerOpen,
  cooldownInfo,
  describeQuarantine,
  poolExhausted,
  quotaCooldown,
  switchedOff,
} from './availability.ts';
import type { CircuitBreaker, Cooldown, Trip } from './circuit-breaker.ts';
import { KeyRegistry } from './key-registry.ts';
import type { KeyLease, LeaseOutcome, LeaseRequest } from './lease.ts';
import { MAX_MODEL_NAME, type BillingAccount, type KeyEntry, type PoolKey } from './pool-key.ts';
import type { SavedPool } from './pool-state.ts';
import { ProviderBreaker } from './provider-breaker.ts';
import { nextTurn, orderOf, rejoinedTurn } from './strategy.ts';

export type CheckVerdict = 'valid' | 'invalid' | 'unknown';

export interface PoolDeps {
  readonly provider: string;
  readonly strategy: PoolStrategy;
  /** True where calls need a key; a local provider may do without. Read at each use. */
  readonly needsKey: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: (event: PoolEvent) => void;
  /** Returns the error for a pool without any key. */
  readonly whyNone: () => AipassError;
  /** Called when something has to be saved. */
  readonly onChange: () => void;
  /** Called when a call may start that could not before. */
  readonly onFree: () => void;
  /** Takes what helps to find a defect: each lease and its end. */
  readonly debug?: ((message: string, fields: Readonly<Record<string, unknown>>) => void) | undefined;
  /** Asks for a check of a key before its next call; absent where nobody can check. */
  readonly requestCheck?: ((keyId: string) => void) | undefined;
}

/** Time for which a key whose cooldown ends with a check waits for it, in milliseconds. */
const CHECK_WAIT_MS = 60_000;

/**
 * Time that the wall clock may fall behind the monotonic one at once before it counts as set back,
 * in milliseconds.
 */
const SET_BACK_MS = 1000;

/** Time for which the error of an exhausted pool is not worked out anew, in milliseconds. */
const REFUSAL_AGE_MS = 1000;

interface Held {
  readonly number: number;
  readonly key: PoolKey | null;
  readonly request: Omit<LeaseRequest, 'provider'>;
  readonly startedAt: number;
  readonly quotaWindows: readonly number[];
}

export class Pool {
  readonly deps: PoolDeps;
  readonly registry: KeyRegistry;
  readonly breaker = new ProviderBreaker();
  readonly #order: ReturnType<typeof orderOf>;
  /** Accounts of which a model cools down. */
  readonly #withModels = new Set<BillingAccount>();
  #leases = 0;
  #turn = 0;
  #isExhausted = false;
  #isStopped = false;
  #last: { readonly wall: number; readonly monotonic: number };
  /** Earliest time at which a breaker or a quota is due; it may be too early, never too late. */
  #dueAt = Number.POSITIVE_INFINITY;
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;
  /** Changes whenever the error of an exhausted pool may. */
  #version = 0;
  #refusal:
    | { readonly error: AipassError; readonly at: number; readonly model: string | undefined; readonly version: number }
    | undefined;

  constructor(deps: PoolDeps, saved: SavedPool) {
    this.deps = deps;
    this.registry = new KeyRegistry(saved);
    this.#order = orderOf(deps.strategy);
    this.#last = { wall: deps.clock.now(), monotonic: deps.clock.monotonic() };
  }

  /**
   * Makes the pool hold exactly these keys; a key that is gone while leased may still be settled.
   */
  sync(entries: readonly KeyEntry[]): void {
    const now = this.advance();
    this.registry.sync(entries, this.deps.strategy, now, this.deps.random);
    // Keys bring cooldowns along from the last run.
    this.#runDue(now);
    this.#withModels.clear();
    this.#refreshAll();
    this.#changed();
    this.deps.onFree();
  }

  /**
   * Leases the best free key.
   *
   * @throws AipassError NOT_FOUND without any key. POOL_EXHAUSTED where none is free.
   * PROVIDER_UNAVAILABLE while a circuit breaker is open. The latter two have retryAfterMs where
   * the first recovery is known.
   */
  lease(request: Omit<LeaseRequest, 'provider'> = {}): KeyLease {
    const { provider } = this.deps;
    const now = this.advance();
    const { model, exclude } = request;
    const isKeyless = this.registry.keys.size === 0;
    if (isKeyless && this.deps.needsKey) throw this.whyNone();
    const blocking = this.breaker.blocking(model, request);
    if (blocking) throw breakerOpen(provider, blocking, now);
    if (isKeyless) return this.#take(null, request, now);
    const key = this.next(request);
    if (!key)
      throw this.#exhausted(
        request,
        now,
        exclude !== undefined && this.next({ ...request, exclude: undefined }) !== undefined,
      );
    // A probe does not show yet that the pool serves again.
    if (key.breaker.state === 'closed' && key.billingAccount.breaker.state === 'closed') this.#isExhausted = false;
    return this.#take(key, request, now);
  }

  /** Returns the key that the next lease would get, or undefined: one scan over all keys. */
  next({ model, models, exclude }: Omit<LeaseRequest, 'provider'> = {}): PoolKey | undefined {
    const now = this.#last.wall;
    const order = this.#order;
    const isPlain = exclude === undefined && models === undefined && this.#withModels.size === 0;
    let best: PoolKey | undefined;
    let isBestDemoted = false;
    for (const key of this.registry.list) {
      if (!key.isFree || (key.models !== null && !key.allows(model))) continue;
      if (!isPlain && (exclude?.has(key.keyId) === true || !isFreeFor(key, model, models))) continue;
      const isDemoted = key.hasDemotions && key.isDemoted(model, now);
      if (best && (isDemoted === isBestDemoted ? order(key, best) >= 0 : isDemoted)) continue;
      best = key;
      isBestDemoted = isDemoted;
    }
    return best;
  }

  /** Whether any request could get a lease now, as far as the keys alone decide. */
  get mayLease(): boolean {
    this.advance();
    const { keys, list } = this.registry;
    return keys.size === 0 || list.some((key) => key.isFree);
  }

  /** Returns the error for a pool without any key that may be used. */
  whyNone(): AipassError {
    const { provider, whyNone } = this.deps;
    const { unused } = this.registry;
    const reason = unused.find(({ kind }) => kind === 'foreign') ?? unused.find(({ kind }) => kind === 'off');
    if (reason?.kind === 'off') return switchedOff(reason.entry.keyId);
    if (reason?.kind !== 'foreign') return whyNone();
    const { entry, owner } = reason;
    return new AipassError(
      'NOT_FOUND',
      `no key of ${provider} can be used: ${entry.keyId} has the format of a key of ${owner}`,
      {
        hint: `move it to the variable of ${owner}, and put a key of ${provider} in its place`,
      },
    );
  }

  /** Does what is due and returns wall time. */
  advance(): number {
    const wall = this.deps.clock.now();
    const monotonic = this.deps.clock.monotonic();
    const gained = wall - this.#last.wall - (monotonic - this.#last.monotonic);
    this.#last = { wall, monotonic };
    if (gained < -SET_BACK_MS) this.#setBack(gained, wall);
    if (this.#dueAt <= wall) this.#runDue(wall);
    return wall;
  }

  /**
   * Applies the verdict of a check of the key at a revision. It does not apply to a key that
   * changed since.
   */
  checked(keyId: string, revision: string, verdict: CheckVerdict, status: number): void {
    const now = this.advance();
    const key = this.registry.keys.get(keyId);
    if (!key || key.revision !== revision) return;
    if (verdict === 'invalid') this.#quarantine(key, status, now);
    if (verdict === 'valid') this.#proved(key);
    this.#refresh(key.billingAccount);
    this.#changed();
    this.deps.onFree();
  }

  save(): SavedPool {
    return this.registry.save(this.deps.clock.now());
  }

  /** Cancels the timer; nothing happens by itself any more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #take(key: PoolKey | null, request: Held['request'], now: number): KeyLease {
    const { provider, strategy, random, clock } = this.deps;
    const { model } = request;
    this.#leases += 1;
    const number = this.#leases;
    this.deps.debug?.('leased a key', { provider, keyId: key?.keyId ?? null, model, lease: number });
    this.breaker.take(number, model, request, now);
    let quotaWindows: readonly number[] = [];
    if (key) {
      const account = key.billingAccount;
      for (const breaker of breakersOf(key, model)) {
        breaker.take(number, now);
        this.#due(breaker.dueAt);
      }
      this.#turn = key.turn;
      key.count(number, now);
      key.turn = nextTurn(strategy, key, random);
      quotaWindows = account.takeCall(now);
      this.#meter(account, key.keyId, now);
      this.#refresh(account);
      this.#changed();
    }
    this.#due(this.breaker.dueAt);
    const held: Held = { number, key, request, startedAt: clock.monotonic(), quotaWindows };
    let isSettled = false;
    return {
      provider,
      keyId: key?.keyId ?? null,
      value: key?.value ?? null,
      baseUrl: key?.baseUrl ?? null,
      settle: (outcome) => {
        if (isSettled) return;
        isSettled = true;
        this.#settle(held, outcome);
      },
    };
  }

  #settle(held: Held, outcome: LeaseOutcome): void {
    const { provider, clock } = this.deps;
    const now = this.advance();
    const { key, number, request } = held;
    this.deps.debug?.('a lease ended', { provider, keyId: key?.keyId ?? null, lease: number, outcome: outcome.kind });
    this.breaker.giveBack(number);
    this.#settleProvider(held, outcome, now);
    if (key) {
      if (outcome.kind === 'succeeded') {
        key.noteLatency(outcome.latencyMs ?? clock.monotonic() - held.startedAt);
      }
      if (outcome.kind !== 'cancelled' && outcome.headers) {
        for (const window of readWindows(provider, outcome.headers, now)) key.windows.set(window.name, window);
      }
      key.giveBack();
      for (const breaker of breakersOf(key, request.model)) breaker.giveBack(number);
      // A key that left the pool has no state any more: only its account has, where others are in
      // it.
      if (key.billingAccount.keys.size > 0) {
        this.#settleKey(held, key, outcome, now);
        this.#meter(key.billingAccount, key.keyId, now);
      }
      this.#refresh(key.billingAccount);
    }
    this.#changed();
    this.deps.onFree();
  }

  #settleProvider({ number, request }: Held, outcome: LeaseOutcome, now: number): void {
    const { provider, random, emit } = this.deps;
    const { model, call } = request;
    if (outcome.kind === 'cancelled') return;
    if (outcome.kind === 'failed' && outcome.failure.blame === 'provider') {
      const isUnreachable = outcome.failure.reason === 'unreachable';
      const failure = { lease: number, newest: this.#leases, model, who: request, call, isUnreachable };
      for (const cooldown of this.breaker.fail(failure, now, random)) {
        this.#due(cooldown.until);
        emit({ kind: 'key-cooling-down', provider, keyId: null, cooldown });
      }
      return;
    }
    const isAnswered = outcome.kind === 'succeeded' || outcome.failure.status !== null;
    if (isAnswered && this.breaker.answer(model)) this.#emitRestored(null);
  }

  #settleKey(
    { number, request: { model }, quotaWindows }: Held,
    key: PoolKey,
    outcome: LeaseOutcome,
    now: number,
  ): void {
    if (outcome.kind === 'cancelled') return;
    if (outcome.kind === 'succeeded') {
      key.billingAccount.add(outcome.tokens, outcome.costUsd, now);
      this.#served(key, model, number);
      return;
    }
    const { failure } = outcome;
    if (failure.blame === 'request') {
      if (failure.reason === 'unexplained') key.demote(model, now);
    } else if (failure.blame !== 'provider') {
      key.billingAccount.giveBackCall(quotaWindows, now);
      if (failure.reason === 'invalid-key' || failure.reason === 'unsendable-key') {
        this.#quarantine(key, failure.status ?? 0, now);
      } else this.#coolDown(key, model, failure, number, now);
    }
    if (failure.check === 'now' && key.mayCheck(this.#last.monotonic)) this.deps.requestCheck?.(key.keyId);
  }

  /** Applies a success: ends the demotion for the model, and closes breakers. */
  #served(key: PoolKey, model: string | undefined, number: number): void {
    key.promote(model);
    const restored = breakersOf(key, model).filter((breaker) => breaker.succeed(number));
    if (model !== undefined && key.billingAccount.models.get(model)?.state === 'closed')
      key.billingAccount.models.delete(model);
    if (restored.length > 0) this.#emitRestored(key.keyId);
  }

  /** Begins the cooldown that a failure asks for. */
  #coolDown(key: PoolKey, model: string | undefined, failure: FailureClass, number: number, now: number): void {
    const { provider, random, emit } = this.deps;
    const account = key.billingAccount;
    const shared = account.name === null ? 'key' : 'billing-account';
    const trip = (breaker: CircuitBreaker | undefined, scope: Trip['scope']): Cooldown | null =>
      breaker?.trip(number, this.#leases, tripOf(failure, scope, model), now, random) ?? null;
    let cooldown: Cooldown | null;
    if (failure.blame === 'model' && model !== undefined) cooldown = trip(account.breakerOf(model), 'key-model');
    else if (failure.reason === 'no-access') return;
    else if (failure.blame !== 'key') cooldown = trip(account.breaker, shared);
    else cooldown = key.isRemoved ? null : trip(key.breaker, 'key');
    if (!cooldown) return;
    this.#due(cooldown.until);
    emit({ kind: 'key-cooling-down', provider, keyId: key.keyId, cooldown: cooldownInfo(cooldown) });
  }

  /** Takes a key out until its file changes or a check passes. */
  #quarantine(key: PoolKey, status: number, now: number): void {
    if (key.quarantine !== null || key.isRemoved) return;
    key.quarantine = { since: now, status, revision: key.revision };
    const { provider, emit } = this.deps;
    emit({ kind: 'key-quarantined', provider, keyId: key.keyId, reason: describeQuarantine(status) });
  }

  /** Registers that a check proved a key. That its account has money again only a call proves. */
  #proved(key: PoolKey): void {
    const { breaker, billingAccount: account } = key;
    const wasOut = key.quarantine !== null || breaker.state === 'half-open';
    key.quarantine = null;
    if (breaker.cooldown && needsCheck(breaker.cooldown.reason)) breaker.halfOpen();
    else if (breaker.state === 'half-open') breaker.close();
    if (account.breaker.cooldown && needsCheck(account.breaker.cooldown.reason)) account.breaker.halfOpen();
    if (wasOut && key.canStart()) this.#emitRestored(key.keyId);
  }

  /** Does what is due by now, in one pass, and finds the next time at which something is. */
  #runDue(now: number): void {
    let dueAt = Number.POSITIVE_INFINITY;
    let isChanged = this.breaker.wake(now);
    for (const key of this.registry.keys.values()) {
      isChanged = this.#wake(key.breaker, [key], now) || isChanged;
      dueAt = Math.min(dueAt, key.breaker.dueAt);
    }
    for (const account of this.registry.accounts.values()) {
      isChanged = this.#wake(account.breaker, account.keys, now) || isChanged;
      isChanged = account.wake(now) || isChanged;
      isChanged = this.#meter(account, null, now) || isChanged;
      dueAt = Math.min(dueAt, account.dueAt, account.isSpent ? (account.spentUntil(now) ?? dueAt) : dueAt);
    }
    this.#dueAt = Math.min(dueAt, this.breaker.dueAt);
    this.#arm();
    if (!isChanged) return;
    this.#refreshAll();
    this.#version += 1;
    this.deps.onFree();
  }

  #refreshAll(): void {
    for (const account of this.registry.accounts.values()) this.#refresh(account);
  }

  /** Sets anew what the scan reads, after something of an account or of its keys changed. */
  #refresh(account: BillingAccount): void {
    const { strategy, random } = this.deps;
    if (account.models.size > 0) this.#withModels.add(account);
    else this.#withModels.delete(account);
    for (const key of account.keys) {
      const isFree = key.canStart();
      if (isFree && !key.isFree) key.turn = rejoinedTurn(strategy, key.turn, this.#turn, random);
      key.isFree = isFree;
    }
  }

  /**
   * Ends a cooldown that is over, or has its keys checked first. Returns whether anything changed.
   */
  #wake(breaker: CircuitBreaker, keys: Iterable<PoolKey>, now: number): boolean {
    const { requestCheck } = this.deps;
    if (breaker.dueAt > now) return false;
    if (!requestCheck || breaker.state !== 'open' || breaker.cooldown?.thenCheck !== true) return breaker.wake(now);
    breaker.awaitCheck(now + CHECK_WAIT_MS);
    for (const { keyId, quarantine } of keys) if (quarantine === null) requestCheck(keyId);
    return true;
  }

  /** Reads an account's quotas again and reports a change. Returns whether there was one. */
  #meter(account: BillingAccount, keyId: string | null, now: number): boolean {
    if (!account.meter(now)) return false;
    const { provider, emit } = this.deps;
    const first = keyId ?? account.keys.values().next().value?.keyId ?? null;
    const until = account.spentUntil(now);
    if (until === null) this.#emitRestored(first);
    else {
      this.#due(until);
      emit({ kind: 'key-cooling-down', provider, keyId: first, cooldown: quotaCooldown(account.name, now, until) });
    }
    return true;
  }

  /**
   * Moves all times after the wall clock was set back: else a cooldown of minutes would last until
   * the clock is there again.
   */
  #setBack(ms: number, now: number): void {
    this.breaker.shift(ms);
    for (const account of this.registry.accounts.values()) account.shift(ms);
    for (const key of this.registry.keys.values()) key.shift(ms, now);
    this.#refreshAll();
    this.#version += 1;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#runDue(now);
  }

  /** Registers that something is due at a wall time. */
  #due(at: number): void {
    if (at >= this.#dueAt) return;
    this.#dueAt = at;
    this.#arm();
  }

  #arm(): void {
    const at = this.#dueAt;
    if (this.#timer && (this.#timer.at === at || this.#isStopped)) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#isStopped || !Number.isFinite(at)) return;
    const cancel = wakeAt(this.deps.clock, at, () => {
      this.#timer = undefined;
      this.advance();
    });
    this.#timer = { at, cancel };
  }

  #changed(): void {
    this.#version += 1;
    this.deps.onChange();
  }

  /** Reports that a key, or with null the provider, serves again. */
  #emitRestored(keyId: string | null): void {
    this.deps.emit({ kind: 'key-restored', provider: this.deps.provider, keyId });
  }

  /**
   * Returns the error for a pool without a free key. Describing all keys takes its time, so it is
   * kept for a moment.
   */
  #exhausted({ model, models }: Held['request'], now: number, isForOthers: boolean): AipassError {
    const { provider, emit } = this.deps;
    const last = this.#refusal;
    const isSame =
      last?.version === this.#version &&
      last.model === model &&
      models === undefined &&
      now >= last.at &&
      now - last.at < REFUSAL_AGE_MS;
    const { error, at } = isSame
      ? last
      : { error: poolExhausted(provider, this.registry.keys.values(), { model, models }, now), at: now };
    if (!isSame && models === undefined) this.#refusal = { error, at, model, version: this.#version };
    const retryAfterMs = error.retryAfterMs && Math.max(1, error.retryAfterMs - (now - at));
    // A caller that tried a key already does not get it, which does not concern the pool.
    if (!this.#isExhausted && !isForOthers) {
      this.#isExhausted = true;
      emit({
        kind: 'pool-exhausted',
        provider,
        model: model?.slice(0, MAX_MODEL_NAME) ?? null,
        retryAfterMs: retryAfterMs ?? null,
      });
    }
    return new AipassError(error.code, error.message, { hint: error.hint, retryAfterMs });
  }
}

function isFreeFor(key: PoolKey, model: string | undefined, models: readonly string[] | undefined): boolean {
  if (models !== undefined && !models.every((one) => key.allows(one))) return false;
  return model === undefined || key.billingAccount.models.get(model)?.isFree !== false;
}

function breakersOf(
  { breaker, billingAccount: account }: PoolKey,
  model: string | undefined,
): readonly CircuitBreaker[] {
  const ofModel = model === undefined ? undefined : account.models.get(model);
  return ofModel ? [breaker, account.breaker, ofModel] : [breaker, account.breaker];
}

function needsCheck(reason: CooldownReason): boolean {
  return reason === 'no-credit' || reason === 'billing-account-blocked';
}

/** Reasons of a failure that are reasons of a cooldown too. */
const SHARED_REASONS = new Map<FailureReason, CooldownReason>(LIMIT_REASONS.map((reason) => [reason, reason]));

function tripOf(failure: FailureClass, scope: Trip['scope'], model: string | undefined): Trip {
  return {
    scope,
    reason: SHARED_REASONS.get(failure.reason) ?? 'rate-limit',
    source: failure.source,
    cooldownMs: failure.cooldownMs,
    boundMs: failure.boundMs,
    model: scope === 'key-model' ? model : undefined,
    thenCheck: failure.check === 'after-cooldown',
  };
}
