/**
 * Events as rows of the database, and back. Both directions follow the table of columns in
 * protocol/usage.ts.
 */

import { COST_SOURCES, type RecordedEvent } from '../../protocol/usage.ts';
import { COLUMNS, type UsageEvent } from '../event.ts';
import type { EventsTable, SqlValue } from './database.ts';
import { statusName, STATUS_CODES, type Measured } from './sums.ts';

/** An event's row with the text of its operation. */
export type NamedRow = EventsTable & { readonly operation_name: string };

/** Columns whose values are numbers of names. */
const NAME_COLUMNS = COLUMNS.filter(({ kind }) => kind === 'name');

/** Columns of an event in the database, by name, in the order of `eventValues`. */
export const EVENT_ROW_COLUMNS = COLUMNS.map(({ column }) => column as keyof EventsTable);

/** Adds the texts of an event that need a number; those of the one before it are there already. */
export function addTexts(texts: Set<string | null>, event: UsageEvent, previous: UsageEvent | undefined): void {
  for (const { field, missing, isZero } of NAME_COLUMNS) {
    const text = event[field] as string | null;
    if (text !== previous?.[field] && (!isZero || text !== missing)) texts.add(text);
  }
}

/** Returns an event's values for an insert; `id` returns the number of a text. */
export function eventValues(event: UsageEvent, id: (text: string | null) => number): SqlValue[] {
  return COLUMNS.map(({ field, kind, missing, isZero }) => {
    const value = event[field];
    if (kind === 'name') return isZero && value === missing ? 0 : id(value as string | null);
    if (kind === 'status') return STATUS_CODES[event.status];
    if (kind === 'cost-source') return event.costSource === null ? null : COST_SOURCES.indexOf(event.costSource);
    if (kind === 'flag') return value === true ? 1 : 0;
    return value as SqlValue;
  });
}

/** Returns the numbers of the names in a row. */
export function nameIdsOf(row: EventsTable): number[] {
  return NAME_COLUMNS.map(({ column }) => Number(row[column as keyof EventsTable]));
}

/** Returns a row as it is answered; `text` returns the text of a number. */
export function recordedEvent(row: EventsTable, text: (id: number) => string | null): RecordedEvent {
  const event: Record<string, unknown> = {};
  for (const { field, column, kind, missing, isZero } of COLUMNS) {
    const value = row[column as keyof EventsTable];
    if (kind === 'id') event[field] = `${row.at}-${row.id}`;
    else if (kind === 'name') event[field] = isZero && value === 0 ? missing : text(Number(value));
    else if (kind === 'status') event[field] = statusName(row.status);
    else if (kind === 'cost-source') event[field] = value === null ? null : (COST_SOURCES[Number(value)] ?? null);
    else if (kind === 'flag') event[field] = value === 1;
    else event[field] = value;
  }
  return event as RecordedEvent;
}

/** Columns of what a call took, which a later report on its generation may fill in. */
const MEASURED = COLUMNS.filter(({ kind }) => kind === 'tokens' || kind === 'money' || kind === 'duration');

/** Columns that `fillRow` returns values for, by name and in their order. */
export const FILLABLE_COLUMNS = [...MEASURED.map(({ column }) => column as keyof EventsTable), 'cost_source'] as const;

/** Returns a row with what a later report knows and the row does not, and those values alone. */
export function fillRow(row: NamedRow, report: UsageEvent): { filled: NamedRow; values: SqlValue[] } {
  const filled: Record<string, SqlValue> = {};
  for (const { field, column } of MEASURED) {
    filled[column] = row[column as keyof EventsTable] ?? (report[field] as number | null);
  }
  const isPriced = row.cost_micros === null && report.costSource !== null;
  filled['cost_source'] = isPriced ? COST_SOURCES.indexOf(report.costSource) : row.cost_source;
  return {
    filled: { ...row, ...filled },
    values: FILLABLE_COLUMNS.map((column) => filled[column] ?? null),
  };
}

/** Returns the fields of a row that are counted. */
export function measured(row: NamedRow): Measured {
  const values = Object.fromEntries(MEASURED.map(({ field, column }) => [field, row[column as keyof EventsTable]]));
  return { operation: row.operation_name, retried: row.retried === 1, ...values } as Measured;
}
