/**
 * Makes usage events for tests.
 */

import type { RawEvent, UsageEvent } from '../../src/usage/event.ts';
import { boundEvent } from '../../src/usage/journal-line.ts';

let lastId = 0;

/** Makes one event; what is not given is a plain successful completion at a fixed time. */
export function usageEvent(fields: Partial<RawEvent> & { readonly at?: number } = {}): UsageEvent {
  const raw: RawEvent = {
    at: Date.UTC(2026, 10, 20, 12, 30, 15),
    caller: 'flow',
    session: 'session-1',
    provider: 'openrouter',
    keyId: 'OPENROUTER_API_KEY',
    operation: 'completion.create',
    model: 'acme/large',
    status: 'success',
    promptTokens: 100,
    completionTokens: 20,
    costMicros: 1500,
    latencyMs: 800,
    ...fields,
  };
  return boundEvent(raw, { now: 0, id: ++lastId, run: 'run-1' });
}
