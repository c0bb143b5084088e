/**
 * One line of the journal: an event as JSON, and the further moments at which exactly the same happened.
 */

import { EVENT_STATUSES, type UsageEvent } from './event.ts';

/** Is when an event happened again, in epoch milliseconds, and the id of that event. */
export type Moment = readonly [at: number, id: number];

/** Prints events that differ only in their moment, without the end of the line. */
export function printEvents(event: UsageEvent, again: readonly Moment[]): string {
  return JSON.stringify(again.length === 0 ? event : { ...event, again });
}

/** Reads one line, or returns null for damage. Events were bounded before they were written, so that nothing else has to be told from them. */
export function parseEvents(line: string): UsageEvent[] | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (!isEvent(value)) return null;
  const { again, ...event } = value;
  if (again === undefined) return [event];
  if (!Array.isArray(again) || !again.every(isMoment)) return null;
  return [event, ...again.map(([at, id]) => ({ ...event, at, id }))];
}

function isMoment(value: unknown): value is Moment {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger);
}

function isEvent(value: unknown): value is UsageEvent & { readonly again?: unknown } {
  if (typeof value !== 'object' || value === null) return false;
  const fields: Partial<Record<keyof UsageEvent, unknown>> = value;
  return (
    Number.isSafeInteger(fields.at) &&
    Number.isSafeInteger(fields.id) &&
    typeof fields.caller === 'string' &&
    typeof fields.run === 'string' &&
    typeof fields.operation === 'string' &&
    typeof fields.status === 'string' &&
    Object.hasOwn(EVENT_STATUSES, fields.status)
  );
}
