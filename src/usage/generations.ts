/**
 * Finds the cost of a completion whose answer had none, after the reply was sent. It is taken from
 * OpenRouter's record of the generation, which is asked for with waits of 1, 2, 4, 8 and 16 s. Else
 * it is taken from the price list, or stays unknown.
 *
 * What is found is recorded as a report on the same generation, which counts once. A flag file
 * marks that some are waited for, so that a daemon after a killed one asks the database which.
 *
 * Source: openrouter.ai/docs/api-reference/get-a-generation. The record appears some seconds after
 * the answer; until then the provider answers 404.
 */

import { rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { backoffMs, type Backoff } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { isTransientStatus } from '../base/retry-after.ts';
import type { ModelInfo } from '../protocol/provider.ts';
import { TOKEN_COLUMNS, type TokenField } from '../protocol/usage.ts';
import { generationKey, isReport, TRACK_OPERATION, type RawEvent, type UsageEvent } from './event.ts';
import { costFromPrices, microDollars, type TokenPrices } from './micro-dollars.ts';

/** Delays before the attempts to get a record. */
const WAITS: Backoff = { firstMs: 1000, maxMs: 16_000, jitter: 0 };

/** Maximum number of attempts to get a record. */
const MAX_ATTEMPTS = 5;

/** Maximum number of generations that are waited for; beyond it only the database knows of them. */
const MAX_PENDING = 1000;

/**
 * A completion whose tokens or cost are not known in full, and the organization whose key it used.
 */
export type UnpricedCall = Pick<
  UsageEvent,
  'keyId' | 'model' | 'generationId' | 'promptTokens' | 'completionTokens' | 'costMicros'
> & {
  readonly caller: string | null;
  readonly organization: string | null;
  readonly provider: string;
};

/** Returns a call whose tokens or cost can be asked for, or null where nothing is missing. */
export function unpricedCall(event: RawEvent): UnpricedCall | null {
  const { provider, generationId, operation } = event;
  if (isReport(operation) || typeof provider !== 'string' || typeof generationId !== 'string') return null;
  if (typeof event.costMicros === 'number' && typeof event.promptTokens === 'number') return null;
  return {
    caller: event.caller ?? null,
    organization: event.organization ?? null,
    provider,
    keyId: event.keyId ?? null,
    model: event.model ?? null,
    generationId,
    promptTokens: event.promptTokens ?? null,
    completionTokens: event.completionTokens ?? null,
    costMicros: event.costMicros ?? null,
  };
}

/** Dependencies of the tracker. */
export interface TrackerDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * Asks the provider for a generation's record, or returns null where it keeps none. Rejects where
   * there is no answer.
   */
  readonly ask: (
    call: Pick<UnpricedCall, 'organization' | 'provider' | 'keyId'> & { readonly generationId: string },
    signal: AbortSignal,
  ) => Promise<GenerationOutcome> | null;
  /** Returns what a model costs, or null where that is unknown. */
  readonly prices: (provider: string, model: string, signal: AbortSignal) => Promise<TokenPrices | null>;
  /** Records a report on a call, with what the call did not know. */
  readonly record: (event: RawEvent) => void;
  /**
   * Called when the first generation is waited for, and when none is any more; not when the daemon
   * stops.
   */
  readonly onWaiting: (isWaiting: boolean) => void;
}

/** Waits for the records of generations. */
export class GenerationTracker {
  readonly #deps: TrackerDeps;
  readonly #pending = new Map<string, () => void>();
  readonly #stop = new AbortController();

  constructor(deps: TrackerDeps) {
    this.#deps = deps;
  }

