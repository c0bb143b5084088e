/**
 * The circuit breakers of one provider: one for each model, one for its connection, one for the
 * provider as a whole. Failures here are those that no key is blamed for: 5xx, time limits, broken
 * connections.
 *
 * - A request counts once, however often it was tried.
 * - Five failed requests in a row for a model open that model, for 30 s; then one call is the
 *   probe.
 * - Five requests in a row that reach no connection open the provider.
 * - Two models that are open at once, with no answer between, open the provider.
 * - What one caller alone met is open for that caller alone: another caller's call goes through,
 *   and decides. A caller is a program of a user; only two users are several callers, because a
 *   program chooses its name.
 */

import type { Random } from '../base/backoff.ts';
import { BoundedMap } from '../base/bounded-map.ts';
import type { BreakerState, CooldownInfo, CooldownScope } from '../protocol/pool.ts';
import { CircuitBreaker, type Cooldown } from './circuit-breaker.ts';
import { modelKey } from './pool-key.ts';

/** Failed requests in a row that open a breaker. */
const BREAKER_FAILURES = 5;

/** Time for which it stays open before one call is the probe, in milliseconds. */
const BREAKER_COOLDOWN_MS = 30_000;

/** Number of models whose failures are remembered; callers choose their names. */
const MAX_MODELS = 256;

/** Length of a program's name that identifies it, in characters. */
const MAX_PROGRAM_NAME = 256;

/** Number of programs of one user whose failures are remembered. */
const MAX_PROGRAMS = 64;

/** Who asks: a program of a user. */
export interface BreakerCaller {
  readonly caller?: string | undefined;
  readonly program?: string | undefined;
}

/** A failure that no key is blamed for. */
export interface ProviderFailure {
  readonly lease: number;
  /** Newest lease handed out. */
  readonly newest: number;
  readonly model: string | undefined;
  readonly who: BreakerCaller;
  /** Identity of the request, where it may be tried more than once. */
  readonly call: object | undefined;
  /** True where no connection came about. */
  readonly isUnreachable: boolean;
}

/** A breaker with the failures in a row that lead to its opening. */
class Count {
  readonly breaker = new CircuitBreaker();
  /** User that alone met all failures, where there is one. */
  #user: string | undefined;
  readonly #programs = new BoundedMap<string, true>(MAX_PROGRAMS);
  #concernsAll = false;
  #failures = 0;
  #calls: WeakSet<object> | undefined;

  /** Returns whether it keeps a caller away now. */
  blocks(who: BreakerCaller): boolean {
    return !this.breaker.isFree && this.concerns(who);
  }

  /**
   * Returns whether what it counted holds for a caller: it met a failure itself, or several users
   * did.
   */
  concerns({ caller = '', program = '' }: BreakerCaller): boolean {
    return this.#concernsAll || (this.#user === caller && this.#programs.has(program.slice(0, MAX_PROGRAM_NAME)));
  }

