/**
 * The error of words that were not understood; the program ends with 1.
 */

import { AipassError } from '../base/errors.ts';

/** Says that the words were not understood, and how they should be. */
export class UsageError extends AipassError {
  constructor(message: string, hint: string) {
    super('BAD_REQUEST', message, { hint });
  }
}
