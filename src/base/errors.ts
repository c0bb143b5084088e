/**
 * The one error class of aipassd, and every code it can carry.
 *
 * A code is stable and documented here; the message is for people; the hint is an action that fixes
 * the cause. The wire carries code, message, hint and retryAfterMs: never a cause, never a stack,
 * never a secret.
 */

import { inspect, type InspectOptions } from 'node:util';

export const ERROR_CODES = {
  /** The request itself is wrong (unknown operation, bad parameter, garbage frame). */
  BAD_REQUEST: 'the request is wrong',
  /** The thing that was asked for does not exist: an unknown provider, no key, no such secret. */
  NOT_FOUND: 'what was asked for does not exist',
  /** The caller may not do this. */
  FORBIDDEN: 'the caller may not do this',
  /** An OAuth account needs its user's consent again. */
  REAUTH_REQUIRED: 'the account needs the consent of its user',
  /** No key of the pool is free; retryAfterMs is the time until the first one is. */
  POOL_EXHAUSTED: 'no key of the pool is free',
  /** The provider rejected the request; its status is in the message. It is not retried. */
  PROVIDER_REJECTED: 'the provider rejected the request',
  /** The provider could not be reached, failed, or answered nonsense. May be repeated. */
  PROVIDER_UNAVAILABLE: 'the provider did not give an answer',
  /** A time limit passed: the client's own, or the provider's for its first or next byte. */
  TIMED_OUT: 'a time limit passed',
  /** The request was ended by its caller, a lost connection or a stop. It may have had effects. */
  CANCELLED: 'the request was ended before its result',
  /**
   * The change contradicts what is there: a duplicate, or another change at the same moment. Or the
   * audit contradicts itself.
   */
  CONFLICT: 'the change conflicts with the current state',
  /** The provider or the kind of thing is not supported. */
  UNSUPPORTED: 'this is not supported',
  /** Other users can access a secrets file or folder. */
  UNSAFE_PERMISSIONS: 'other users can access a file',
  /** Client and daemon speak different protocol versions. */
  VERSION_MISMATCH: 'client and daemon speak different protocols',
  /** The daemon did not take the request, or was gone before it answered one without effects. */
  DAEMON_UNREACHABLE: 'the daemon cannot be reached',
  /** Another daemon already serves this socket. */
  ALREADY_RUNNING: 'another daemon is running',
  /** A defect of aipassd, or a failure of its machine: disk, database, socket. The log has more. */
  INTERNAL: 'aipassd, or what it needs on this machine, failed',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Details of an error. The cause never leaves the process. */
export interface ErrorDetails {
  readonly hint?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly retryAfterMs?: number;
}

/** Marks the errors of every copy of this class: a program can hold two packages of the client. */
const MARK = Symbol.for('aipassd.AipassError');

/** Every failure that aipassd reports, on both sides of the socket. */
export class AipassError extends Error {
  /** Returns whether a value is an error of this class, or of another copy of it. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== AipassError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return value instanceof Error && MARK in value;
  }

  override readonly name = 'AipassError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
    this.retryAfterMs = details.retryAfterMs;
  }

  get [MARK](): true {
    return true;
  }

  /** Prints the error without its cause, which can hold a foreign secret. */
  [inspect.custom](_depth: number, options: InspectOptions): string {
    const { stack, name, message, cause: _cause, ...facts } = this;
    return `${stack ?? `${name}: ${message}`} ${inspect(facts, options)}`;
  }

  /** Returns the part of this error that may leave the process. */
  toWire(): WireError {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }

  /** Rebuilds an error from the wire; an unknown code (of a newer daemon) becomes INTERNAL. */
  static fromWire(wire: ErrorDetails & { readonly code: string; readonly message: string }): AipassError {
    return isErrorCode(wire.code)
      ? new AipassError(wire.code, wire.message, wire)
      : new AipassError('INTERNAL', `${wire.code}: ${wire.message}`, wire);
  }
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}

/** Returns the `code` of a Node system error (`ENOENT`, …), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
