/**
 * Prints events as CSV (RFC 4180) or as JSON lines. Pure.
 *
 * A text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"): callers and
 * models name themselves, and whoever opens an export must not run what they wrote.
 */

import type { RecordedEvent } from '../protocol/usage.ts';

/** Lists the columns of an export, in their order. */
const COLUMNS = [
  'id',
  'at',
  'caller',
  'uid',
  'pid',
  'executable',
  'session',
  'run',
  'provider',
  'keyId',
  'account',
  'operation',
  'model',
  'status',
  'errorCode',
  'httpStatus',
  'promptTokens',
  'completionTokens',
  'cachedTokens',
  'reasoningTokens',
  'costMicros',
  'costSource',
  'latencyMs',
  'firstTokenMs',
  'generationId',
] as const satisfies readonly (keyof RecordedEvent)[];

/** Names the formats of an export. */
export type ExportFormat = 'csv' | 'jsonl';

/** Returns what stands before the first event. */
export function exportHead(format: ExportFormat): string {
  return format === 'csv' ? csvLine(COLUMNS) : '';
}

/** Prints one event as one line; times are ISO 8601. */
export function exportLine(event: RecordedEvent, format: ExportFormat): string {
  const at = new Date(event.at).toISOString();
  if (format === 'jsonl') return `${JSON.stringify({ ...event, at })}\n`;
  return csvLine(COLUMNS.map((column) => (column === 'at' ? at : event[column])));
}

/** Prints one line of CSV; null is an empty cell. */
export function csvLine(cells: readonly (string | number | null)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

function csvCell(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
