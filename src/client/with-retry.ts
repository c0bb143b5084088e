/**
 * Tries a call again where that can help: a broken connection, a TLS failure, a 429, a 5xx. Loads `node:` modules only.
 *
 * The next try goes over a fresh connection: idle connections of Node's shared agents are closed first, because one that
 * broke seldom broke alone; and the call is handed an agent of its own for libraries that take one.
 */

import type * as Http from 'node:http';
import type * as Https from 'node:https';
import { AipassError } from '../base/errors.ts';

/** Is one try, as the call sees it. */
export interface Attempt {
  /** Begins at 1. */
  readonly number: number;
  /** Is a fresh agent for `https:` and one for `http:`, from the second try on; undefined in the first. */
  readonly httpsAgent: Https.Agent | undefined;
  readonly httpAgent: Http.Agent | undefined;
}

/** Says how often and how fast to try; each has a default. */
export interface RetryOptions {
  /** Is the most tries in all, 4 without it. */
  readonly attempts?: number | undefined;
  /** Is the limit of the first wait, in milliseconds; it doubles. 1000 without it. */
  readonly minDelayMs?: number | undefined;
  /** Is the limit of every wait, Retry-After included, in milliseconds; 60 000 without it. */
  readonly maxDelayMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Returns a number in [0, 1); Math.random without it. */
  readonly random?: (() => number) | undefined;
}

/** Matches the codes of broken connections and of TLS that fell out of step, as Node, undici and OpenSSL name them. */
const CONNECTION_CODE =
  /^(?:ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EAI_AGAIN|EPROTO|ERR_SSL_\w+|ERR_STREAM_PREMATURE_CLOSE|UND_ERR_(?:SOCKET|CONNECT_TIMEOUT|HEADERS_TIMEOUT|BODY_TIMEOUT))$/;

/** Names our own failures that another try can mend. */
const MENDABLE = new Set(['PROVIDER_UNAVAILABLE', 'DAEMON_UNREACHABLE', 'POOL_EXHAUSTED', 'TIMED_OUT']);

/** Bounds how deep the causes of an error are looked through. */
const MAX_CAUSES = 5;

/** Calls a function until it succeeds, fails for good, or has been tried often enough; then rejects with its last failure. */
export async function withRetry<T>(work: (attempt: Attempt) => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { attempts = 4, signal, random = Math.random } = options;
  for (let number = 1; ; number++) {
    const agents =
      number === 1
        ? undefined
        : {
            https: new (https().Agent)({ keepAlive: false, proxyEnv: process.env }),
            http: new (http().Agent)({ keepAlive: false, proxyEnv: process.env }),
          };
    try {
      return await work({ number, httpsAgent: agents?.https, httpAgent: agents?.http });
    } catch (error) {
      const verdict = judgeRetry(error, Date.now());
      if (verdict.kind === 'final' || number >= attempts) throw error;
      await pause(retryDelay(number, verdict.retryAfterMs, random(), options), signal);
      closeIdle();
    }
  }
}

/** Is whether another try can help. */
export type RetryVerdict =
  { readonly kind: 'final' } | { readonly kind: 'again'; readonly retryAfterMs: number | undefined };

/** Judges a failure by its code and status, through its causes, never by its text. `now` is epoch milliseconds. */
export function judgeRetry(error: unknown, now: number): RetryVerdict {
  if (error instanceof AipassError) {
    return MENDABLE.has(error.code) ? { kind: 'again', retryAfterMs: error.retryAfterMs } : { kind: 'final' };
  }
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && typeof current === 'object' && current !== null; depth++) {
    const status = statusOf(current);
    if (status !== undefined) {
      const again = status === 408 || status === 425 || status === 429 || status >= 500;
      return again ? { kind: 'again', retryAfterMs: retryAfter(current, now) } : { kind: 'final' };
    }
    const code: unknown = Reflect.get(current, 'code');
    if (typeof code === 'string' && CONNECTION_CODE.test(code)) return { kind: 'again', retryAfterMs: undefined };
    current = Reflect.get(current, 'cause');
  }
  return { kind: 'final' };
}

/** Returns the wait after a try, in milliseconds: full jitter under a limit that doubles, and at least the server's wish. */
export function retryDelay(
  number: number,
  retryAfterMs: number | undefined,
  random: number,
  { minDelayMs = 1000, maxDelayMs = 60_000 }: Pick<RetryOptions, 'minDelayMs' | 'maxDelayMs'> = {},
): number {
  const limit = Math.min(maxDelayMs, minDelayMs * 2 ** (number - 1));
  return Math.min(maxDelayMs, Math.max(random * limit, retryAfterMs ?? 0));
}

function statusOf(error: object): number | undefined {
  const response: unknown = Reflect.get(error, 'response');
  const inner: unknown =
    typeof response === 'object' && response !== null ? Reflect.get(response, 'status') : undefined;
  for (const value of [
    Reflect.get(error, 'status'),
    inner,
    Reflect.get(error, 'statusCode'),
    Reflect.get(error, 'code'),
  ]) {
    const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
    if (typeof status === 'number' && status >= 100 && status < 600) return status;
  }
  return undefined;
}

/** Reads Retry-After from the headers of an error or of its response: seconds, or a date (RFC 9110 §10.2.3). */
function retryAfter(error: object, now: number): number | undefined {
  const response: unknown = Reflect.get(error, 'response');
  const holder = typeof response === 'object' && response !== null ? response : error;
  const headers: unknown = Reflect.get(holder, 'headers');
  if (typeof headers !== 'object' || headers === null) return undefined;
  const value: unknown = headers instanceof Headers ? headers.get('retry-after') : Reflect.get(headers, 'retry-after');
  if (typeof value === 'number') return value * 1000;
  if (typeof value !== 'string') return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Closes the connections that nobody uses now, and only those: calls under way keep theirs. */
/** Not by import: that loads every lazy export too (WebSocket, and fetch with it), whenever the client is loaded. */
function http(): typeof Http {
  return process.getBuiltinModule('node:http');
}

function https(): typeof Https {
  return process.getBuiltinModule('node:https');
}

function closeIdle(): void {
  for (const agent of [http().globalAgent, https().globalAgent]) {
    for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      reject(new AipassError('CANCELLED', 'the call was cancelled', { cause: signal?.reason }));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', end);
      resolve();
    }, ms);
    if (signal?.aborted === true) end();
    else signal?.addEventListener('abort', end, { once: true });
  });
}
