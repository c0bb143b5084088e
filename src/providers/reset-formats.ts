/**
 * Reads when a limit resets, in each format that providers use. The same header name means
 * different units at different providers, so the format is always given and never guessed, save for
 * `any`.
 *
 * Every parser returns milliseconds from now, above zero, or null for what is not a usable time.
 * That is empty, a sentinel (-1, 0), negative, past, in another format, or further away than any
 * real window.
 */

import { parseHttpDate, parseRetryAfter, parseRetryAfterMs } from '../base/retry-after.ts';

/**
 * Format of a reset: `any` is for unknown providers, `epoch-or-duration` for those that were seen
 * with both.
 */
export type ResetFormat =
  'go-duration' | 'seconds' | 'rfc3339' | 'epoch-seconds' | 'epoch-milliseconds' | 'epoch-or-duration' | 'any';

/** Longest time to a reset that is believed, in milliseconds: a month's window and a day. */
export const MAX_RESET_MS = 32 * 86_400_000;

/** Longest text that is parsed, in characters; real values have at most 30. */
const MAX_TEXT = 64;

const GO_UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const GO_DURATION = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))+$/;
const GO_PART = /(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h)/g;
const DECIMAL = /^\d+(?:\.\d+)?$/;
const INTEGER = /^\d+$/;
const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;
const PROTOBUF_DURATION = /^\d+(?:\.\d{1,9})?s$/;

/** Reads a reset header's value; `now` is wall time in epoch milliseconds. */
export function parseReset(text: string, format: ResetFormat, now: number): number | null {
  const value = text.trim();
  if (value === '' || value.length > MAX_TEXT) return null;
  return PARSERS[format](value, now);
}

const PARSERS: Readonly<Record<ResetFormat, (value: string, now: number) => number | null>> = {
  'go-duration': parseGoDuration,
  seconds: (value) => (DECIMAL.test(value) ? believable(Number(value) * 1000) : null),
  rfc3339: (value, now) => (RFC3339.test(value) ? believable(Date.parse(value) - now) : null),
  'epoch-seconds': (value, now) => (DECIMAL.test(value) ? believable(Number(value) * 1000 - now) : null),
  'epoch-milliseconds': (value, now) => (INTEGER.test(value) ? believable(Number(value) - now) : null),
  'epoch-or-duration': (value, now) => PARSERS['epoch-seconds'](value, now) ?? parseGoDuration(value),
  // The ranges do not overlap: seconds end at a month (about 3e6), epoch seconds are about 2e9,
  // milliseconds 2e12.
  any: (value, now) =>
    parseLooseDuration(value) ??
    PARSERS.rfc3339(value, now) ??
    believable((parseHttpDate(value, now) ?? 0) - now) ??
    PARSERS.seconds(value, now) ??
    PARSERS['epoch-seconds'](value, now) ??
    PARSERS['epoch-milliseconds'](value, now),
};

/** Reads a Go duration such as `6m0s`, `2m59.56s` or `370ms` (OpenAI, Groq). */
export function parseGoDuration(text: string): number | null {
  if (text.length > MAX_TEXT || !GO_DURATION.test(text)) return null;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(GO_PART)) sum += Number(amount) * (GO_UNITS[unit ?? ''] ?? Number.NaN);
  return believable(sum);
}

/**
 * Reads a Go duration as those write it who imitate Go: with blanks, and with days in front (`1d 2h
 * 3m`).
 */
function parseLooseDuration(text: string): number | null {
  const [, days, rest = ''] = /^(?:(\d{1,2})d)?(.*)$/.exec(text.replaceAll(' ', '')) ?? [];
  const restMs = parseGoDuration(rest);
  return days === undefined ? restMs : believable(Number(days) * 86_400_000 + (restMs ?? 0));
}

/** Reads a protobuf duration in JSON such as `26s` or `20.04s` (Gemini's RetryInfo). */
export function parseProtobufDuration(text: string): number | null {
  return text.length <= MAX_TEXT && PROTOBUF_DURATION.test(text) ? believable(Number(text.slice(0, -1)) * 1000) : null;
}

/**
 * Matches numbers that are epoch seconds or milliseconds where seconds from now are expected: from
 * 2001 to 5138.
 */
const EPOCH = /^\d{10,14}(?:\.\d+)?$/;

/** Other names of `Retry-After`. */
const RETRY_AFTER_NAMES = ['retry-after', 'x-retry-after', 'x-ratelimit-retry-after', 'x-ratelimit-reset-after'];

/**
 * Returns the wait that `retry-after-ms` (Azure, OpenAI), `Retry-After`, `x-retry-after`,
 * `x-ratelimit-retry-after` or `x-ratelimit-reset-after` asks for, in milliseconds; zero, negative
 * and past values count as absent.
 *
 * `Retry-After` is read as RFC 9110 has it, and also as providers write it. They send it with a
 * fraction, in quotes, as epoch seconds, as a timestamp of RFC 3339, or with a unit (`60s`, `60
 * seconds`).
 */
export function readAskedWait(headers: Readonly<Record<string, string>>, now: number): number | undefined {
  // Measured against the answer's own clock, so that a wrong one on either side does not matter.
  const sentAt = parseHttpDate(headers['date']?.trim() ?? '', now) ?? now;
  const waits = [
    parseRetryAfterMs(headers['retry-after-ms']),
    ...RETRY_AFTER_NAMES.map((name) => {
      const text = (headers[name] ?? '').trim().replace(/^"(.*)"$/, '$1');
      if (EPOCH.test(text)) return parseReset(text, 'any', now);
      return parseRetryAfter(text, sentAt) ?? parseReset(text.replace(/ ?sec(?:ond)?s?$/i, 's'), 'any', now);
    }),
  ];
  return waits.find((wait) => typeof wait === 'number' && wait > 0) ?? undefined;
}

/**
 * Returns the wait of the IETF's `RateLimit` headers in milliseconds: `RateLimit:
 * "default";r=0;t=44` (draft-ietf-httpapi-ratelimit-headers-08 and later), `RateLimit: limit=100,
 * remaining=0, reset=44` (07), or `RateLimit-Reset` beside `RateLimit-Remaining` (06 and earlier),
 * whose reset some write as a point in time. Among several limits only the used-up ones count.
 */
export function readIetfWait(headers: Readonly<Record<string, string>>, now: number): number | undefined {
  const field = (headers['ratelimit'] ?? '').slice(0, 1000);
  const items = /\bremaining=/.test(field) ? [field] : field.split(',');
  const waits = items.flatMap((item) => {
    const remaining = /(?:;\s*r|\bremaining)=(\d{1,15})\b/.exec(item)?.[1];
    const reset = /(?:;\s*t|\breset)=(\d{1,10})\b/.exec(item)?.[1];
    return reset === undefined || (remaining !== undefined && Number(remaining) > 0) ? [] : [Number(reset)];
  });
  if (waits.length > 0) return believable(Math.max(...waits) * 1000) ?? undefined;
  const left = Number((headers['ratelimit-remaining'] ?? '0').trim());
  return left > 0 ? undefined : (parseReset(headers['ratelimit-reset'] ?? '', 'any', now) ?? undefined);
}

function believable(ms: number): number | null {
  return ms > 0 && ms <= MAX_RESET_MS ? Math.ceil(ms) : null;
}
