/**
 * Where a minute, an hour, a day or a month begins and ends in a time zone. Pure.
 *
 * A day begins at the first instant that has its date. So days of 23 and 25 hours, and zones that
 * skip midnight, come out right.
 */

export type CalendarPeriod = 'minute' | 'hour' | 'day' | 'month';

/** Span of time: its first instant, and the first one after it, in epoch milliseconds. */
export interface TimeWindow {
  readonly start: number;
  readonly end: number;
}

/** Length of a day of 24 hours, in milliseconds. */
export const DAY_MS = 86_400_000;

/** Returns whether a name is an IANA time zone that this machine knows. */
export function isTimeZone(zone: string): boolean {
  try {
    return Intl.DateTimeFormat('en-US', { timeZone: zone }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/**
 * Returns the period that an instant lies in. Minutes and hours begin where the zone's clock shows
 * so.
 *
 * @throws RangeError for an unknown zone.
 */
export function windowAt(instant: number, per: CalendarPeriod, zone: string): TimeWindow {
  if (per === 'minute') return fixedWindow(instant, 60_000, 0);
  if (per === 'hour') return fixedWindow(instant, 3_600_000, offsetAt(instant, zone));
  const local = new Date(instant + offsetAt(instant, zone));
  const [year, month, day] = [local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate()];
  const [start, end] =
    per === 'day'
      ? [Date.UTC(year, month, day), Date.UTC(year, month, day + 1)]
      : [Date.UTC(year, month, 1), Date.UTC(year, month + 1, 1)];
  return { start: firstInstantOf(start, zone), end: firstInstantOf(end, zone) };
}

function fixedWindow(instant: number, lengthMs: number, offset: number): TimeWindow {
  const start = Math.floor((instant + offset) / lengthMs) * lengthMs - offset;
  return { start, end: start + lengthMs };
}

/** Returns the first instant whose local time, given as if it were UTC, is that one or later. */
function firstInstantOf(local: number, zone: string): number {
  // Offsets change by a day at most, and two days never have two changes: one of the offsets around
  // it is the right one.
  const offsets = [offsetAt(local - DAY_MS, zone), offsetAt(local + DAY_MS, zone)];
  const exact = offsets
    .map((offset) => local - offset)
    .filter((instant) => instant + offsetAt(instant, zone) === local);
  if (exact.length > 0) return Math.min(...exact);
  // The zone skips this time: its day begins when the clocks go forward, which the offset from
  // before tells.
  return local - Math.min(...offsets);
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Returns how far the zone's clock is ahead of UTC at an instant, in milliseconds. */
function offsetAt(instant: number, zone: string): number {
  if (zone === 'UTC') return 0;
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(zone, format);
  }
  const part = new Map(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
  const local = Date.UTC(
    part.get('year') ?? 0,
    (part.get('month') ?? 1) - 1,
    part.get('day') ?? 1,
    part.get('hour') ?? 0,
    part.get('minute') ?? 0,
    part.get('second') ?? 0,
  );
  return local - Math.floor(instant / 1000) * 1000;
}
