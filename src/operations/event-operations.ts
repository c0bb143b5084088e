/**
 * `event.subscribe`: has events sent on the caller's connection until it closes.
 */

import { z } from 'zod';
import type { EventHub } from '../base/runtime.ts';
import { EVENT_NAMES, type EventName } from '../protocol/events.ts';
import { organizationParams, type OperationGroup } from './operation.ts';

/** Makes the operation; `hubOf` returns the hub of an organization. */
export function eventOperations(hubOf: (slug: string) => EventHub): OperationGroup<'event'> {
  /** Events that each connection listens to: a second subscription widens the first. */
  const wanted = new WeakMap<AbortSignal, Map<EventHub, Set<string>>>();

  return {
    'event.subscribe': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject({
        ...organizationParams,
        events: z.array(z.enum(EVENT_NAMES)).optional(),
      }),
      handle({ events }, { organization, closed, notify }) {
        const names: readonly EventName[] = events ?? EVENT_NAMES;
        const hub = hubOf(organization);
        const sets = wanted.get(closed) ?? new Map<EventHub, Set<string>>();
        wanted.set(closed, sets);
        const known = sets.get(hub);
        const set = known ?? new Set<string>();
        for (const name of names) set.add(name);
        if (!known) {
          sets.set(hub, set);
          const unsubscribe = hub.subscribe(({ event, data }) => {
            // The hub drops a listener that throws: whoever lost the right hears nothing more.
            if (set.has(event)) notify(event, data);
          });
          closed.addEventListener('abort', unsubscribe, { once: true });
        }
        return { events: EVENT_NAMES.filter((name) => set.has(name)) };
      },
    },
  };
}