  /** Number of generations that are waited for. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Begins to ask; returns at once. A generation that is waited for already is not waited for
   * twice.
   */
  track(call: UnpricedCall): void {
    const { generationId } = call;
    if (generationId === null || this.#stop.signal.aborted) return;
    const key = generationKey(call);
    if (this.#pending.has(key) || this.#pending.size >= MAX_PENDING) return;
    if (this.#pending.size === 0) this.#deps.onWaiting(true);
    this.#attempt(key, { ...call, generationId }, 1);
  }

  /** Ends all waiting. */
  close(): void {
    this.#stop.abort();
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
  }

  #attempt(key: string, call: UnpricedCall & { readonly generationId: string }, attempt: number): void {
    if (attempt > MAX_ATTEMPTS) {
      void this.#end(key, call);
      return;
    }
    const cancel = this.#deps.clock.after(
      backoffMs(WAITS, attempt, () => 0),
      () => {
        void this.#ask(key, call, attempt);
      },
    );
    this.#pending.set(key, cancel);
  }

  async #ask(key: string, call: UnpricedCall & { readonly generationId: string }, attempt: number): Promise<void> {
    const outcome = await this.#askOnce(call);
    if (this.#stop.signal.aborted) return;
    if (outcome?.kind === 'found') {
      this.#deps.record(reportEvent(call, unknownOf(call, outcome.record), 'generation'));
      this.#forget(key);
    } else if (outcome?.kind === 'not-ready') this.#attempt(key, call, attempt + 1);
    else await this.#end(key, call);
  }

  /** Returns null where there is no record to ask for: another provider, or a key that is gone. */
  async #askOnce(call: UnpricedCall & { readonly generationId: string }): Promise<GenerationOutcome | null> {
    try {
      return await this.#deps.ask(call, this.#stop.signal);
    } catch (error) {
      const mayPass =
        error instanceof AipassError && (error.code === 'PROVIDER_UNAVAILABLE' || error.code === 'TIMED_OUT');
      return mayPass ? { kind: 'not-ready', reason: error.message } : null;
    }
  }

  /** Falls back to the price list, which needs the tokens of the answer. */
  async #end(key: string, call: UnpricedCall & { readonly generationId: string }): Promise<void> {
    try {
      const { provider, model, promptTokens, completionTokens } = call;
      const isCounted = promptTokens !== null && completionTokens !== null;
      const prices = model === null || !isCounted ? null : await this.#deps.prices(provider, model, this.#stop.signal);
      const costMicros = prices && costFromPrices(promptTokens, completionTokens, prices);
      if (this.#stop.signal.aborted || costMicros === null) return;
      this.#deps.record(reportEvent(call, { costMicros }, 'prices'));
    } catch (error) {
      this.#deps.logger.debug('could not fetch the price list', { error });
    } finally {
      this.#forget(key);
    }
  }

  #forget(key: string): void {
    if (this.#pending.delete(key) && this.#pending.size === 0) this.#deps.onWaiting(false);
  }
}

/** Returns a record without the tokens and the cost that the call knew already. */
function unknownOf(call: UnpricedCall, record: GenerationRecord): GenerationRecord {
  const unknown: { -readonly [Field in keyof GenerationRecord]: GenerationRecord[Field] } = { ...record };
  for (const { field, whole } of TOKEN_COLUMNS) if (call[whole] !== null) delete unknown[field];
  if (call.costMicros !== null) delete unknown.costMicros;
  return unknown;
}

/** Returns a record of a generation as an event that reports on it. */
export function reportEvent(
  call: Pick<UnpricedCall, 'caller' | 'organization' | 'provider' | 'keyId' | 'model'> & {
    readonly generationId: string;
  },
  record: Partial<RawEvent>,
  costSource: 'generation' | 'prices',
): RawEvent {
  return {
    caller: call.caller ?? undefined,
    organization: call.organization ?? undefined,
    provider: call.provider,
    keyId: call.keyId,
    operation: TRACK_OPERATION,
    status: 'success',
    ...record,
    model: record.model ?? call.model,
    costSource,
    generationId: call.generationId,
  };
}

/** Outcome of asking for a generation. */
export type GenerationOutcome =
  | { readonly kind: 'found'; readonly record: GenerationRecord }
  /** The provider does not know it yet, or is unavailable. Asking again may help. */
  | { readonly kind: 'not-ready'; readonly reason: string }
  /** The provider refused. Asking again is useless. */
  | { readonly kind: 'refused'; readonly status: number };

/** The part of a generation's record that is kept. */
type GenerationRecord = Pick<RawEvent, 'at' | 'model' | TokenField | 'costMicros' | 'latencyMs' | 'firstTokenMs'>;

