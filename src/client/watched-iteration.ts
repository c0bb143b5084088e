/**
 * Tells how the reading of an async iterable ended. The iterable stays the object that it was: only its way of being
 * read is watched.
 */

/** Is how long a result may be read before its key is given back all the same, in milliseconds: it may never be read. */
const LONGEST_READING_MS = 600_000;

/** Is what happens around a reading. */
export interface IterationWatch {
  /** Is called once, when the reading ends: without a failure where it was read to the end, left early, or took too long. */
  readonly onEnd: (failed: { readonly error: unknown } | undefined) => void;
  /** Returns another iterable in place of one that failed before it gave anything, or undefined where there is none. */
  readonly onFailedStart: (error: unknown) => Promise<AsyncIterable<unknown> | undefined>;
}

/** Tells whether a value can be read with `for await`. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> & object {
  return (
    typeof value === 'object' &&
    value !== null &&
    Symbol.asyncIterator in value &&
    typeof value[Symbol.asyncIterator] === 'function'
  );
}

/** Watches an iterable from now on. Returns false for one that cannot be watched, because it is frozen. */
export function watchIteration(source: AsyncIterable<unknown> & object, watch: IterationWatch): boolean {
  if (!Object.isExtensible(source)) return false;
  let hasEnded = false;
  const end: IterationWatch['onEnd'] = (failed) => {
    if (hasEnded) return;
    hasEnded = true;
    clearTimeout(limit);
    watch.onEnd(failed);
  };
  const limit = setTimeout(() => end(undefined), LONGEST_READING_MS);
  limit.unref();

  const open = source[Symbol.asyncIterator].bind(source);
  if ('next' in source && typeof source.next === 'function') {
    // A generator is read by its own methods as well as in a loop, and is its own iterator.
    const watched = watchIterator(bindIterator(source, source.next), { ...watch, onEnd: end });
    for (const name of ['next', 'return', 'throw'] as const) {
      Object.defineProperty(source, name, { value: watched[name], configurable: true, writable: true });
    }
    return true;
  }
  Object.defineProperty(source, Symbol.asyncIterator, {
    value: () => watchIterator(open(), { ...watch, onEnd: end }),
    configurable: true,
    writable: true,
  });
  return true;
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
        if (!other) throw error;
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
