/**
 * Prints events as CSV or as JSON lines. Pure.
 */

import { csvLine } from '../protocol/csv.ts';
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
