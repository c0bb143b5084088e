/**
 * What the main thread and the usage thread say to each other.
 */

import type { WireError } from '../base/errors.ts';
import type { RunnerState } from './store-runner.ts';
import type { PruneCutoffs } from './store/prune.ts';
import type { StoreCalls } from './store/usage-store.ts';

/** Is what the usage thread is started with. */
export interface ThreadData {
  readonly database: string;
  readonly journalFolder: string;
}

/** Maps each call to its parameters and its result. */
export type ThreadCalls = StoreCalls & {
  prune: { params: PruneCutoffs; result: { events: number; totals: number } };
};

/** Is what the main thread says: there is more in the journal, do this, end. After the `last` end nobody writes the journal any more. */
export type ToThread =
  | { readonly kind: 'wake' }
  | { readonly kind: 'call'; readonly id: number; readonly name: keyof ThreadCalls; readonly params: unknown }
  | { readonly kind: 'close'; readonly last: boolean };

/** Is what the usage thread says: how it is, and what became of a call. */
export type FromThread =
  | { readonly kind: 'state'; readonly state: RunnerState }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: WireError };
