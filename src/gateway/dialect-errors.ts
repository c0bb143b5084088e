/**
 * Errors of the gateway itself, in the shape that clients of a dialect parse. What a provider
 * answers is passed on as it is and never comes through here.
 */

import { randomUUID } from 'node:crypto';
import { AipassError, type ErrorCode } from '../base/errors.ts';
import { formatRetryAfter } from '../base/retry-after.ts';
import { NOT_AGAIN } from '../completions/forwarding.ts';
import type { Dialect } from '../providers/provider.ts';

/** Answer of the gateway itself. */
export interface GatewayAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Shape of the body: a dialect, or `aipassd` for the management API. */
export type ErrorShape = Dialect | 'aipassd';

const STATUS_OF: Readonly<Partial<Record<ErrorCode, number>>> = {
  BAD_REQUEST: 400,
  NOT_FOUND: 404,
  FORBIDDEN: 403,
  REAUTH_REQUIRED: 503,
  UNSAFE_PERMISSIONS: 403,
  CONFLICT: 409,
  UNSUPPORTED: 501,
  POOL_EXHAUSTED: 429,
  PROVIDER_REJECTED: 502,
  PROVIDER_UNAVAILABLE: 503,
  TIMED_OUT: 504,
  CANCELLED: 503,
};

/** Errors after which the same request may succeed. */
const REPEATABLE: ReadonlySet<ErrorCode> = new Set(['PROVIDER_UNAVAILABLE', 'TIMED_OUT', 'CANCELLED', 'INTERNAL']);

/** Types of `error.type` by status, for Anthropic (docs.claude.com/en/api/errors). */
const ANTHROPIC_TYPE: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  408: 'timeout_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

/** Types of `error.type` by status, for OpenAI. */
const OPENAI_TYPE: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
};

/** Values of `error.status` by status, for Google (google.rpc.Code). */
const GOOGLE_STATUS: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  408: 'DEADLINE_EXCEEDED',
  409: 'ABORTED',
  413: 'INVALID_ARGUMENT',
  421: 'INVALID_ARGUMENT',
  426: 'INVALID_ARGUMENT',
  429: 'RESOURCE_EXHAUSTED',
  501: 'UNIMPLEMENTED',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/**
 * Recovery from which on Codex is to report an exhausted pool, and not to wait for it, in
 * milliseconds.
 */
const LONG_RECOVERY_MS = 60_000;

/** Returns the status that stands for an error's code. */
export function httpStatusOf(error: AipassError): number {
  // A request over a limit of its user is the only bad request that is worth repeating.
  if (error.code === 'BAD_REQUEST' && error.retryAfterMs !== undefined) return 429;
  return STATUS_OF[error.code] ?? 500;
}

/** Refusal of a request, with its status where the error's code does not decide it. */
export class Refusal extends Error {
  readonly error: AipassError;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(error: AipassError, status = httpStatusOf(error), headers: Readonly<Record<string, string>> = {}) {
    super(error.message);
    this.error = error;
    this.status = status;
    this.headers = headers;
  }
}

/** Returns the refusal of a request, to be thrown. */
export function refusal(
  status: number,
  code: ErrorCode,
  problem: string,
  hint: string,
  headers: Readonly<Record<string, string>> = {},
): Refusal {
  return new Refusal(new AipassError(code, problem, { hint }), status, headers);
}

/** Formats an error; `status` is given where the code alone does not decide it. */
export function formatError(
  error: AipassError,
  shape: ErrorShape,
  status: number = httpStatusOf(error),
): GatewayAnswer {
  const requestId = shape === 'aipassd' ? randomUUID() : undefined;
  const body = JSON.stringify(bodyOf(error, shape, status, requestId));
  return {
    status,
    headers: {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'x-content-type-options': 'nosniff',
      ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
      ...retryHeaders(error),
    },
    body,
  };
}

/**
 * Returns the headers that make clients wait or give up. An exhausted pool has tried every key
 * already, and other errors would repeat. The SDKs of OpenAI and Anthropic would call again at once
 * without NOT_AGAIN.
 */
function retryHeaders(error: AipassError): Record<string, string> {
  const headers: Record<string, string> = {};
  if (error.retryAfterMs !== undefined) headers['retry-after'] = formatRetryAfter(error.retryAfterMs);
  const isWorthRepeating =
    REPEATABLE.has(error.code) || (error.code === 'BAD_REQUEST' && error.retryAfterMs !== undefined);
  return isWorthRepeating ? headers : { ...headers, ...NOT_AGAIN };
}

/**
 * Codex reads neither `x-should-retry` nor the message: it shows "Reconnecting…" until the
 * recovery. The type of its own service makes it stop and show the time (openai/codex,
 * codex-api/src/api_bridge.rs).
 */
function usageLimit({ code, retryAfterMs = 0 }: AipassError): { readonly type?: string; readonly resets_at?: number } {
  if (code !== 'POOL_EXHAUSTED' || retryAfterMs < LONG_RECOVERY_MS) return {};
  return { type: 'usage_limit_reached', resets_at: Math.ceil((Date.now() + retryAfterMs) / 1000) };
}

/** Google's clients read from the body when to ask again (google.rpc.RetryInfo). */
function retryInfo({ retryAfterMs }: AipassError): { readonly details?: readonly object[] } {
  if (retryAfterMs === undefined) return {};
  const retryDelay = `${Math.max(1, Math.ceil(retryAfterMs / 1000))}s`;
  return { details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay }] };
}

function bodyOf(error: AipassError, shape: ErrorShape, status: number, requestId: string | undefined): unknown {
  const message = error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
  switch (shape) {
    case 'openai': {
      const type = OPENAI_TYPE[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
      return { error: { message, type, param: null, code: error.code.toLowerCase(), ...usageLimit(error) } };
    }
    case 'anthropic': {
      const type = ANTHROPIC_TYPE[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
      return { type: 'error', error: { type, message } };
    }
    case 'gemini': {
      const name = GOOGLE_STATUS[status] ?? (status < 500 ? 'FAILED_PRECONDITION' : 'INTERNAL');
      return { error: { code: status, message, status: name, ...retryInfo(error) } };
    }
    case 'aipassd':
      return { error: error.toWire(), detail: error.message, request_id: requestId };
  }
}
