/**
 * A line of the journal: an event as JSON, and the times at which exactly the same happened
 * again. A field without a value is left out.
 *
 * One line is printed for every call, and most of its texts are those of the line before: they are
 * bounded and printed once.
 */

import { parseJsonObject } from '../base/json.ts';
import { EVENT_COLUMNS, type EventColumn, type EventField } from '../protocol/usage.ts';
import { boundCount, boundValue, COLUMNS, readEvent, type RawEvent, type Redact, type UsageEvent } from './event.ts';

/** When an event happened again, in epoch milliseconds, and the id of that event. */
export type Recurrence = readonly [at: number, id: number];

/** Maximum number of names whose print is remembered. */
const MAX_KNOWN_NAMES = 1000;

/** Maximum length of a remembered name, in characters: no column cuts a name of that length. */
const MAX_KNOWN_LENGTH = Math.min(...COLUMNS.filter(({ kind }) => kind === 'name').map(({ max }) => max));

/** Fields that depend on more than their own value. */
const SPECIAL = ['id', 'at', 'run', 'status', 'costSource'] as const satisfies EventField[];
type PlainField = Exclude<EventField, (typeof SPECIAL)[number]>;

function isPlainField(field: EventField): field is PlainField {
  return !(SPECIAL as readonly EventField[]).includes(field);
}

/** A column as it is printed. */
interface PrintedColumn {
  readonly field: PlainField;
  readonly column: EventColumn;
  readonly prefix: string;
  /** Text that is printed of an event that does not have it. */
  readonly missing: string;
}

const PRINTED: readonly PrintedColumn[] = COLUMNS.flatMap(({ field, ...column }) => {
  if (!isPlainField(field)) return [];
  const prefix = `,"${field}":`;
  const missing = column.missing === undefined || column.isZero ? '' : prefix + JSON.stringify(column.missing);
  return [{ field, column, prefix, missing }];
});

/** Prints the events of one run of the daemon. */
export class LinePrinter {
  readonly #run: string;
  readonly #redact: Redact | undefined;
  /**
   * Prints of names that were neither cut nor masked. Emptied when full: a map that moves what is
   * used to its end costs more than printing some again.
   */
  readonly #knownNames = new Map<string, string>();

  constructor({ run, redact }: { readonly run: string; readonly redact?: Redact }) {
    this.#run = JSON.stringify(run);
    this.#redact = redact;
  }

  /**
   * Prints a line, without its end, with bounded values; all events of it have the first one's
   * fields. `now` replaces a time that is missing or absurd.
   */
  print(
    raw: RawEvent,
    { now, id }: { readonly now: number; readonly id: number },
    again: readonly Recurrence[] = [],
  ): string {
    const at = boundCount(raw.at, EVENT_COLUMNS.at.max) ?? now;
    let line = `{"id":${id},"at":${at},"run":${this.#run},"status":"${raw.status}"`;
    for (const { field, column, prefix, missing } of PRINTED) {
      const value = raw[field];
      const printed = value === undefined || value === null ? '' : this.#printValue(column, value);
      line += printed === '' ? missing : prefix + printed;
    }
    if (boundCount(raw.costMicros, EVENT_COLUMNS.costMicros.max) !== null) {
      line += `,"costSource":"${raw.costSource ?? 'response'}"`;
    }
    if (again.length === 0) return `${line}}`;
    return `${line},"again":[${again.map((time) => `[${time[0]},${time[1]}]`).join(',')}]}`;
  }

  /** Prints a value, or nothing where it is not known. */
  #printValue(column: EventColumn, value: unknown): string {
    if (column.kind === 'name' && typeof value === 'string') return this.#printName(column, value);
    const bounded = boundValue(column, value, this.#redact);
    if (typeof bounded === 'number') return String(bounded);
    return bounded === null || bounded === false ? '' : JSON.stringify(bounded);
  }

  #printName(column: EventColumn, name: string): string {
    const known = this.#knownNames.get(name);
    if (known !== undefined) return known;
    const bounded = boundValue(column, name, this.#redact);
    if (bounded === null) return '';
    const printed = JSON.stringify(bounded);
    if (bounded === name && name.length <= MAX_KNOWN_LENGTH) {
      if (this.#knownNames.size >= MAX_KNOWN_NAMES) this.#knownNames.clear();
      this.#knownNames.set(name, printed);
    }
    return printed;
  }
}

/**
 * Parses one line; null is damage. Events were bounded before they were written, so only their
 * shape is checked.
 */
export function parseEvents(line: string): UsageEvent[] | null {
  const value = parseJsonObject(line);
  if (value === undefined) return null;
  const { again } = value;
  if (again === undefined) {
    const event = readEvent(value);
    return event && [event];
  }
  const { again: _, ...fields } = value;
  const event = readEvent(fields);
  if (event === null || !Array.isArray(again) || !again.every(isRecurrence)) return null;
  return [event, ...again.map(([at, id]) => ({ ...event, at, id }))];
}

/** Returns an event as the journal would give it back. */
export function boundEvent(
  raw: RawEvent,
  { run, now, id }: { readonly run: string; readonly now: number; readonly id: number },
): UsageEvent {
  const [event] = parseEvents(new LinePrinter({ run }).print(raw, { now, id })) ?? [];
  if (!event) throw new Error('the line of an event is not an event');
  return event;
}

function isRecurrence(value: unknown): value is Recurrence {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger);
}
