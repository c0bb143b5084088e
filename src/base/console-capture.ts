/**
 * Sends what packages print on the console through the log, where the redactor sees it: one of them may print a piece
 * of a provider's answer.
 */

import type { Logger } from './logger.ts';

/** Takes the console over; the returned function gives it back. */
export function captureConsole(logger: Pick<Logger, 'debug'>): () => void {
  const original = { ...console };
  const say = (...parts: unknown[]): void => logger.debug('a package printed', { text: parts.map(String).join(' ') });
  Object.assign(console, { error: say, warn: say, log: say, info: say, debug: say });
  return () => {
    Object.assign(console, original);
  };
}
