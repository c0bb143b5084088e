/**
 * Reads the ends of a range of time as people type them: a date, a moment, or so long ago.
 */

import { UsageError } from './usage-error.ts';

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/**
 * Reads `2026-11-21` (UTC), `2026-11-21T10:00:00Z`, `2026-11-21T10:00` (local time), or `30s`, `15m`, `12h`, `7d`, `4w` before now, as epoch milliseconds.
 *
 * @throws UsageError when the text is none of these.
 */
export function parseTime(text: string | undefined, option: string, now: number): number | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return Math.max(0, now - Number(count) * (UNITS_MS[unit] ?? 0));
  const [, date] = /^(\d{4}-\d{2}-\d{2})(?:T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?$/.exec(text) ?? [];
  const at = date !== undefined && isDay(date) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(at) && at >= 0) return at;
  throw new UsageError(
    `${option} is no time`,
    'write 2026-11-21, 2026-11-21T10:00Z, or 30m, 12h, 7d, 4w for so long ago',
  );
}

/** Tells whether the calendar has the day; Date takes the 30th of February for the 2nd of March. */
function isDay(date: string): boolean {
  const at = Date.parse(date);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(date);
}
