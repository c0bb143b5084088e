/**
 * Reads the HTTP status, headers and body from what other libraries throw or return, wherever they
 * keep them. Nothing here throws. `withRetry` and pooled clients judge by the same fields.
 */

import { isRecord, parseJson } from '../base/json.ts';
import { parseRetryAfter, parseRetryAfterMs } from '../base/retry-after.ts';

/** Maximum depth at which the causes of an error are followed. */
const MAX_CAUSES = 5;

/** The headers that describe a limit: RFC 9110's, the IETF draft's and the providers' own. */
const LIMIT_HEADER = /^(?:(?:x-)?retry-after(?:-ms)?|date|x-should-retry)$|rate-?limit|quota/;

/** Bounds of what is reported about an answer. */
const MAX_HEADERS = 64;
const MAX_HEADER_LENGTH = 256;
const MAX_BODY_LENGTH = 16_384;

/** Slack answers 200 with these for a refused token (https://docs.slack.dev/reference/methods). */
const SLACK_REJECTED: ReadonlySet<unknown> = new Set([
  'invalid_auth',
  'not_authed',
  'account_inactive',
  'token_revoked',
  'token_expired',
]);

/** Returns whether a value is an object with these methods, of whatever realm or package. */
export function hasMethods(value: unknown, ...names: readonly (string | symbol)[]): value is object {
  return (
    typeof value === 'object' && value !== null && names.every((name) => typeof Reflect.get(value, name) === 'function')
  );
}

/** Returns the HTTP status of an error, of its response or of a cause, or undefined. */
export function statusOf(error: unknown): number | undefined {
  for (const one of withCauses(error)) {
    const status = ownStatusOf(one);
    if (status !== undefined) return status;
  }
  return undefined;
}

/** Returns the HTTP status of an error or of its response, not of its causes, or undefined. */
export function ownStatusOf(error: object): number | undefined {
  const response = field(error, 'response');
  const metadata = field(error, '$metadata');
  const candidates = [
    field(error, 'status'),
    field(error, 'statusCode'),
    field(response, 'status'),
    field(response, 'statusCode'),
    field(metadata, 'httpStatusCode'),
    slackStatus(error),
    field(error, 'code'),
  ];
  return candidates.map(toStatus).find((status) => status !== undefined);
}

/** Returns the error and its causes, outermost first. */
export function withCauses(error: unknown): object[] {
  const found: object[] = [];
  let current = error;
  while (found.length < MAX_CAUSES && typeof current === 'object' && current !== null && !found.includes(current)) {
    found.push(current);
    current = field(current, 'cause');
  }
  return found;
}

/** Returns the limit headers of an error, of a response or of a cause, by lower-case name. */
export function reportedLimitHeaders(answer: unknown): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const one of withCauses(answer)) {
    for (const holder of [one, field(one, 'response')]) {
      const headers = field(holder, 'headers');
      if (typeof headers !== 'object' || headers === null) continue;
      for (const [name, value] of headerEntries(headers)) {
        const lower = name.toLowerCase();
        const text = Array.isArray(value) ? String(value[0]) : typeof value === 'number' ? String(value) : value;
        if (typeof text !== 'string' || text.length > MAX_HEADER_LENGTH || !LIMIT_HEADER.test(lower)) continue;
        if (Object.keys(found).length < MAX_HEADERS) found[lower] ??= text;
      }
    }
  }
  return found;
}

/** Returns the wait that an error asks for, in milliseconds, or undefined. */
export function retryAfterOf(error: unknown, now: number): number | undefined {
  const headers = reportedLimitHeaders(error);
  const wait = parseRetryAfterMs(headers['retry-after-ms']) ?? parseRetryAfter(headers['retry-after'], now);
  if (wait !== undefined) return wait;
  // Slack's client gives the header's seconds as a field.
  const seconds = field(error, 'retryAfter');
  return typeof seconds === 'number' ? parseRetryAfter(seconds, now) : undefined;
}

/** Returns the parsed error document that came with an error, unless it is too large. */
export function errorBodyOf(error: unknown): unknown {
  for (const one of withCauses(error)) {
    const response = field(one, 'response');
    for (const value of [
      field(response, 'data'),
      field(response, 'body'),
      field(one, 'error'),
      field(one, 'body'),
      field(one, 'data'),
      field(one, 'raw'),
    ]) {
      const body = typeof value === 'string' ? parseJson(value) : value;
      if (!isRecord(body)) continue;
      const plain = plainBody(body);
      if (plain !== undefined) return plain;
    }
  }
  return undefined;
}

/** Returns a copy of a document as JSON gives it, without a depth or a size that nobody reads. */
function plainBody(body: object): unknown {
  try {
    const text = JSON.stringify(body);
    if (text.length > MAX_BODY_LENGTH) return undefined;
    const plain = parseJson(text);
    // The openai package keeps the inner object only; providers' documents have it under "error".
    return isRecord(plain) && 'message' in plain && !('error' in plain) ? { error: plain } : plain;
  } catch {
    // A cycle, or a getter that throws: not an error document.
    return undefined;
  }
}

function headerEntries(headers: object): Iterable<readonly [string, unknown]> {
  const entries: unknown = Reflect.get(headers, 'entries');
  if (typeof entries !== 'function') return Object.entries(headers);
  try {
    return Reflect.apply(entries, headers, []) as Iterable<readonly [string, unknown]>;
  } catch {
    return [];
  }
}

function slackStatus(error: object): number | undefined {
  switch (field(error, 'code')) {
    case 'slack_webapi_rate_limited_error':
      return 429;
    case 'slack_webapi_platform_error': {
      const reason = field(field(error, 'data'), 'error');
      return SLACK_REJECTED.has(reason) ? 401 : reason === 'ratelimited' ? 429 : undefined;
    }
    default:
      return undefined;
  }
}

function toStatus(value: unknown): number | undefined {
  const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
  return typeof status === 'number' && Number.isInteger(status) && status >= 100 && status <= 599 ? status : undefined;
}

/** Returns a field of any value, inherited ones too; undefined where reading it throws. */
function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  try {
    return Reflect.get(value, name);
  } catch {
    return undefined;
  }
}
