/**
 * Repeats a call where that can help: after a broken connection, a TLS failure, a 429, a 5xx. Loads
 * `node:` modules only.
 *
 * The next try goes over a fresh connection: idle connections of Node's shared agents are closed
 * first, because where one broke, others often did too. The call also gets an agent of its own for
 * libraries that accept one.
 */

import type * as Http from 'node:http';
import type * as Https from 'node:https';
import { backoffMs } from '../base/backoff.ts';
import { foregroundClock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { isTransientStatus } from '../base/retry-after.ts';
import { delay } from '../base/timers.ts';
import { ownStatusOf, retryAfterOf, withCauses } from './answer-fields.ts';

/** One try, as the call sees it. */
export interface RetryAttempt {
  /** Number of the try; the first is 1. */
  readonly number: number;
  /** Fresh agents for `https:` and `http:`, from the second try on; undefined in the first. */
  readonly httpsAgent: Https.Agent | undefined;
  readonly httpAgent: Http.Agent | undefined;
}

/** Number and pace of tries; each has a default. */
export interface RetryOptions {
  /** Maximum number of tries in all, 4 by default. */
  readonly attempts?: number | undefined;
  /** Limit of the first wait, in milliseconds; it doubles with each try. 1000 by default. */
  readonly minDelayMs?: number | undefined;
  /** Limit of every wait, Retry-After included, in milliseconds; 60 000 by default. */
  readonly maxDelayMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Returns a number in [0, 1); Math.random by default. */
  readonly random?: (() => number) | undefined;
}

/** Codes of broken connections and of failed TLS, of Node, undici and OpenSSL. */
const CONNECTION_CODE =
  /^(?:ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EAI_AGAIN|EPROTO|ERR_SSL_\w+|ERR_STREAM_PREMATURE_CLOSE|UND_ERR_(?:SOCKET|CONNECT_TIMEOUT|HEADERS_TIMEOUT|BODY_TIMEOUT))$/;

/** Codes of AipassError after which another try can succeed. */
const TRANSIENT = new Set(['PROVIDER_UNAVAILABLE', 'DAEMON_UNREACHABLE', 'POOL_EXHAUSTED', 'TIMED_OUT']);

/** Calls a function until it succeeds, fails for good, or was tried often enough. */
export async function withRetry<T>(
  work: (attempt: RetryAttempt) => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
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
      const verdict = judgeRetry(error, foregroundClock.now());
      if (verdict.kind === 'final' || number >= attempts) throw error;
      const waitMs = retryDelay(number, verdict.retryAfterMs, random, options);
      if ((await delay(foregroundClock, waitMs, signal)) === 'aborted') {
        throw new AipassError('CANCELLED', 'the call was cancelled', { cause: signal?.reason });
      }
      closeIdle();
    }
  }
}

/** Whether another try can help. */
export type RetryVerdict =
  { readonly kind: 'final' } | { readonly kind: 'again'; readonly retryAfterMs: number | undefined };

/** Judges a failure by its code and status, through its causes, never by its text. */
export function judgeRetry(error: unknown, now: number): RetryVerdict {
  if (error instanceof AipassError) {
    return TRANSIENT.has(error.code) ? { kind: 'again', retryAfterMs: error.retryAfterMs } : { kind: 'final' };
  }
  for (const one of withCauses(error)) {
    const status = ownStatusOf(one);
    if (status !== undefined) {
      return isTransientStatus(status) ? { kind: 'again', retryAfterMs: retryAfterOf(one, now) } : { kind: 'final' };
    }
    const code: unknown = Reflect.get(one, 'code');
    if (typeof code === 'string' && CONNECTION_CODE.test(code)) return { kind: 'again', retryAfterMs: undefined };
  }
  return { kind: 'final' };
}

/** Returns the wait after a try, in milliseconds, at least what the server asks for. */
export function retryDelay(
  number: number,
  retryAfterMs: number | undefined,
  random: () => number,
  { minDelayMs = 1000, maxDelayMs = 60_000 }: Pick<RetryOptions, 'minDelayMs' | 'maxDelayMs'> = {},
): number {
  const wait = backoffMs({ firstMs: minDelayMs, maxMs: maxDelayMs, jitter: 1 }, number, random);
  return Math.min(maxDelayMs, Math.max(wait, retryAfterMs ?? 0));
}

/** An import would load every lazy export too (WebSocket, and fetch with it). */
function http(): typeof Http {
  return process.getBuiltinModule('node:http');
}

function https(): typeof Https {
  return process.getBuiltinModule('node:https');
}

/** Closes idle connections, and only those: calls under way keep theirs. */
function closeIdle(): void {
  for (const agent of [http().globalAgent, https().globalAgent]) {
    for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }
}
