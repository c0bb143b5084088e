/**
 * One call of a pooled client. Leases a key, calls the real client, reports the outcome, and goes
 * to another key where the failure is the key's.
 *
 * A key is blamed only where its caller's rules, or the answer of the provider, blame it. What the
 * provider sent about its limits goes along with each report, so that the cooldown is as long as
 * the provider asks for.
 */

import { BoundedMap } from '../base/bounded-map.ts';
import { AipassError } from '../base/errors.ts';
import { readField } from '../base/json.ts';
import type { PoolLease, PoolLeaseParams, PoolSettleParams, ReportedOutcome } from '../protocol/pool.ts';
import { errorBodyOf, hasMethods, reportedLimitHeaders, retryAfterOf, statusOf } from './answer-fields.ts';
import { cancelled } from './failures.ts';
import { PooledResult } from './pooled-result.ts';
import { isAsyncIterable, watchEventStream, watchIteration } from './watched-iteration.ts';

/** Value that the real client threw, with the fields of most clients' errors, unverified. */
export interface ThrownError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly status?: unknown;
  readonly statusCode?: unknown;
  readonly headers?: unknown;
  readonly response?: unknown;
}

/** Meaning of the real client's errors and results. A rule that throws gives no answer. */
export interface PooledOptions {
  /**
   * Returns whether the key met a limit: the call is repeated with another key. It is asked first.
   * Without it: status 429 or 402, and a 403 with `x-ratelimit-remaining: 0` or `retry-after`.
   */
  readonly isLimit?: (error: ThrownError) => boolean | Promise<boolean>;
  /** Returns whether the key is refused: another one is tried. Default: status 401 or 403. */
  readonly isDead?: (error: ThrownError) => boolean | Promise<boolean>;
  /**
   * Returns whether a result, though nothing was thrown, means that the key met a limit. Without
   * it, a fetch `Response` is judged by its status, as an error would be.
   */
  readonly isLimitResult?: (result: unknown) => boolean | Promise<boolean>;
  /** Returns how long the limit lasts, in milliseconds. Default: by the headers and the body. */
  readonly retryAfterMs?: (error: ThrownError) => number | undefined;
  /** Model that the calls are for, where the keys of the pool have allow-lists. */
  readonly model?: string;
  /** Maximum wait for a key where none is free, in milliseconds. */
  readonly maxWaitMs?: number;
  /** Ends waiting for a key; a call of the real client under way is not ended. */
  readonly signal?: AbortSignal;
}

/** Leases and settles keys: the two operations that a pooled client needs. */
export interface KeyLender {
  readonly lease: (params: PoolLeaseParams) => Promise<PoolLease>;
  readonly settle: (params: PoolSettleParams) => Promise<unknown>;
}

/** Makes the real client for a key. */
export type ClientFactory<Client> = (key: string) => Client | Promise<Client>;

/** Path of a property of the real client, from the client itself. */
export type PropertyPath = readonly string[];

/** Maximum number of clients that are kept; the longest unused is built anew. */
const MAX_CLIENTS = 1000;

/** Maximum time in a report, in milliseconds: the daemon rejects a longer one. */
const MAX_REPORTED_MS = 86_400_000;

/** End of a call, before it is reported. */
type CallEnd =
  { readonly kind: 'returned'; readonly value: unknown } | { readonly kind: 'threw'; readonly error: unknown };

/** Makes the calls of one pooled client. */
export class PooledCaller {
  readonly #provider: string;
  readonly #factory: ClientFactory<object>;
  readonly #options: PooledOptions;
  readonly #lender: KeyLender;
  readonly #pathOf: (value: unknown) => PropertyPath | undefined;
  readonly #derive: (factory: ClientFactory<object>) => unknown;
  /** Clients by the value of their key: a key that is replaced gets a client of its own. */
  readonly #clients = new BoundedMap<string, Promise<object>>(MAX_CLIENTS);

