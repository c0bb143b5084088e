/**
 * What a pool is given by those who own it: time, chance, and whom to tell.
 */

import type { Clock } from '../base/clock.ts';
import type { AipassError } from '../base/errors.ts';
import type { PoolEvent, PoolStrategy } from '../protocol/pool.ts';
import type { Chance } from './backoff.ts';

/** Is the judgement of a check of one key. */
export type CheckVerdict = 'valid' | 'invalid' | 'unknown';

/** Is what a pool is given by those who own it. */
export interface PoolParts {
  readonly provider: string;
  readonly strategy: PoolStrategy;
  /** Tells whether calls need a key; a local provider may do without. */
  readonly needsKey: boolean;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly emit: (event: PoolEvent) => void;
  /** Returns the error that says why there is no key at all. */
  readonly whyNone: () => AipassError;
  /** Is told when something has to be saved. */
  readonly onChange: () => void;
  /** Is told when a call may start that could not before. */
  readonly onFree: () => void;
  /** Asks for a check of a key before its next call; absent where nobody can. */
  readonly requestCheck?: ((keyId: string) => void) | undefined;
}
