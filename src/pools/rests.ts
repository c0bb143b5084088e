/**
 * What rests in one pool: keys, accounts, models of an account, the provider. Owns who is put to rest by a verdict, what
 * happens when a rest is over, and who is told.
 */

import type { RestInfo } from '../protocol/pool.ts';
import { Agenda } from './agenda.ts';
import { Breaker } from './breaker.ts';
import type { KeyAccount, PoolKey } from './pool-key.ts';
import type { CheckVerdict, PoolParts } from './pool-parts.ts';
import { describeQuarantine, restInfo } from './recovery.ts';
import { RestCycle, type Rest } from './rest-cycle.ts';
import { FORGET_MODEL_MS, RestingModels } from './resting-models.ts';
import type { Roster } from './roster.ts';
import type { Sentence } from './verdict.ts';

/** Is how long a key whose rest ends with a check waits for it, in milliseconds. */
const CHECK_WAIT_MS = 60_000;

/**
 * Is how long a probe keeps all other calls away, in milliseconds: whoever holds it may never say how it went, and one
 * call a minute is no herd.
 */
const PROBE_LIMIT_MS = 60_000;

/** Is what rests, when its turn on the agenda comes. */
type Resting =
  | { readonly kind: 'key'; readonly key: PoolKey }
  | { readonly kind: 'account' | 'quota'; readonly account: KeyAccount }
  | { readonly kind: 'model'; readonly account: KeyAccount; readonly model: string }
  | { readonly kind: 'provider' };

/** Is what the pool does when a rest changed something. */
export interface RestOwner {
  /** Returns the number of the newest lease. */
  readonly newest: () => number;
  readonly refresh: (key: PoolKey) => void;
  readonly refreshAccount: (account: KeyAccount) => void;
  readonly dropLane: (model: string) => void;
}

/** Keeps the rests of one pool. */
export class Rests {
  readonly breaker = new Breaker();
  readonly #parts: PoolParts;
  readonly #roster: Roster;
  readonly #owner: RestOwner;
  readonly #agenda: Agenda<Resting>;
  readonly #models: RestingModels;

