/**
 * `event.subscribe`: has events sent on the caller's connection until it closes.
 */

import { z } from 'zod';
import type { EventHub } from '../base/event-hub.ts';
import { EVENT_NAMES, type EventName } from '../protocol/events.ts';
import { defineOperation, type AnyOperation } from './operation.ts';

/** Makes the operation over a hub. */
export function eventOperations(hub: EventHub): AnyOperation[] {
  /** Holds what each connection listens to, so that a second subscription widens the first and sends nothing twice. */
  const wanted = new WeakMap<AbortSignal, Set<string>>();

  return [
    defineOperation<'event.subscribe'>({
      name: 'event.subscribe',
      right: 'see',
      schema: z.strictObject({ events: z.array(z.enum(EVENT_NAMES)).optional() }),
      handle({ events }, { closed, notify }) {
        const names: readonly EventName[] = events ?? EVENT_NAMES;
        const known = wanted.get(closed);
        const set = known ?? new Set<string>();
        for (const name of names) set.add(name);
        if (!known) {
          wanted.set(closed, set);
          const unsubscribe = hub.subscribe(({ event, data }) => {
            if (set.has(event)) notify(event, data);
          });
          closed.addEventListener('abort', unsubscribe, { once: true });
        }
        return { events: EVENT_NAMES.filter((name) => set.has(name)) };
      },
    }),
  ];
}
