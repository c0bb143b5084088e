/**
 * One call of a pooled client: leases a key, calls the real client, says how it went, and goes to another key where the
 * error is the key's.
 *
 * A call blames a key only where its caller's rules, or the HTTP status of the error, say so.
 */

import { AipassError } from '../base/errors.ts';
import type { PoolLease, PoolLeaseParams, PoolSettleParams, ReportedOutcome } from '../protocol/pool.ts';
import { createDeferred } from './deferred.ts';
import { cancelled } from './failures.ts';
import { isAsyncIterable, watchIteration } from './watched-iteration.ts';

/** Is whatever the real client threw, with the fields that the errors of most clients have; nobody knows what is in them. */
export interface ThrownError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly status?: unknown;
  readonly statusCode?: unknown;
  readonly response?: unknown;
}

/** Says what the errors of the real client mean. A rule that stumbles over an error says nothing of it. */
export interface PooledOptions {
  /** Tells that the key met a limit: the call is repeated with another key. Without it, an error with status 429 or 402. */
  readonly isLimit?: (error: ThrownError) => boolean;
  /** Tells that the key is not accepted: the call is repeated with another key. Without it, status 401 or 403. */
  readonly isDead?: (error: ThrownError) => boolean;
  /** Returns how long the limit lasts, in milliseconds, where the error says so. */
  readonly retryAfterMs?: (error: ThrownError) => number | undefined;
  /** Is the model that the calls are for, where the keys of the pool have allow-lists. */
  readonly model?: string;
  /** Is how long a call waits where no key is free, in milliseconds. */
  readonly maxWaitMs?: number;
  /** Ends waiting for a key; a call of the real client under way is its own. */
  readonly signal?: AbortSignal;
}

/** Lends and takes back keys: the two operations that a pooled client needs. */
export interface KeyLender {
  readonly lease: (params: PoolLeaseParams) => Promise<PoolLease>;
  readonly settle: (params: PoolSettleParams) => Promise<unknown>;
}

/** Makes the real client for a key. */
export type ClientFactory<Client> = (key: string) => Client | Promise<Client>;

/** Is how many clients are kept; of more keys than that, the longest unused has its client built anew. */
const MAX_CLIENTS = 1000;

/** Is the longest time that a report tells of, in milliseconds: the daemon refuses more, and the key would stay leased. */
const MAX_REPORTED_MS = 86_400_000;

/** Makes the calls. */
export class PooledCaller {
  readonly #provider: string;
  readonly #factory: ClientFactory<object>;
  readonly #options: PooledOptions;
  readonly #lender: KeyLender;
  /** Holds clients by the value of their key, oldest use first: a key that is replaced gets a client of its own. */
  readonly #clients = new Map<string, Promise<object>>();

  constructor(provider: string, factory: ClientFactory<object>, options: PooledOptions, lender: KeyLender) {
    this.#provider = provider;
    this.#factory = factory;
    this.#options = options;
    this.#lender = lender;
  }