  /**
   * `pathOf` recognizes properties of this very pooled client among the arguments of a call;
   * `derive` makes a pooled client of the same provider.
   */
  constructor(
    provider: string,
    factory: ClientFactory<object>,
    options: PooledOptions,
    lender: KeyLender,
    pathOf: (value: unknown) => PropertyPath | undefined,
    derive: (factory: ClientFactory<object>) => unknown,
  ) {
    this.#provider = provider;
    this.#factory = factory;
    this.#options = options;
    this.#lender = lender;
    this.#pathOf = pathOf;
    this.#derive = derive;
  }

  /** Calls what stands at a path of the real client; a plain value there is the result. */
  call(path: PropertyPath, args: readonly unknown[]): PooledResult {
    const result = new PooledResult();
    void this.#run(path, args, result, []);
    return result;
  }

  /** Makes attempts until one succeeds, or fails for another reason than its key. Never rejects. */
  async #run(
    path: PropertyPath,
    args: readonly unknown[],
    result: PooledResult,
    before: readonly string[],
  ): Promise<void> {
    const tried = [...before];
    let last: { readonly end: CallEnd; readonly values: Values } | undefined;
    try {
      for (;;) {
        const lease = await this.#lease(tried).catch((error: unknown) => {
          if (last === undefined) throw error;
          if (last.end.kind === 'threw') throw noOtherKey(error, last.end.error);
          return undefined;
        });
        // The answer of the last key is all there is.
        if (lease === undefined) break;
        tried.push(lease.keyId);
        const start = performance.now();
        last = await this.#attempt(lease, path, args, result);
        const { end, values } = last;
        const outcome = await this.#judge(end);
        if (outcome === 'succeeded') {
          result.succeed(this.#watch(values, { lease, start, path, args, tried }));
          return;
        }
        const settled = this.#settle(lease, start, end, outcome);
        if (isKeyTrouble(outcome) || (outcome === 'failed' && (await this.#isRefused(end, settled)))) continue;
        if (end.kind === 'threw') throw end.error;
        break;
      }
      result.succeed(last?.values ?? new Map());
    } catch (error) {
      result.fail(error);
    }
  }

  async #attempt(
    lease: PoolLease,
    path: PropertyPath,
    args: readonly unknown[],
    result: PooledResult,
  ): Promise<{ readonly end: CallEnd; readonly values: Values }> {
    try {
      const client = await this.#clientOf(lease.key);
      const values = new Map(await result.attempt(this.#invoke(client, path, args)));
      for (const [one, value] of values) {
        if (!isSibling(client, value)) continue;
        const derived = async (key: string) => Object(await this.#invoke(await this.#clientOf(key), path, args));
        values.set(one, this.#derive(derived));
      }
      const [value] = values.values();
      return { end: { kind: 'returned', value }, values };
    } catch (error) {
      return { end: { kind: 'threw', error }, values: new Map() };
    }
  }

  /** Leases a key; one that comes when nobody wants it any more is given back at once. */
  async #lease(exclude: readonly string[]): Promise<PoolLease> {
    const { model, maxWaitMs, signal } = this.#options;
    if (signal?.aborted) throw cancelled(signal);
    const leasing = this.#lender.lease({ provider: this.#provider, model, maxWaitMs, exclude: [...exclude] });
    if (!signal) return leasing;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        reject(cancelled(signal));
        leasing.then(
          ({ leaseId }) => this.#lender.settle({ leaseId, outcome: 'failed' }).catch(() => {}),
          () => {},
        );
      };
      signal.addEventListener('abort', onAbort, { once: true });
      leasing.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  /** Calls what stands at a path. Pooled properties among the arguments become real ones. */
  #invoke(client: object, path: PropertyPath, args: readonly unknown[]): unknown {
    const { owner, value } = walk(client, path);
    if (typeof value === 'function')
      return Reflect.apply(
        value,
        owner,
        args.map((arg) => this.#realArgument(client, arg)),
      );
    if (args.length > 0) throw new TypeError(`"${path.join('.')}" of the client is not a function`);
    return value;
  }

  #realArgument(client: object, argument: unknown): unknown {
    const path = this.#pathOf(argument);
    if (path === undefined) return argument;
    const { owner, value } = walk(client, path);
    if (typeof value !== 'function') return value;
    // A paginator calls the function without its object, and reads its properties.
    return new Proxy(value, { apply: (target, _, args: unknown[]) => Reflect.apply(target, owner, args) });
  }

  async #clientOf(key: string): Promise<object> {
    const client = this.#clients.get(key) ?? Promise.resolve(this.#factory(key));
    this.#clients.set(key, client);
    try {
      return await client;
    } catch (error) {
      // A client that could not be built is built again next time.
      if (this.#clients.get(key) === client) this.#clients.delete(key);
      throw error;
    }
  }

  /** Reports a success when all is read. Returns what the program gets. */
  #watch(values: Values, call: WatchedCall): Values {
    const { lease, start } = call;
    const shown = new Map(values);
    const first = [...values.keys()][0];
    const value = first === undefined ? undefined : values.get(first);
    const onEnd = async (failed: { readonly error: unknown } | undefined): Promise<void> => {
      const end: CallEnd = failed ? { kind: 'threw', error: failed.error } : { kind: 'returned', value };
      void this.#settle(lease, start, end, failed ? await this.#judge(end) : 'succeeded');
    };
    const onFailedStart = async (error: unknown): Promise<unknown> =>
      isKeyTrouble(await this.#judge({ kind: 'threw', error })) ? this.#again(call, call.tried) : undefined;
    const watch = {
      onEnd: (failed: { readonly error: unknown } | undefined) => void onEnd(failed),
      onFailedStart,
      onUnread: () => void this.#settle(lease, start, undefined, 'failed'),
      restart: () => this.#again(call, []),
    };
    const stream = watchEventStream(value, watch);
    if (first !== undefined && stream !== undefined) shown.set(first, stream);
    else if (!isAsyncIterable(value) || !watchIteration(value, watch)) void onEnd(undefined);
    return shown;
  }

  /** Makes a call once more. */
  #again({ path, args }: WatchedCall, tried: readonly string[]): Promise<unknown> {
    const result = new PooledResult();
    void this.#run(path, args, result, tried);
    return result.value();
  }

  /** Returns whether the daemon blames the key by the words of the refusal: an empty account. */
  async #isRefused(end: CallEnd, settled: Promise<unknown>): Promise<boolean> {
    // A rule that is given replaces what the daemon knows, too.
    if (end.kind !== 'threw' || this.#options.isLimit || errorBodyOf(end.error) === undefined) return false;
    return readField(await settled, 'next') === 'another-key';
  }

  /** Reports how a call ended. Resolves with the answer of the daemon; never rejects. */
  #settle(lease: PoolLease, start: number, end: CallEnd | undefined, outcome: ReportedOutcome): Promise<unknown> {
    const report: PoolSettleParams = {
      leaseId: lease.leaseId,
      outcome,
      latencyMs: Math.min(MAX_REPORTED_MS, Math.max(0, performance.now() - start)),
      ...(end === undefined ? {} : this.#describe(end, outcome)),
    };
    // A daemon that is gone has taken the key back already.
    return this.#lender.settle(report).catch(() => undefined);
  }

  /** Returns the headers, body and wait of an answer, for the report. */
  #describe(end: CallEnd, outcome: ReportedOutcome): Partial<PoolSettleParams> {
    const answer = end.kind === 'threw' ? end.error : end.value;
    const headers = reportedLimitHeaders(answer);
    const limits = Object.keys(headers).length === 0 ? {} : { headers };
    if (outcome === 'succeeded') return limits;
    const status = statusOf(answer);
    const isJudged = outcome === 'failed' && this.#options.isLimit !== undefined;
    const body = end.kind === 'threw' && !isJudged ? errorBodyOf(end.error) : undefined;
    const waitMs = outcome === 'limited' ? this.#waitOf(answer, headers) : undefined;
    return {
      ...limits,
      ...(status === undefined ? {} : { status }),
      ...(body === undefined ? {} : { body }),
      ...(waitMs !== undefined && waitMs > 0 ? { retryAfterMs: Math.min(MAX_REPORTED_MS, waitMs) } : {}),
    };
  }

  /** Returns how long a limit lasts, by the program's rule, or the answer without its headers. */
  #waitOf(answer: unknown, headers: Readonly<Record<string, string>>): number | undefined {
    const { retryAfterMs } = this.#options;
    if (retryAfterMs) return asked(retryAfterMs, answer);
    return 'retry-after' in headers ? undefined : retryAfterOf(answer, Date.now());
  }

  async #judge(end: CallEnd): Promise<ReportedOutcome> {
    const { isLimit, isDead, isLimitResult } = this.#options;
    if (end.kind === 'returned') {
      if (isLimitResult) return (await asked(isLimitResult, end.value)) === true ? 'limited' : 'succeeded';
      if (!isHttpResponse(end.value) || end.value.ok) return 'succeeded';
      const outcome = judgeStatus(end.value);
      return outcome === 'failed' ? 'succeeded' : outcome;
    }
    if (isLimit && (await asked(isLimit, end.error)) === true) return 'limited';
    if (isDead && (await asked(isDead, end.error)) === true) return 'rejected';
    const outcome = judgeStatus(end.error);
    // A rule that is given replaces the default of its kind.
    return (outcome === 'limited' && isLimit) || (outcome === 'rejected' && isDead) ? 'failed' : outcome;
  }
}