  constructor(parts: PoolParts, roster: Roster, owner: RestOwner) {
    this.#parts = parts;
    this.#roster = roster;
    this.#owner = owner;
    this.#models = new RestingModels(owner.dropLane);
    this.#agenda = new Agenda(parts.clock, {
      due: (resting, now) => this.#wake(resting, now),
      setBack: (ms) => this.#setBack(ms),
    });
  }

  /** Lets what is due happen and returns wall time. */
  advance(): number {
    return this.#agenda.advance();
  }

  /** Tells whether a model rests with some account. */
  hasModel(model: string): boolean {
    return this.#models.has(model);
  }

  /** Takes back every timer. */
  stop(): void {
    this.#agenda.stop();
  }

  /** Takes the verdict of a check. */
  judge(key: PoolKey, verdict: CheckVerdict, status: number): void {
    const now = this.#agenda.advance();
    if (verdict === 'invalid') this.quarantine(key, status, now);
    if (verdict === 'valid') {
      const wasOut = key.quarantine !== null || key.cycle.phase === 'half-open';
      key.quarantine = null;
      if (key.cycle.rest?.reason === 'no-credit') key.cycle.putOnProbation();
      else if (key.cycle.phase === 'half-open') key.cycle.clear();
      // A check proves the key; that its account has money again only a call does.
      if (key.account.cycle.rest?.reason === 'no-credit') key.account.cycle.putOnProbation();
      this.#owner.refreshAccount(key.account);
      if (wasOut && key.serves) this.emitRestored(key.keyId);
    }
  }

  /** Notes that a lease was taken, which may be a probe. Returns whether that changed what the account of its key serves. */
  take(key: PoolKey | null, model: string | undefined, number: number, now: number): boolean {
    const until = now + PROBE_LIMIT_MS;
    const probes = (cycle: RestCycle | undefined, resting: Resting): boolean => {
      if (cycle?.take(number, until) !== true) return false;
      this.#agenda.add(until, resting);
      return true;
    };
    probes(this.breaker.cycle, { kind: 'provider' });
    if (!key) return false;
    const { account } = key;
    probes(key.cycle, { kind: 'key', key });
    const shared = probes(account.cycle, { kind: 'account', account });
    return (model !== undefined && probes(account.models.get(model), { kind: 'model', account, model })) || shared;
  }

  /** Clears what a success of a lease clears. */
  served(key: PoolKey, model: string | undefined, number: number): void {
    const own = key.cycle.succeed(number);
    const shared = key.account.cycle.succeed(number);
    const resting = model === undefined ? undefined : key.account.models.get(model);
    const ofModel = resting?.succeed(number) ?? false;
    if (model !== undefined && resting?.phase === 'awake') this.#models.forget(key.account, model);
    if (!own && !shared && !ofModel) return;
    this.#owner.refreshAccount(key.account);
    this.emitRestored(key.keyId);
  }

  /** Puts to rest what a sentence names. */
  rest(key: PoolKey, model: string | undefined, sentence: Sentence, number: number, now: number): void {
    const { account } = key;
    const { chance } = this.#parts;
    let rest: Rest | null;
    // One model too many to remember must not put all others to rest.
    if (sentence.reason === 'no-access' && !this.#models.mayRest(model ?? '')) return;
    if (sentence.scope === 'account-model' && model !== undefined && this.#models.mayRest(model)) {
      const cycle = account.models.get(model) ?? new RestCycle();
      rest = cycle.strike(number, this.#owner.newest(), 'key-model', sentence, now, chance, model);
      this.#models.remember(account, model, cycle);
      if (rest) this.#agenda.add(rest.until, { kind: 'model', account, model });
    } else if (sentence.scope === 'key') {
      if (key.removed) return;
      rest = key.cycle.strike(number, this.#owner.newest(), 'key', sentence, now, chance);
      if (rest) this.#agenda.add(rest.until, { kind: 'key', key });
    } else {
      const scope = account.name === null ? 'key' : 'account';
      rest = account.cycle.strike(number, this.#owner.newest(), scope, sentence, now, chance);
      if (rest) this.#agenda.add(rest.until, { kind: 'account', account });
    }
    if (!rest) return;
    this.#owner.refreshAccount(account);
    this.#parts.emit({ kind: 'key-resting', provider: this.#parts.provider, keyId: key.keyId, rest: restInfo(rest) });
  }

  /** Takes a key out until its file changes or a check passes. */
  quarantine(key: PoolKey, status: number, now: number): void {
    if (key.quarantine !== null || key.removed) return;
    key.quarantine = { since: now, status, revision: key.revision };
    this.#owner.refresh(key);
    const reason = describeQuarantine(status);
    this.#parts.emit({ kind: 'key-quarantined', provider: this.#parts.provider, keyId: key.keyId, reason });
  }

  /** Counts a failure that no key is blamed for. */
  providerFailed(number: number, now: number): void {
    const rest = this.breaker.fail(number, this.#owner.newest(), now, this.#parts.chance);
    if (!rest) return;
    this.#agenda.add(rest.until, { kind: 'provider' });
    this.#parts.emit({ kind: 'key-resting', provider: this.#parts.provider, keyId: null, rest: restInfo(rest) });
  }

  /** Ends what is over. A rest that was lengthened has another entry on the agenda. */
  #wake(resting: Resting, now: number): void {
    switch (resting.kind) {
      case 'provider':
        this.breaker.cycle.wake(now);
        break;
      case 'key':
        this.#wakeCycle(resting.key.cycle, resting, [resting.key], now);
        break;
      case 'account':
        this.#wakeCycle(resting.account.cycle, resting, resting.account.keys, now);
        break;
      case 'model':
        this.#wakeModel(resting, now);
        break;
      case 'quota':
        this.meter(resting.account, null, now);
        break;
    }
    if (resting.kind === 'key') this.#owner.refresh(resting.key);
    else if (resting.kind !== 'provider') this.#owner.refreshAccount(resting.account);
    this.#parts.onFree();
  }

  #wakeModel(resting: Extract<Resting, { kind: 'model' }>, now: number): void {
    const nextAt = this.#models.wake(resting.account, resting.model, now);
    if (nextAt !== undefined) this.#agenda.add(nextAt, resting);
  }

  #wakeCycle(cycle: RestCycle, resting: Resting, keys: Iterable<PoolKey>, now: number): void {
    const { requestCheck } = this.#parts;
    const rest = cycle.rest;
    if (!requestCheck || !rest?.thenCheck || cycle.phase !== 'resting' || rest.until > now) {
      cycle.wake(now);
      return;
    }
    cycle.awaitCheck(now + CHECK_WAIT_MS);
    this.#agenda.add(now + CHECK_WAIT_MS, resting);
    for (const { keyId, quarantine } of keys) if (quarantine === null) requestCheck(keyId);
  }

  /** Looks at an account's quotas anew and tells of what changed. Returns whether something did. */
  meter(account: KeyAccount, keyId: string | null, now: number): boolean {
    if (!account.meter(now)) return false;
    const first = keyId ?? account.keys.values().next().value?.keyId ?? null;
    const until = account.spentUntil(now);
    if (until === null) this.emitRestored(first);
    else {
      this.#agenda.add(until, { kind: 'quota', account });
      const scope = account.name === null ? 'key' : 'account';
      const rest: RestInfo = { scope, reason: 'quota', source: 'quota', since: now, until, bound: until };
      this.#parts.emit({ kind: 'key-resting', provider: this.#parts.provider, keyId: first, rest });
    }
    return true;
  }

  /** Puts what a key brought along from the last run on the agenda. */
  enter(key: PoolKey, now: number): void {
    const { account } = key;
    if (key.cycle.rest) this.#agenda.add(key.cycle.rest.until, { kind: 'key', key });
    if (account.cycle.rest) this.#agenda.add(account.cycle.rest.until, { kind: 'account', account });
    for (const [model, cycle] of account.models) {
      this.#models.remember(account, model, cycle);
      const end = cycle.rest?.until ?? now;
      this.#agenda.add(cycle.phase === 'resting' ? end : end + FORGET_MODEL_MS, { kind: 'model', account, model });
    }
    const until = account.spentUntil(now);
    if (until !== null) this.#agenda.add(until, { kind: 'quota', account });
    account.meter(now);
  }

  /** Moves every rest, after the wall clock was set back: else a rest of minutes would last until the clock is there again. */
  #setBack(ms: number): void {
    this.breaker.cycle.shift(ms);
    for (const account of this.#roster.accounts.values()) account.shift(ms);
    const now = this.#parts.clock.now();
    for (const key of this.#roster.keys.values()) {
      key.shift(ms, now);
      this.#owner.refresh(key);
    }
  }

  /** Tells that a key, or with null the provider, serves again. */
  emitRestored(keyId: string | null): void {
    this.#parts.emit({ kind: 'key-restored', provider: this.#parts.provider, keyId });
  }
}
