/**
 * The emitters that the openai and anthropic packages return from `.stream()`. The request is made
 * after the call has returned, so a limit shows when something is awaited. Until the first event
 * such a stream can be replaced by another.
 */

import { openIteration, type IterationWatch } from './watched-iteration.ts';

/** The part of such an emitter that is used here. */
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

/**
 * Returns what stands for an emitter and goes to another key where it meets a limit; undefined for
 * any other value.
 */
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
  return (
    typeof value === 'object' &&
    value !== null &&
    ['on', 'emitted', 'done', 'abort'].every((name) => typeof Reflect.get(value, name) === 'function')
  );
}

function callOn(target: unknown, name: string | symbol, args: readonly unknown[]): unknown {
  const member: unknown = Reflect.get(Object(target), name);
  return typeof member === 'function' ? Reflect.apply(member, target, args) : undefined;
}
