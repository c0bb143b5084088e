/**
 * Any API's client, with the keys rotating underneath: used exactly like the real one, at any depth.
 *
 * Nothing is leased before a call: reading a property only remembers its path. A call leases a key, builds the client for
 * it (once for each value of a key), walks the path, calls, and reports how it went. Results pass through unchanged.
 */

import { AipassError } from '../base/errors.ts';
import { PooledCaller, type ClientFactory, type KeyLender, type PooledOptions } from './pooled-caller.ts';
import { isAsyncIterable } from './watched-iteration.ts';

/** Is the answer of a call: a promise, because a key is leased first; of an iterable it can be iterated as it is, too. */
type PooledResult<Result> = Promise<Awaited<Result>> &
  (Awaited<Result> extends AsyncIterable<infer Item> ? AsyncIterable<Item> : unknown);

/** Is the real client as it is seen through the pool; a plain property is read by calling it. */
export type Pooled<Client> = {
  readonly [Name in keyof Client]: Client[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => PooledResult<Result>
    : Client[Name] extends object
      ? Pooled<Client[Name]>
      : () => Promise<Client[Name]>;
};

/** Makes a pooled client over a lender. */
export function createPooled<Client extends object>(
  provider: string,
  factory: ClientFactory<Client>,
  options: PooledOptions,
  lender: KeyLender,
): Pooled<Client> {
  const caller = new PooledCaller(provider, factory, options, lender);
  return proxyOf([], caller) as Pooled<Client>;
}

/** Is behind every pooled property: a function, because only a function's proxy can be called. */
const CALLABLE = (): void => {};

/** Returns what stands for a property of the real client: any deeper property, and callable. */
function proxyOf(path: readonly string[], caller: PooledCaller): unknown {
  const children = new Map<string, unknown>();
  return new Proxy(CALLABLE, {
    get(_, name) {
      // Awaiting, printing or serialising a pooled client must not call the real one.
      if (typeof name === 'symbol' || NOT_FORWARDED.has(name)) return undefined;
      let child = children.get(name);
      if (child === undefined) {
        child = proxyOf([...path, name], caller);
        children.set(name, child);
      }
      return child;
    },
    apply: (_, __, args: unknown[]) => iterablePromise(caller.call(path, args)),
    set: refuse,
    defineProperty: refuse,
    deleteProperty: refuse,
  });
}

/** Lists names that say something to the language: a thing with `then` is taken for a promise. */
const NOT_FORWARDED: ReadonlySet<string> = new Set(['then', 'toJSON', 'constructor', 'prototype', '__proto__']);

function refuse(): never {
  throw new AipassError('BAD_REQUEST', 'a pooled client cannot be changed', {
    hint: 'set it up in the function that makes the client',
  });
}

/** Makes a promise of an iterable an iterable itself, so that `for await` reads the call as it does the real client's. */
function iterablePromise(promise: Promise<unknown>): Promise<unknown> {
  return Object.defineProperty(promise, Symbol.asyncIterator, {
    value: async function* () {
      const result = await promise;
      if (!isAsyncIterable(result)) throw new TypeError('the result of this call cannot be iterated');
      yield* result;
    },
  });
}
