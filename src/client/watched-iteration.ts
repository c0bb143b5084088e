/**
 * Reports how the reading of an async iterable, or of an emitter of events, ended. What is read
 * stays the object that it was: only its way of being read is watched.
 */

import { hasMethods } from './answer-fields.ts';

/** Longest reading before the key is given back all the same, in milliseconds. */
const LONGEST_READING_MS = 600_000;

/** Callbacks around a reading. */
export interface IterationWatch {
  /** Called once, when the reading ends: read to the end, left, or too long, without a failure. */
  readonly onEnd: (failed: { readonly error: unknown } | undefined) => void;
  /** Returns another iterable in place of one that failed before it gave anything, if any. */
  readonly onFailedStart: (error: unknown) => Promise<unknown>;
  /** Called instead of onEnd for a generator that is not read at once. */
  readonly onUnread: () => void;
  /** Returns another generator in place of one that is read after all. */
  readonly restart: () => Promise<unknown>;
}

/** Returns whether a value can be read with `for await`. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> & object {
  return hasMethods(value, Symbol.asyncIterator);
}

/**
 * Watches an iterable from now on. One that is not being read when this turn of the event loop ends
 * counts as done. It may be a page or a stream that is read by other means. Returns false for one
 * that is frozen.
 */
export function watchIteration(source: AsyncIterable<unknown> & object, watch: IterationWatch): boolean {
  if (!Object.isExtensible(source)) return false;
  let state: 'unread' | 'reading' | 'ended' = 'unread';
  const limit = setTimeout(() => end(undefined), LONGEST_READING_MS);
  limit.unref();
  const end: IterationWatch['onEnd'] = (failed) => {
    if (state === 'ended') return;
    state = 'ended';
    clearTimeout(limit);
    watch.onEnd(failed);
  };
  const isGenerator = 'next' in source && typeof source.next === 'function';
  setImmediate(() => {
    if (state !== 'unread') return;
    if (!isGenerator) return end(undefined);
    state = 'ended';
    clearTimeout(limit);
    watch.onUnread();
  });
  /** Returns whether this reading is the watched one. */
  const begin = (): boolean => {
    if (state === 'ended') return false;
    state = 'reading';
    return true;
  };

  const open = source[Symbol.asyncIterator].bind(source);
  if (isGenerator) {
    // A generator is read by its own methods as well as in a loop, and is its own iterator.
    const bound = bindIterator(source, source.next);
    let watched: Required<AsyncIterableIterator<unknown>> | undefined;
    const reading = (): Required<AsyncIterableIterator<unknown>> => {
      watched ??= watchIterator(begin() ? bound : restarted(watch), { ...watch, onEnd: end });
      return watched;
    };
    for (const name of ['next', 'return', 'throw'] as const) {
      Object.defineProperty(source, name, {
        value: (value?: unknown) => reading()[name](value),
        configurable: true,
        writable: true,
      });
    }
    return true;
  }
  Object.defineProperty(source, Symbol.asyncIterator, {
    value: () => (begin() ? watchIterator(open(), { ...watch, onEnd: end }) : open()),
    configurable: true,
    writable: true,
  });
  return true;
}

/** Opens a watched reading of an iterable. */
function openIteration(source: object, watch: IterationWatch): AsyncIterableIterator<unknown> {
  if (!isAsyncIterable(source)) throw new TypeError('the result of this call cannot be iterated');
  return watchIterator(source[Symbol.asyncIterator](), watch);
}

/** Returns the iterator of another generator, which is made when it is first read. */
function restarted(watch: IterationWatch): AsyncIterator<unknown> {
  let fresh: Promise<AsyncIterator<unknown>> | undefined;
  const open = async (): Promise<AsyncIterator<unknown>> => {
    const source = await watch.restart();
    if (!isAsyncIterable(source)) throw new TypeError('the result of this call cannot be iterated');
    return source[Symbol.asyncIterator]();
  };
  return {
    next: async (value?: unknown) => {
      fresh ??= open();
      return (await fresh).next(value);
    },
    return: async (value?: unknown) => {
      const iterator = await fresh;
      return (await iterator?.return?.(value)) ?? { done: true, value };
    },
  };
}

