/**
 * Looks at the fields of messages before anything is known of them.
 */

import { plainText } from '../base/plain-text.ts';
import type { RequestId } from '../protocol/messages.ts';
import { MAX_CALLER_LENGTH } from '../protocol/limits.ts';

/** Is the longest request id that is accepted, in characters. */
const MAX_ID_LENGTH = 256;

/** Tells whether a value is an object with fields. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Tells whether a value may name a request. */
export function isRequestId(id: unknown): id is RequestId {
  return typeof id === 'string' ? id.length <= MAX_ID_LENGTH : typeof id === 'number' && Number.isFinite(id);
}

/** Returns a name that a peer gave itself, as plain text of bounded length, or null where it gave none. */
export function label(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? plainText(value, MAX_CALLER_LENGTH) : null;
}