  /** Calls what stands at a path of the real client; a plain value there is the result. `before` names keys that were tried. */
  async call(path: readonly string[], args: readonly unknown[], before: readonly string[] = []): Promise<unknown> {
    const tried = [...before];
    let last: { readonly error: unknown } | undefined;
    for (;;) {
      const lease = await this.#lease(tried).catch((error: unknown) => {
        // Keys ran out for good while this call went from one to the next: the real client's error says more.
        throw last && error instanceof AipassError && error.retryAfterMs === undefined ? last.error : error;
      });
      tried.push(lease.keyId);
      const start = performance.now();
      try {
        const result = await run(await this.#clientOf(lease.key), path, args);
        const isWatched =
          isAsyncIterable(result) && this.#watch(result, lease, start, () => this.call(path, args, tried));
        if (!isWatched) this.#settle(lease, start, undefined);
        return result;
      } catch (error) {
        if (!isKeyTrouble(this.#settle(lease, start, { error }))) throw error;
        last = { error };
      }
    }
  }

  /** Leases a key; one that comes when nobody wants it any more is given back at once. */
  async #lease(exclude: readonly string[]): Promise<PoolLease> {
    const { model, maxWaitMs, signal } = this.#options;
    if (signal?.aborted) throw cancelled(signal);
    const leasing = this.#lender.lease({ provider: this.#provider, model, maxWaitMs, exclude: [...exclude] });
    if (!signal) return leasing;
    const { promise, reject } = createDeferred<never>();
    const onAbort = (): void => {
      reject(cancelled(signal));
      leasing.then(
        ({ leaseId }) => this.#lender.settle({ leaseId, outcome: 'failed' }).catch(() => {}),
        () => {},
      );
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([leasing, promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Holds the key of a result while it is read; one that fails before it gave anything is asked for again. */
  #watch(
    result: AsyncIterable<unknown> & object,
    lease: PoolLease,
    start: number,
    repeat: () => Promise<unknown>,
  ): boolean {
    return watchIteration(result, {
      onEnd: (failed) => this.#settle(lease, start, failed),
      onFailedStart: async (error) => {
        const again = isKeyTrouble(this.#judge(error)) ? await repeat() : undefined;
        return isAsyncIterable(again) ? again : undefined;
      },
    });
  }

  async #clientOf(key: string): Promise<object> {
    const known = this.#clients.get(key);
    const client = known ?? Promise.resolve(this.#factory(key));
    this.#clients.delete(key);
    this.#clients.set(key, client);
    const [oldest] = this.#clients.keys();
    if (this.#clients.size > MAX_CLIENTS && oldest !== undefined) this.#clients.delete(oldest);
    try {
      return await client;
    } catch (error) {
      // What could not be built is built again next time.
      if (this.#clients.get(key) === client) this.#clients.delete(key);
      throw error;
    }
  }

  /** Reports how a call went, without making its caller wait; returns what was reported. */
  #settle(lease: PoolLease, start: number, failed: { readonly error: unknown } | undefined): ReportedOutcome {
    const outcome = failed ? this.#judge(failed.error) : 'succeeded';
    const retryAfterMs = failed && outcome === 'limited' ? this.#waitOf(failed.error) : undefined;
    const report: PoolSettleParams = {
      leaseId: lease.leaseId,
      outcome,
      latencyMs: Math.min(MAX_REPORTED_MS, Math.max(0, performance.now() - start)),
      ...(failed ? { status: asked(statusOf, failed.error) } : {}),
      ...(retryAfterMs !== undefined && retryAfterMs > 0
        ? { retryAfterMs: Math.min(MAX_REPORTED_MS, retryAfterMs) }
        : {}),
    };
    // A daemon that is gone has taken the key back already.
    this.#lender.settle(report).catch(() => {});
    return outcome;
  }

  #judge(error: unknown): ReportedOutcome {
    const { isLimit, isDead } = this.#options;
    const status = asked(statusOf, error);
    if (isDead ? asked(isDead, error) === true : status === 401 || status === 403) return 'rejected';
    if (isLimit ? asked(isLimit, error) === true : status === 429 || status === 402) return 'limited';
    return status !== undefined && status >= 500 ? 'unavailable' : 'failed';
  }

  #waitOf(error: unknown): number | undefined {
    const { retryAfterMs } = this.#options;
    return retryAfterMs && asked(retryAfterMs, error);
  }
}

/** Asks a rule of the caller's; one that stumbles over an error says nothing of it, so that the error is told all the same. */
function asked<Answer>(rule: (error: ThrownError) => Answer, error: unknown): Answer | undefined {
  try {
    // The rule takes every field for unknown, and one that reads a field of null stumbles.
    return rule(error as ThrownError);
  } catch {
    return undefined;
  }
}

/** Tells whether another key may do better. */
function isKeyTrouble(outcome: ReportedOutcome): boolean {
  return outcome === 'limited' || outcome === 'rejected';
}

/** Walks a path of the real client and calls what is there, on the object that it belongs to. */
async function run(client: object, path: readonly string[], args: readonly unknown[]): Promise<unknown> {
  let owner: unknown = undefined;
  let value: unknown = client;
  for (const [step, name] of path.entries()) {
    if (value === null || value === undefined) {
      throw new TypeError(
        `the client has no "${path.slice(0, step + 1).join('.')}": "${path.slice(0, step).join('.')}" is ${String(value)}`,
      );
    }
    owner = value;
    value = Reflect.get(Object(value), name, value);
    if (value === undefined && !(name in Object(owner))) {
      throw new TypeError(`the client has no "${path.slice(0, step + 1).join('.')}"`);
    }
  }
  if (typeof value === 'function') return Reflect.apply(value, owner, args);
  if (args.length > 0) throw new TypeError(`"${path.join('.')}" of the client is no function`);
  return value;
}

/** Returns the HTTP status that errors of most clients carry. */
function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const fields: Readonly<Record<string, unknown>> = { ...error, status: Reflect.get(error, 'status') };
  const response: unknown = fields['response'];
  const inner: unknown =
    typeof response === 'object' && response !== null ? Reflect.get(response, 'status') : undefined;
  const status = [fields['status'], fields['statusCode'], inner].find((value) => Number.isInteger(value));
  return typeof status === 'number' && status >= 100 && status <= 999 ? status : undefined;
}