/** Returns the methods of a generator as they are now. */
function bindIterator(source: object, next: unknown): AsyncIterator<unknown> {
  const method = (name: 'return' | 'throw'): unknown => Reflect.get(source, name);
  const [finish, fail] = [method('return'), method('throw')];
  // These are the methods of an async iterator: the caller saw that the source is one.
  const call = (target: unknown, value: unknown): Promise<IteratorResult<unknown>> =>
    Reflect.apply(target as () => Promise<IteratorResult<unknown>>, source, [value]);
  return {
    next: (value?: unknown) => call(next, value),
    ...(typeof finish === 'function' ? { return: (value?: unknown) => call(finish, value) } : {}),
    ...(typeof fail === 'function' ? { throw: (error?: unknown) => call(fail, error) } : {}),
  };
}

function watchIterator(first: AsyncIterator<unknown>, watch: IterationWatch): Required<AsyncIterableIterator<unknown>> {
  let iterator = first;
  let hasBegun = false;

  const step = async (take: () => Promise<IteratorResult<unknown>>): Promise<IteratorResult<unknown>> => {
    try {
      const result = await take();
      hasBegun = true;
      if (result.done === true) watch.onEnd(undefined);
      return result;
    } catch (error) {
      watch.onEnd({ error });
      throw error;
    }
  };
  const watched: Required<AsyncIterableIterator<unknown>> = {
    next: async (...args) => {
      try {
        return await step(() => iterator.next(...args));
      } catch (error) {
        const other = hasBegun ? undefined : await watch.onFailedStart(error);
        if (!isAsyncIterable(other)) throw error;
        hasBegun = true;
        iterator = other[Symbol.asyncIterator]();
        return iterator.next(...args);
      }
    },
    return: async (value?: unknown) => {
      watch.onEnd(undefined);
      return iterator.return ? iterator.return(value) : { done: true, value };
    },
    throw: async (error?: unknown) => {
      watch.onEnd({ error });
      if (iterator.throw) return iterator.throw(error);
      throw error;
    },
    [Symbol.asyncIterator]: () => watched,
  };
  return watched;
}

/**
 * The part that is used here of the emitters that the openai and anthropic packages return from
 * `.stream()`. The request is made after the call has returned, so a limit shows when something is
 * awaited. Until the first event such a stream can be replaced by another.
 */
interface EventStream {
  readonly on: unknown;
  readonly emitted: unknown;
  readonly done: () => Promise<unknown>;
}

/** A listener that was added, by the method that did it. */
interface Listening {
  readonly name: string | symbol;
  readonly args: readonly unknown[];
}

const LISTENING: ReadonlySet<string | symbol> = new Set(['on', 'once', 'addListener']);

/** Returns what stands for an emitter, and goes to another key where it meets a limit. */
export function watchEventStream(value: unknown, watch: IterationWatch): object | undefined {
  if (!isEventStream(value)) return undefined;
  value.done().then(
    () => watch.onEnd(undefined),
    (error: unknown) => watch.onEnd({ error }),
  );
  const listeners: Listening[] = [];
  let replacement: Promise<unknown> | undefined;
  const replace = (error: unknown): Promise<unknown> => {
    replacement ??= listenAgain(watch.onFailedStart(error), listeners);
    return replacement;
  };
  const shown: object = new Proxy(value, {
    get(stream, name) {
      const member: unknown = Reflect.get(stream, name, stream);
      if (typeof member !== 'function') return member;
      if (name === Symbol.asyncIterator)
        return () => openIteration(stream, { ...watch, onFailedStart: replace, onEnd() {} });
      return (...args: unknown[]) => {
        if (LISTENING.has(name)) listeners.push({ name, args });
        const result: unknown = Reflect.apply(member, stream, args);
        if (result === stream) return shown;
        if (!(result instanceof Promise)) return result;
        return result.catch(async (error: unknown) => {
          const other = await replace(error);
          if (other === undefined) throw error;
          return callOn(other, name, args);
        });
      };
    },
  });
  return shown;
}

async function listenAgain(replacing: Promise<unknown>, listeners: readonly Listening[]): Promise<unknown> {
  const other = await replacing;
  for (const { name, args } of other === undefined ? [] : listeners) callOn(other, name, args);
  return other;
}

function isEventStream(value: unknown): value is EventStream {
  return hasMethods(value, 'on', 'emitted', 'done', 'abort');
}

function callOn(target: unknown, name: string | symbol, args: readonly unknown[]): unknown {
  const member: unknown = Reflect.get(Object(target), name);
  return typeof member === 'function' ? Reflect.apply(member, target, args) : undefined;
}
