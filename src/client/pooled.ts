/**
 * Any API's client, with the keys of a pool rotating underneath: `aipass.pooled('openai', (apiKey)
 * => new OpenAI({ apiKey }))` is used like the OpenAI client itself, at any depth.
 *
 * Nothing is leased before a call: reading a property only remembers its path. A call leases a key,
 * builds the client for it, walks the path, calls, and reports the outcome. A client is built once
 * for each value of a key.
 */

import { inspect } from 'node:util';
import { AipassError } from '../base/errors.ts';
import {
  PooledCaller,
  type ClientFactory,
  type KeyLender,
  type PooledOptions,
  type PropertyPath,
} from './pooled-caller.ts';

/** A function whose own type is true through the pool: its result is awaited or iterated anyway. */
type AsyncFunction = (...args: never[]) => PromiseLike<unknown> | AsyncIterable<unknown>;

/** A promise, because a key is leased first; an iterable can be iterated. */
type PooledAnswer<Result> = Promise<Awaited<Result>> &
  (Awaited<Result> extends AsyncIterable<infer Item> | Iterable<infer Item> ? AsyncIterable<Item> : unknown);

/** A property as it is seen through the pool; a plain value is read by calling it. */
type PooledProperty<Property> = Property extends AsyncFunction
  ? Property
  : Property extends (...args: infer Args) => infer Result
    ? ((...args: Args) => PooledAnswer<Result>) & PooledProperties<Property>
    : Property extends object
      ? PooledProperties<Property>
      : () => Promise<Property>;

type PooledProperties<Client> = { readonly [Name in keyof Client]: PooledProperty<Client[Name]> };

/**
 * The real client as it is seen through the pool. Functions that return promises or async iterables
 * keep their own types, with overloads and type parameters. A client that is a function itself
 * keeps its call signatures.
 */
export type Pooled<Client> = Client extends AsyncFunction
  ? Client & PooledProperties<Client>
  : PooledProperty<Client> extends (...args: never[]) => unknown
    ? PooledProperty<Client>
    : PooledProperties<Client>;

/** Makes a pooled client over a lender. */
export function createPooled<Client extends object>(
  provider: string,
  factory: ClientFactory<Client>,
  options: PooledOptions,
  lender: KeyLender,
): Pooled<Client> {
  const paths = new WeakMap<object, PropertyPath>();
  const pathOf = (value: unknown): PropertyPath | undefined =>
    typeof value === 'function' ? paths.get(value) : undefined;
  const derive = (make: ClientFactory<object>): unknown => createPooled(provider, make, options, lender);
  const caller = new PooledCaller(provider, factory, options, lender, pathOf, derive);
  return proxyOf([], { provider, caller, paths }) as Pooled<Client>;
}

/** State that all properties of one pooled client share. */
interface PooledClient {
  readonly provider: string;
  readonly caller: PooledCaller;
  /** Paths of the properties that were read. */
  readonly paths: WeakMap<object, PropertyPath>;
}

/** Returns what stands for a property of the real client: any deeper property, and callable. */
function proxyOf(path: PropertyPath, client: PooledClient): unknown {
  const children = new Map<string, unknown>();
  const name = `pooled ${[client.provider, ...path].join('.')}`;
  // A function, because only a function's proxy can be called; one for each property, because it
  // can be inspected.
  const target = Object.assign(() => {}, { [inspect.custom]: () => `[${name}]` });
  const local: Readonly<Record<string | symbol, unknown>> = {
    toString: () => name,
    toLocaleString: () => name,
    valueOf: () => name,
    inspect: () => `[${name}]`,
    [Symbol.toPrimitive]: () => name,
    [Symbol.toStringTag]: 'Pooled',
    [inspect.custom]: () => `[${name}]`,
  };
  const proxy = new Proxy(target, {
    get(_, property) {
      if (Object.hasOwn(local, property)) return local[property];
      // Awaiting, comparing or serialising a pooled client must not call the real one.
      if (typeof property === 'symbol' || NOT_FORWARDED.has(property)) return undefined;
      let child = children.get(property);
      if (child === undefined) {
        child = proxyOf([...path, property], client);
        children.set(property, child);
      }
      return child;
    },
    apply: (_, __, args: unknown[]) =>
      isBind(path, args, client)
        ? (...rest: unknown[]) => client.caller.call(path.slice(0, -1), [...args.slice(1), ...rest]).proxy
        : client.caller.call(path, args).proxy,
    set: reject,
    defineProperty: reject,
    deleteProperty: reject,
  });
  client.paths.set(proxy, path);
  return proxy;
}

/**
 * Returns whether a call is `Function.prototype.bind` of a method of the client, and not a method
 * of that name. Its object is then a pooled one, or none.
 */
function isBind(path: PropertyPath, [object]: readonly unknown[], { paths }: PooledClient): boolean {
  if (path.at(-1) !== 'bind' || path.length < 2) return false;
  return object === undefined || object === null || (typeof object === 'function' && paths.has(object));
}

/** Properties with a meaning for the language: `then` makes a promise of an object. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  'then',
  'toJSON',
  'constructor',
  'prototype',
  '__proto__',
  'hasOwnProperty',
  'isPrototypeOf',
  'propertyIsEnumerable',
  'nodeType',
  '$$typeof',
  'asymmetricMatch',
]);

function reject(): never {
  throw new AipassError('BAD_REQUEST', 'a pooled client cannot be changed', {
    hint: 'set it up in the function that makes the client',
  });
}
