/**
 * Sends what packages print on the console to the log, where the redactor masks it: one of them may print a piece of a
 * provider's answer.
 */

import type { Logger } from './logger.ts';

/** Replaces the functions of the console; the returned function restores them. */
export function captureConsole(logger: Pick<Logger, 'debug'>): () => void {
  const original = { ...console };
  const log = (...parts: unknown[]): void => logger.debug('a package printed', { text: parts.map(String).join(' ') });
  Object.assign(console, { error: log, warn: log, log, info: log, debug: log });
  return () => {
    Object.assign(console, original);
  };
}
