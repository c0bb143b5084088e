/**
 * The failures that the client itself gives its callers, and those it reads from the wire.
 */

import { AipassError } from '../base/errors.ts';
import { OPERATIONS_WITH_EFFECTS, type OperationName } from '../protocol/operations.ts';

/** Returns the failure of a request whose line was lost: DAEMON_UNREACHABLE where repeating is safe, CANCELLED where it may do something twice. */
export function lostAnswer(op: OperationName): AipassError {
  return OPERATIONS_WITH_EFFECTS.has(op)
    ? new AipassError('CANCELLED', `the connection was lost while ${op} was under way`, {
        hint: 'it may have had effects: repeat it only if doing it twice is no harm',
      })
    : new AipassError('DAEMON_UNREACHABLE', `the connection was lost before ${op} was answered`, {
        hint: 'it may be repeated; start the daemon if it is down: aipassd run',
      });
}

/** Returns the failure of a request whose signal aborted: TIMED_OUT for AbortSignal.timeout(), CANCELLED for all others. */
export function cancelled(signal: AbortSignal): AipassError {
  const reason: unknown = signal.reason;
  const isTimeout = reason instanceof Error && reason.name === 'TimeoutError';
  return isTimeout
    ? new AipassError('TIMED_OUT', 'the signal of the call timed out', { cause: reason })
    : new AipassError('CANCELLED', 'the call was cancelled', { cause: reason });
}

/** Reads an error from the wire, trusting nothing but its field types. */
export function readError(value: unknown): AipassError {
  const wire = typeof value === 'object' && value !== null ? value : {};
  const text = (name: string): string | undefined => {
    const field: unknown = Reflect.get(wire, name);
    return typeof field === 'string' ? field : undefined;
  };
  const hint = text('hint');
  const retryAfterMs: unknown = Reflect.get(wire, 'retryAfterMs');
  return AipassError.fromWire({
    code: text('code') ?? 'INTERNAL',
    message: text('message') ?? 'the daemon gave no reason',
    ...(hint === undefined ? {} : { hint }),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
  });
}
