/**
 * Prints events as CSV or as JSON lines. Pure.
 */

import { csvLine } from '../protocol/csv.ts';
import type { RecordedEvent } from '../protocol/usage.ts';
import { COLUMNS } from './event.ts';

/** Formats of an export. */
export type ExportFormat = 'csv' | 'jsonl';

/** Returns what stands before the first event. */
export function exportHead(format: ExportFormat): string {
  return format === 'csv' ? csvLine(COLUMNS.map(({ field }) => field)) : '';
}

/** Prints one event as one line; times are ISO 8601. */
export function exportLine(event: RecordedEvent, format: ExportFormat): string {
  const at = new Date(event.at).toISOString();
  if (format === 'jsonl') return `${JSON.stringify({ ...event, at })}\n`;
  return csvLine(
    COLUMNS.map(({ field }) => {
      const value = field === 'at' ? at : event[field];
      return typeof value === 'boolean' ? String(value) : value;
    }),
  );
}