  /** Counts a failed request. Returns whether that opens the breaker. */
  fail({ lease, call, who }: ProviderFailure): boolean {
    if (this.breaker.isStale(lease)) return false;
    if (call) {
      if (this.#calls?.has(call) === true) return false;
      this.#calls = (this.#calls ?? new WeakSet()).add(call);
    }
    this.#concern(who);
    if (this.breaker.state === 'open') return false;
    this.#failures += 1;
    return this.breaker.state === 'half-open' || this.#failures >= BREAKER_FAILURES;
  }

  /** Applies the count to a caller, and to everybody once a second user met failures. */
  #concern({ caller = '', program = '' }: BreakerCaller): void {
    if (this.#user !== undefined && this.#user !== caller) this.concernAll();
    this.#user = caller;
    this.#programs.set(program.slice(0, MAX_PROGRAM_NAME), true);
  }

  /** Applies the count to everybody. */
  concernAll(): void {
    this.#concernsAll = true;
  }

  /** Applies the count to the callers of another count, too. */
  concernAs(other: Count): void {
    if (other.#concernsAll) this.concernAll();
    for (const [program] of other.#programs) this.#concern({ caller: other.#user, program });
  }

  /** Forgets all failures. Returns whether the breaker was not closed. */
  reset(): boolean {
    const wasOpen = this.breaker.state !== 'closed';
    this.breaker.close();
    this.#user = undefined;
    this.#programs.clear();
    this.#concernsAll = false;
    this.#failures = 0;
    this.#calls = undefined;
    return wasOpen;
  }
}

export class ProviderBreaker {
  readonly #connection = new Count();
  readonly #whole = new Count();
  readonly #models = new BoundedMap<string, Count>(MAX_MODELS);
  /** Models that opened since the provider last answered for any model. */
  readonly #openedInARow = new Set<Count>();

  /** State of the provider as a whole. */
  get state(): BreakerState {
    const [connection, whole] = [this.#connection.breaker.state, this.#whole.breaker.state];
    if (connection === 'closed') return whole;
    return whole === 'open' ? 'open' : connection;
  }

  /**
   * True where nothing failed since the last answer: the usual case, in which there is nothing to
   * do.
   */
  get isQuiet(): boolean {
    return this.#models.size === 0 && this.state === 'closed';
  }

  /** Earliest time at which `wake` changes something. */
  get dueAt(): number {
    if (this.isQuiet) return Number.POSITIVE_INFINITY;
    return Math.min(...this.#all().map(({ breaker }) => breaker.dueAt));
  }

  /** Returns the breaker that keeps a call away, or undefined where it may start. */
  blocking(model: string | undefined, who: BreakerCaller): CircuitBreaker | undefined {
    if (this.isQuiet) return undefined;
    return [this.#connection, this.#whole, this.#models.get(modelKey(model))].find((count) => count?.blocks(who))
      ?.breaker;
  }

  /** Lists the cooldowns under way: of the provider, then of its models. */
  cooldowns(): readonly Cooldown[] {
    return this.#all().flatMap(({ breaker: { state, cooldown } }) => (state === 'open' && cooldown ? [cooldown] : []));
  }

  /** Registers a lease, which is the probe of each breaker that is half-open and concerns it. */
  take(lease: number, model: string | undefined, who: BreakerCaller, now: number): void {
    if (this.isQuiet) return;
    for (const count of [this.#connection, this.#whole, this.#models.get(modelKey(model))]) {
      if (count?.concerns(who) === true) count.breaker.take(lease, now);
    }
  }

  /** Registers that a lease was given back. */
  giveBack(lease: number): void {
    if (this.isQuiet) return;
    for (const { breaker } of this.#all()) breaker.giveBack(lease);
  }

  /** Counts a failure. Returns the cooldowns that it began. */
  fail(failure: ProviderFailure, now: number, random: Random): readonly CooldownInfo[] {
    const { lease, newest, model, isUnreachable, who } = failure;
    const open = (count: Count, scope: CooldownScope): CooldownInfo[] => {
      const cooldown = count.breaker.trip(
        lease,
        newest,
        {
          scope,
          reason: 'failing',
          source: 'default',
          cooldownMs: BREAKER_COOLDOWN_MS,
          boundMs: BREAKER_COOLDOWN_MS,
          thenCheck: false,
          ...(scope === 'provider-model' && model !== undefined ? { model: modelKey(model) } : {}),
        },
        now,
        random,
      );
      return cooldown ? [cooldown] : [];
    };
    if (isUnreachable) {
      // That no connection comes about is nobody's doing.
      this.#connection.concernAll();
      return this.#connection.fail(failure) ? open(this.#connection, 'provider') : [];
    }
    const ofModel = this.#models.get(modelKey(model)) ?? new Count();
    this.#models.set(modelKey(model), ofModel);
    const begun = ofModel.fail(failure) ? open(ofModel, 'provider-model') : [];
    if (begun.length > 0) this.#openedInARow.add(ofModel);
    const whole = this.#whole;
    if (whole.breaker.state === 'half-open' && whole.concerns(who)) {
      return whole.fail(failure) ? [...begun, ...open(whole, 'provider')] : begun;
    }
    if (whole.breaker.state !== 'closed' || begun.length === 0 || this.#openedInARow.size < 2) return begun;
    for (const count of this.#openedInARow) whole.concernAs(count);
    return [...begun, ...open(whole, 'provider')];
  }

  /**
   * Registers that the provider answered for a model, whatever the answer. Returns whether that
   * closed a breaker.
   */
  answer(model: string | undefined): boolean {
    if (this.isQuiet) {
      // Too few failures to open anything may have been counted.
      this.#connection.reset();
      return false;
    }
    const ofModel = this.#models.get(modelKey(model));
    this.#models.delete(modelKey(model));
    this.#openedInARow.clear();
    const closed = [this.#connection, this.#whole, ofModel].filter((count) => count?.reset());
    return closed.length > 0;
  }

  /** Half-opens what is due. Returns whether anything changed. */
  wake(now: number): boolean {
    return this.#all().filter(({ breaker }) => breaker.wake(now)).length > 0;
  }

  /** Moves its times, after the wall clock was set back. */
  shift(ms: number): void {
    for (const { breaker } of this.#all()) breaker.shift(ms);
  }

  #all(): readonly Count[] {
    return [this.#connection, this.#whole, ...[...this.#models].map(([, count]) => count)];
  }
}
