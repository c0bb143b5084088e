/**
 * Which requests may be sent again, and when: the transient statuses, Retry-After (RFC 9110
 * §10.2.3) and HTTP dates (RFC 9110 §5.6.7). The only list and the only parsers in aipassd.
 *
 * Whatever is neither seconds nor one of the three date forms is ignored: `Date.parse` accepts
 * "-5", "7 apples" and "12/25/2099". Fractional seconds are not in the RFC, but providers send
 * them. Runs on Node 20.16 for the client.
 */

/** Longest wait that is believed, in milliseconds: a monthly quota and a day. */
export const MAX_RETRY_AFTER_MS = 32 * 86_400_000;

/** Longest header value that is parsed, in characters. */
const MAX_LENGTH = 64;

const SECONDS = /^\d+(?:\.\d+)?$/;
const IMF_FIXDATE =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/;
const RFC_850 =
  /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/;
const ASCTIME =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Years ahead at which a two-digit year means the last century (RFC 9110 §5.6.7). */
const MAX_YEARS_AHEAD = 50;

/**
 * Returns the wait that a Retry-After value asks for, in milliseconds, or undefined where the value
 * is absent or not valid.
 *
 * A date in the past is a wait of 0. A wait beyond MAX_RETRY_AFTER_MS is cut to it. A number, as
 * some libraries give it, is seconds.
 *
 * @param now epoch milliseconds; pass the answer's own `Date` (parseHttpDate) so that a wrong clock
 * does not matter.
 */
export function parseRetryAfter(value: string | number | null | undefined, now: number): number | undefined {
  const text = String(value ?? '').trim();
  if (text === '' || text.length > MAX_LENGTH) return undefined;
  if (SECONDS.test(text)) return bounded(Number(text) * 1000);
  const date = parseHttpDate(text, now);
  return date === undefined ? undefined : bounded(Math.max(0, date - now));
}

/**
 * Returns whether the same request may succeed later: 408, 425, 429 and every 5xx (RFC 9110 §15;
 * RFC 6585; RFC 8470). A status above 599 is not valid, and treated as a 5xx (RFC 9110 §15).
 */
export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/** Returns the wait of a `retry-after-ms` value (Azure, OpenAI) in milliseconds, or undefined. */
export function parseRetryAfterMs(value: string | number | null | undefined): number | undefined {
  const text = String(value ?? '').trim();
  return text.length <= MAX_LENGTH && SECONDS.test(text) ? bounded(Number(text)) : undefined;
}

/** Returns the Retry-After value for a wait in milliseconds: whole seconds, at least one. */
export function formatRetryAfter(waitMs: number): string {
  return String(Math.max(1, Math.ceil(waitMs / 1000)));
}

/**
 * Parses an HTTP date: IMF-fixdate, or the obsolete RFC 850 and asctime forms, all in GMT.
 *
 * @param now epoch milliseconds, which decides the century of a two-digit year.
 * @returns epoch milliseconds, or undefined for anything else, dates that do not exist included.
 */
export function parseHttpDate(text: string, now: number): number | undefined {
  const fields = (IMF_FIXDATE.exec(text) ?? RFC_850.exec(text) ?? ASCTIME.exec(text))?.groups;
  if (fields === undefined) return undefined;
  const month = MONTHS.indexOf(fields['month'] ?? '');
  const day = Number(fields['day']);
  const [hour = 0, minute = 0, second = 0] = (fields['time'] ?? '').split(':').map(Number);
  const year = fullYear(fields['year'] ?? '', now);
  // A second of 60 is a leap second.
  if (month < 0 || hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(Date.UTC(year, month, day, hour, minute, second));
  if (year < 100) date.setUTCFullYear(year);
  const exists = new Date(Date.UTC(2000 + (year % 400), month, day)).getUTCDate() === day;
  return exists && day > 0 ? date.getTime() : undefined;
}

function fullYear(text: string, now: number): number {
  if (text.length === 4) return Number(text);
  const current = new Date(now).getUTCFullYear();
  const year = current - (current % 100) + Number(text);
  return year > current + MAX_YEARS_AHEAD ? year - 100 : year;
}

function bounded(ms: number): number {
  return Math.min(Math.ceil(ms), MAX_RETRY_AFTER_MS);
}
