/**
 * Has providers complete chats: finds the provider, leases a key, makes one attempt, settles the key.
 */

import type { Clock } from '../base/clock.ts';
import type { Redactor } from '../base/redactor.ts';
import type { KeySource, LeaseOutcome } from '../pools/lease.ts';
import type { CompletionParams, CompletionResult } from '../protocol/completion.ts';
import type { Providers } from '../providers/registry.ts';
import { attemptCompletion, type DeltaReceiver } from './attempt.ts';

/** Is what a completer works with. */
export interface CompleterOptions {
  readonly providers: Providers;
  readonly keys: KeySource;
  readonly redactor: Redactor;
  readonly clock: Clock;
  /** Is asked where the parameters name no provider. */
  readonly defaultProvider: string;
}

/** Is how one completion is controlled. */
export interface CompleteControl {
  /** Ends the request, and the provider's connection with it, at once. */
  readonly signal: AbortSignal;
  /** Receives the deltas of a streamed completion; a promise holds the next one back. */
  readonly onDelta?: DeltaReceiver | undefined;
}

/** Completes chats. */
export class Completer {
  readonly #options: CompleterOptions;

  constructor(options: CompleterOptions) {
    this.#options = options;
  }

  /**
   * Completes one chat. Nothing is retried.
   *
   * @throws AipassError NOT_FOUND for an unknown provider or one without a key, POOL_EXHAUSTED where no key is free,
   * PROVIDER_REJECTED with the provider's status, PROVIDER_UNAVAILABLE, TIMED_OUT, CANCELLED.
   */
  async complete(params: CompletionParams, control: CompleteControl): Promise<CompletionResult> {
    const { providers, keys, redactor, clock, defaultProvider } = this.#options;
    const provider = providers.get(params.provider ?? defaultProvider);
    const lease = keys.lease({ provider: provider.name, model: params.model });
    let settlement: LeaseOutcome = { kind: 'cancelled' };
    try {
      const outcome = await attemptCompletion({ provider, lease, params, ...control, redactor, clock });
      settlement = outcome.settlement;
      if (outcome.kind === 'succeeded') return outcome.result;
      throw outcome.error;
    } finally {
      lease.settle(settlement);
    }
  }
}
