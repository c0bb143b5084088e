/**
 * How a consent flow talks with its user.
 */

import type { ConsentPrompt } from '../../protocol/oauth.ts';

/** Is the worker's line to the user. */
export interface ConsentChannel {
  prompt(prompt: ConsentPrompt): void;
  /** Calls back with each redirect address that the user pastes. */
  onPasted(callback: (address: string) => void): void;
  /** Aborts when nobody waits for the consent any more, or its time is over. */
  readonly signal: AbortSignal;
}