const count = z.number().nullish().catch(null);
const recordSchema = z.object({
  data: z.object({
    created_at: z.string().nullish().catch(null),
    model: z.string().nullish().catch(null),
    total_cost: z.union([z.number(), z.string()]).nullish().catch(null),
    tokens_prompt: count,
    tokens_completion: count,
    native_tokens_prompt: count,
    native_tokens_completion: count,
    native_tokens_cached: count,
    native_tokens_reasoning: count,
    generation_time: count,
    latency: count,
  }),
});

/**
 * Classifies an answer, its body parsed as JSON; a transient status, and 404 while the record
 * is made, is "not ready".
 */
export function classifyGeneration(answer: { readonly status: number; readonly body: unknown }): GenerationOutcome {
  const { status, body } = answer;
  if (status === 404 || isTransientStatus(status)) {
    return { kind: 'not-ready', reason: `the provider answered with status ${status}` };
  }
  if (status >= 300) return { kind: 'refused', status };
  const parsed = recordSchema.safeParse(body);
  if (!parsed.success)
    return { kind: 'not-ready', reason: 'the provider answered with something that is not a record' };
  const { data } = parsed.data;
  const createdAt = Date.parse(data.created_at ?? '');
  return {
    kind: 'found',
    record: {
      ...(Number.isNaN(createdAt) ? {} : { at: createdAt }),
      model: data.model ?? null,
      // What the model's own tokenizer counted is what is billed.
      promptTokens: data.native_tokens_prompt ?? data.tokens_prompt ?? null,
      completionTokens: data.native_tokens_completion ?? data.tokens_completion ?? null,
      cachedTokens: data.native_tokens_cached ?? null,
      reasoningTokens: data.native_tokens_reasoning ?? null,
      costMicros: microDollars(data.total_cost),
      latencyMs: data.generation_time ?? null,
      firstTokenMs: data.latency ?? null,
    },
  };
}

const REMEMBERED_MS = 3_600_000;

/** Time for which a provider that failed is not asked again, in milliseconds. */
const FAILED_MS = 60_000;

type Prices = ReadonlyMap<string, TokenPrices>;

/**
 * A provider's price list, or the attempt to get it, and until when it is used, on the monotonic
 * clock.
 */
interface PriceList {
  until: number;
  readonly prices: Promise<Prices>;
}

/**
 * Prices of models, as the providers' models endpoints list them: asked for when needed, and
 * remembered for an hour.
 */
export class PriceBook {
  readonly #fetchModels: (provider: string, signal: AbortSignal) => Promise<readonly ModelInfo[]>;
  readonly #clock: Clock;
  readonly #lists = new Map<string, PriceList>();

  constructor(fetchModels: (provider: string, signal: AbortSignal) => Promise<readonly ModelInfo[]>, clock: Clock) {
    this.#fetchModels = fetchModels;
    this.#clock = clock;
  }

  /**
   * Returns what a token of a model costs, or null where the provider does not list it, or cannot
   * be asked.
   */
  async prices(provider: string, model: string, signal: AbortSignal): Promise<TokenPrices | null> {
    const now = this.#clock.monotonic();
    let list = this.#lists.get(provider);
    if (!list || now > list.until) {
      list = this.#ask(provider, signal, now);
      this.#lists.set(provider, list);
    }
    return (await list.prices).get(model) ?? null;
  }

  #ask(provider: string, signal: AbortSignal, now: number): PriceList {
    const list: PriceList = {
      until: now + REMEMBERED_MS,
      prices: this.#read(provider, signal).catch(() => {
        list.until = now + FAILED_MS;
        return new Map();
      }),
    };
    return list;
  }

  async #read(provider: string, signal: AbortSignal): Promise<Prices> {
    const models = await this.#fetchModels(provider, signal);
    return new Map(
      models.flatMap(({ id, promptPrice: prompt, completionPrice: completion }) =>
        prompt === undefined && completion === undefined ? [] : [[id, { prompt, completion }]],
      ),
    );
  }
}

/** Makes or removes the flag file; where the disk takes nothing it stays as it is. */
export function setFlag(path: string, isSet: boolean): void {
  try {
    if (isSet) writeFileSync(path, '', { mode: 0o600 });
    else rmSync(path, { force: true });
  } catch {
    // The daemon reports elsewhere that its state cannot be written.
  }
}
