/**
 * Moments as people write them. One rule for time zones: without one, local time. Runs on Node
 * 20.16 for the client.
 */

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Forms of a moment, for hints. */
export const MOMENT_FORMS = '2026-11-21, 2026-11-21T10:00Z, or 30m, 12h, 7d, 4w for so long ago';

/**
 * Parses `2026-11-21` and `2026-11-21T10:00` (both local time), `2026-11-21T10:00:00Z`, or `30s`,
 * `15m`, `12h`, `7d`, `4w` before `now`, to epoch milliseconds; undefined for any other text.
 */
export function parseMoment(text: string, now: number): number | undefined {
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return Math.max(0, now - Number(count) * (UNITS_MS[unit] ?? 0));
  const [, date, clock] = /^(\d{4}-\d{2}-\d{2})(T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?$/.exec(text) ?? [];
  // Date takes a date without a time for UTC, and the 30th of February for the 2nd of March.
  const at = date !== undefined && isDay(date) ? Date.parse(`${date}${clock ?? 'T00:00'}`) : Number.NaN;
  return Number.isNaN(at) || at < 0 ? undefined : at;
}

function isDay(date: string): boolean {
  const at = Date.parse(date);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(date);
}
