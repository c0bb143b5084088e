/**
 * Finds out, after the reply was sent, what a completion cost whose answer did not say: from OpenRouter's record of the
 * generation, asked for after 1, 2, 4, 8 and 16 s; else from the price list; else it stays unknown.
 *
 * What is found is recorded as a second telling of the same generation, which counts once. What was waited for when the
 * daemon was killed is looked up in the store by the next one.
 */

import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { isTelling, TRACK_OPERATION, type RawEvent } from './event.ts';
import type { GenerationOutcome } from './generation.ts';
import { costFromPrices, type TokenPrices } from './micro-dollars.ts';

/** Is how long each further attempt waits, in milliseconds. */
const WAITS_MS = [1000, 2000, 4000, 8000, 16_000] as const;

/** Bounds the generations that are waited for; beyond it only the price list helps. */
const MAX_PENDING = 1000;

/** Is a completion whose tokens or cost are not known in full. */
export interface Untold {
  readonly caller: string | null;
  readonly provider: string;
  readonly keyId: string | null;
  readonly model: string | null;
  readonly generationId: string | null;
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
}

/** Returns what is not known of a call whose generation can be asked for, or null where nothing is missing. */
export function untoldOf(event: RawEvent): Untold | null {
  const { provider, generationId, operation } = event;
  if (isTelling(operation) || typeof provider !== 'string' || typeof generationId !== 'string') return null;
  if (typeof event.costMicros === 'number' && typeof event.promptTokens === 'number') return null;
  return {
    caller: event.caller ?? null,
    provider,
    keyId: event.keyId ?? null,
    model: event.model ?? null,
    generationId,
    promptTokens: event.promptTokens ?? null,
    completionTokens: event.completionTokens ?? null,
  };
}

/** Is what the tracker needs of the rest. */
export interface TrackerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asks the provider for a generation's record, or returns null where it keeps none. Rejects where there is no answer. */
  readonly ask: (
    untold: Pick<Untold, 'provider' | 'keyId'> & { readonly generationId: string },
    signal: AbortSignal,
  ) => Promise<GenerationOutcome> | null;
  /** Returns what a model costs, or null where nobody says. */
  readonly prices: (provider: string, model: string, signal: AbortSignal) => Promise<TokenPrices | null>;
  readonly record: (event: RawEvent) => void;
  /** Is told when the first generation is waited for, and when none is any more; not at the end of the daemon. */
  readonly onWaiting: (isWaiting: boolean) => void;
}

/** Waits for the records of generations. */
export class GenerationTracker {
  readonly #options: TrackerOptions;
  readonly #pending = new Map<string, () => void>();
  readonly #stop = new AbortController();

  constructor(options: TrackerOptions) {
    this.#options = options;
  }

  /** Returns how many generations are waited for. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Begins to find out; returns at once. A generation that is waited for already is not waited for twice. */
  track(untold: Untold): void {
    const { generationId } = untold;
    if (generationId === null || this.#stop.signal.aborted) return;
    const place = `${untold.provider} ${generationId}`;
    if (this.#pending.has(place) || this.#pending.size >= MAX_PENDING) return;
    if (this.#pending.size === 0) this.#options.onWaiting(true);
    this.#attempt(place, { ...untold, generationId }, 0);
  }

  /** Ends all waiting. */
  close(): void {
    this.#stop.abort();
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
  }

  #attempt(place: string, untold: Untold & { readonly generationId: string }, attempt: number): void {
    const wait = WAITS_MS[attempt];
    if (wait === undefined) {
      void this.#end(place, untold);
      return;
    }
    const cancel = this.#options.clock.after(wait, () => {
      void this.#ask(place, untold, attempt);
    });
    this.#pending.set(place, cancel);
  }

  async #ask(place: string, untold: Untold & { readonly generationId: string }, attempt: number): Promise<void> {
    const outcome = await this.#askOnce(untold);
    if (this.#stop.signal.aborted) return;
    if (outcome?.kind === 'found') {
      this.#options.record(trackedEvent(untold, outcome.record, 'generation'));
      this.#forget(place);
    } else if (outcome?.kind === 'not-ready') this.#attempt(place, untold, attempt + 1);
    else await this.#end(place, untold);
  }

  /** Returns null where there is nobody to ask: another provider, or a key that is gone. */
  async #askOnce(untold: Untold & { readonly generationId: string }): Promise<GenerationOutcome | null> {
    try {
      return await this.#options.ask(untold, this.#stop.signal);
    } catch (error) {
      const mayPass =
        error instanceof AipassError && (error.code === 'PROVIDER_UNAVAILABLE' || error.code === 'TIMED_OUT');
      return mayPass ? { kind: 'not-ready', reason: error.message } : null;
    }
  }

  /** Falls back to the price list: the tokens are known from the answer, or nothing is. */
  async #end(place: string, untold: Untold & { readonly generationId: string }): Promise<void> {
    try {
      const { provider, model, promptTokens, completionTokens } = untold;
      const isCounted = promptTokens !== null && completionTokens !== null;
      const prices =
        model === null || !isCounted ? null : await this.#options.prices(provider, model, this.#stop.signal);
      const costMicros = prices && costFromPrices(promptTokens, completionTokens, prices);
      if (this.#stop.signal.aborted || costMicros === null) return;
      this.#options.record(trackedEvent(untold, { costMicros }, 'prices'));
    } catch (error) {
      this.#options.logger.debug('the price list was not to be had', { error });
    } finally {
      this.#forget(place);
    }
  }

  #forget(place: string): void {
    if (this.#pending.delete(place) && this.#pending.size === 0) this.#options.onWaiting(false);
  }
}

/** Returns a record of a generation as an event. */
export function trackedEvent(
  untold: Pick<Untold, 'caller' | 'provider' | 'keyId' | 'model'> & { readonly generationId: string },
  record: Partial<RawEvent>,
  costSource: 'generation' | 'prices',
): RawEvent {
  return {
    caller: untold.caller ?? undefined,
    provider: untold.provider,
    keyId: untold.keyId,
    operation: TRACK_OPERATION,
    status: 'success',
    ...record,
    model: record.model ?? untold.model,
    costSource,
    generationId: untold.generationId,
  };
}
