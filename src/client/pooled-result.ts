/**
 * The result of a pooled call before it is there. It is used like the real client's own un-awaited
 * result: awaited, iterated, or by its methods (`got(url).json()`, `create(…).withResponse()`,
 * `customers.list().autoPagingToArray()`).
 *
 * The real call is made only after a key was leased. What the program does with the result until
 * then is kept as a tree, and applied to the result of the attempt. Where that fails for its key,
 * it is applied to the result of the next attempt.
 */

import { hasMethods } from './answer-fields.ts';
import { isAsyncIterable } from './watched-iteration.ts';

/** Method of a result that was called before the result was there. */
interface PendingMethod {
  readonly name: string | symbol;
  readonly args: readonly unknown[];
  readonly result: PooledResult;
}

/** Properties that the language reads from any object; never methods of the result. */
const LOCAL_NAMES: ReadonlySet<string | symbol> = new Set([
  'constructor',
  'toString',
  'valueOf',
  'toJSON',
  'toLocaleString',
]);

/** One result: of the call itself, or of a method of another result. */
export class PooledResult {
  /** Stand-in for the result, which the program gets. */
  readonly proxy: object;
  readonly #promise: Promise<unknown>;
  #resolve: (value: unknown) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  readonly #methods: PendingMethod[] = [];
  /** Return value of the real client, not awaited. */
  #raw: unknown;
  #state: 'pending' | 'started' | 'settled' = 'pending';
  #isAwaited = false;

  constructor() {
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.proxy = new Proxy(this.#promise, {
      get: (promise, name) => {
        if (name === 'then' || name === 'catch' || name === 'finally') {
          this.#wait();
          return promise[name].bind(promise);
        }
        if (name === Symbol.asyncIterator) return () => this.#iterate();
        if (typeof name === 'symbol' || LOCAL_NAMES.has(name)) return Reflect.get(promise, name, promise);
        return (...args: readonly unknown[]) => this.#call(name, args);
      },
    });
  }

  /**
   * Makes one attempt: takes what the real client returned and does with it what the program wants.
   * Resolves with the results that the program waits for, and rejects with the first failure.
   */
  async attempt(raw: unknown): Promise<ReadonlyMap<PooledResult, unknown>> {
    const values = new Map<PooledResult, unknown>();
    const waits: Promise<void>[] = [];
    try {
      this.#start(raw, (result, value) => {
        waits.push(
          Promise.resolve(value).then((settled) => {
            values.set(result, settled);
          }),
        );
      });
      await Promise.all(waits);
    } catch (error) {
      // The others fail for the same reason, or nobody wants them any more.
      void Promise.allSettled(waits);
      throw error;
    }
    return values;
  }

  /** Hands the results of the last attempt to the program. */
  succeed(values: ReadonlyMap<PooledResult, unknown>): void {
    this.#visit((result) => {
      result.#state = 'settled';
      if (values.has(result)) result.#resolve(values.get(result));
      else if (result.#isAwaited) result.#resolve(result.#raw);
    });
  }

  /** Fails everything that the program waits for, or else the result itself. */
  fail(error: unknown): void {
    let isHandled = false;
    this.#visit((result) => {
      isHandled ||= result.#isAwaited;
    });
    this.#visit((result) => {
      result.#state = 'settled';
      result.#reject(error);
      if (!result.#isAwaited && (isHandled || result !== this)) result.#silence();
    });
  }

  #silence(): void {
    this.#promise.catch(() => {});
  }

  /** Waits for the result itself. */
  value(): Promise<unknown> {
    this.#wait();
    return this.#promise;
  }

  #visit(each: (result: PooledResult) => void): void {
    each(this);
    for (const { result } of this.#methods) result.#visit(each);
  }

  #start(raw: unknown, wait: (result: PooledResult, value: unknown) => void): void {
    this.#state = 'started';
    this.#raw = raw;
    if (this.#isAwaited || this.#methods.length === 0) wait(this, raw);
    for (const { name, args, result } of this.#methods) result.#start(callMethod(raw, name, args), wait);
  }

  #call(name: string | symbol, args: readonly unknown[]): unknown {
    const result = new PooledResult();
    if (this.#state === 'pending') this.#methods.push({ name, args, result });
    else void this.#callLate(name, args, result);
    return result.proxy;
  }

  /** Calls a method of a result that is (almost) there, with the key that succeeded. */
  async #callLate(name: string | symbol, args: readonly unknown[], result: PooledResult): Promise<void> {
    try {
      await this.value();
      result.succeed(await result.attempt(callMethod(this.#raw, name, args)));
    } catch (error) {
      result.fail(error);
    }
  }

  /** Notes that the program waits for the result itself, also where it is there already. */
  #wait(): void {
    if (this.#isAwaited) return;
    this.#isAwaited = true;
    if (this.#state === 'settled') this.#resolve(this.#raw);
  }

  async *#iterate(): AsyncGenerator<unknown, void, void> {
    const value = await this.value();
    // A page promise and a list of stripe fetch the following pages by their own iterator.
    const source = hasMethods(this.#raw, 'then') && isAsyncIterable(this.#raw) ? this.#raw : value;
    if (isAsyncIterable(source)) yield* source;
    else if (isIterable(source)) yield* source;
    else throw new TypeError('the result of this call cannot be iterated');
  }
}

function callMethod(raw: unknown, name: string | symbol, args: readonly unknown[]): unknown {
  const method: unknown = raw === null || raw === undefined ? undefined : Reflect.get(Object(raw), name, raw);
  if (typeof method !== 'function') throw new TypeError(`the result of this call has no method "${String(name)}"`);
  return Reflect.apply(method, raw, args);
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return hasMethods(value, Symbol.iterator);
}