type Values = ReadonlyMap<PooledResult, unknown>;

/** A call whose result is being read. */
interface WatchedCall {
  readonly lease: PoolLease;
  readonly start: number;
  readonly path: PropertyPath;
  readonly args: readonly unknown[];
  /** Keys that were tried for this call, its own among them. */
  readonly tried: readonly string[];
}

/** Judges an answer by its status. A 403 with the headers of a limit is one, as at GitHub. */
function judgeStatus(answer: unknown): ReportedOutcome {
  const status = statusOf(answer);
  if (status === 429 || status === 402) return 'limited';
  if (status === 403) {
    const headers = reportedLimitHeaders(answer);
    return headers['x-ratelimit-remaining'] === '0' || 'retry-after' in headers ? 'limited' : 'rejected';
  }
  if (status === 401) return 'rejected';
  return status !== undefined && status >= 500 ? 'unavailable' : 'failed';
}

/** Returns the error where keys ran out: the real client's own where none will be free. */
function noOtherKey(error: unknown, last: unknown): unknown {
  if (!(error instanceof AipassError)) return error;
  if (error.retryAfterMs === undefined) return last;
  const { code, message, hint, retryAfterMs } = error;
  return new AipassError(code, message, { hint, retryAfterMs, cause: last });
}

/** A rule that throws gives no answer, so that the real client's error is reported. */
function asked<Answer>(rule: (subject: ThrownError) => Answer, subject: unknown): Answer | undefined {
  try {
    // A rule takes every field for unknown.
    const answer = rule(subject as ThrownError);
    return answer instanceof Promise ? (answer.catch(() => undefined) as Answer) : answer;
  } catch {
    return undefined;
  }
}

/** Returns whether another key may do better. */
function isKeyTrouble(outcome: ReportedOutcome): boolean {
  return outcome === 'limited' || outcome === 'rejected';
}

/** Another client of the same class, as `withOptions()` of openai returns, rotates keys too. */
function isSibling(client: object, value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value === client) return false;
  const prototype: unknown = Object.getPrototypeOf(client);
  return prototype !== Object.prototype && prototype !== null && prototype === Object.getPrototypeOf(value);
}

/** Returns whether a value is a Response of fetch, of another package too. */
function isHttpResponse(value: unknown): value is { readonly ok: boolean; readonly status: number } {
  if (!hasMethods(value, 'arrayBuffer')) return false;
  return typeof Reflect.get(value, 'ok') === 'boolean' && typeof Reflect.get(value, 'status') === 'number';
}

/** Walks a path of the real client. Returns what is there and the object that it belongs to. */
function walk(client: object, path: PropertyPath): { readonly owner: unknown; readonly value: unknown } {
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
  return { owner, value };
}
