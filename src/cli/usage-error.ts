/**
 * The error for a command line that is not understood; the program exits with 1.
 */

import { AipassError } from '../base/errors.ts';

/** A command line that is not understood. The hint shows how to write it. */
export class UsageError extends AipassError {
  constructor(message: string, hint: string) {
    super('BAD_REQUEST', message, { hint });
  }
}
