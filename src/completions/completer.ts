/**
 * Has providers complete chats: finds the provider, leases a key, makes one attempt, settles the key.
 */

import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { Redactor } from '../base/redactor.ts';
import type { KeyLease, KeySource, LeaseOutcome } from '../pools/lease.ts';
import type { CompletionParams, CompletionResult } from '../protocol/completion.ts';
import type { Provider } from '../providers/provider.ts';
import type { Providers } from '../providers/registry.ts';
import type { EventCaller, RawEvent } from '../usage/event.ts';
import { attemptCompletion, type DeltaReceiver } from './attempt.ts';
import { attemptEvent, unaskedEvent } from './completion-event.ts';

/** Is what a completer works with. */
export interface CompleterOptions {
  readonly providers: Providers;
  readonly keys: KeySource;
  readonly redactor: Redactor;
  readonly clock: Clock;
  /** Is asked where the parameters name no provider. */
  readonly defaultProvider: string;
  /** Keeps what happened; has it on disk when it returns, which is before the caller has its answer. */
  readonly record: (event: RawEvent) => void;
}

/** Is how one completion is controlled. */
export interface CompleteControl {
  /** Is who asks, for the record. */
  readonly caller?: EventCaller | undefined;
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
    const { redactor, clock, record } = this.#options;
    const { caller = {}, ...rest } = control;
    const { provider, lease } = this.#leaseKey(params, caller);
    let settlement: LeaseOutcome = { kind: 'cancelled' };
    try {
      const outcome = await attemptCompletion({ provider, lease, params, ...rest, redactor, clock });
      settlement = outcome.settlement;
      record(attemptEvent({ caller, provider: provider.name, keyId: lease.keyId, model: params.model }, outcome));
      if (outcome.kind === 'succeeded') return outcome.result;
      throw outcome.error;
    } finally {
      lease.settle(settlement);
    }
  }

  #leaseKey(params: CompletionParams, caller: EventCaller): { provider: Provider; lease: KeyLease } {
    const { providers, keys, defaultProvider, record } = this.#options;
    const name = params.provider ?? defaultProvider;
    try {
      const provider = providers.get(name);
      return { provider, lease: keys.lease({ provider: provider.name, model: params.model }) };
    } catch (error) {
      if (error instanceof AipassError) {
        record(unaskedEvent({ caller, provider: name, keyId: null, model: params.model }, error));
      }
      throw error;
    }
  }
}
