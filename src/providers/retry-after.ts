/**
 * Reads how long a provider wants to be left alone.
 */

/** Is the longest wait that is believed, in milliseconds: a day, the longest window that providers count in. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;

/**
 * Returns the wait of a `retry-after-ms` or `Retry-After` header in milliseconds, at most a day, or undefined where there
 * is none that makes sense.
 *
 * `Retry-After` is seconds or a HTTP date (RFC 9110, 10.2.3); a date that has passed is a wait of zero. `retry-after-ms`
 * is Azure's.
 *
 * @param headers with lower-case names.
 * @param now in epoch milliseconds.
 */
export function readRetryAfter(headers: Readonly<Record<string, string>>, now: number): number | undefined {
  const wait = readNumber(headers['retry-after-ms'], 1) ?? readSecondsOrDate(headers['retry-after'], now);
  return wait === undefined ? undefined : Math.min(Math.ceil(wait), MAX_RETRY_AFTER_MS);
}

function readSecondsOrDate(value: string | undefined, now: number): number | undefined {
  const seconds = readNumber(value, 1000);
  if (seconds !== undefined || value === undefined) return seconds;
  // Without this, Date.parse takes "-5" and "7 apples" for dates, and a date without a zone for local time.
  if (!/^[A-Z][a-z]{2,8}, .+ GMT$/.test(value.trim())) return undefined;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function readNumber(value: string | undefined, unitMs: number): number | undefined {
  return value !== undefined && /^\d{1,15}(?:\.\d{1,9})?$/.test(value.trim()) ? Number(value) * unitMs : undefined;
}
