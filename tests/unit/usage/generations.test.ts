import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { AipassError } from '../../../src/base/errors.ts';
import type { RawEvent } from '../../../src/usage/event.ts';
import {
  classifyGeneration,
  GenerationTracker,
  unpricedCall,
  type GenerationOutcome,
  type UnpricedCall,
} from '../../../src/usage/generations.ts';
import { recordingLogger } from '../../support/recording-logger.ts';
import { until } from '../../support/until.ts';

const record = (data: object) => ({ status: 200, body: { data } });

describe("a generation's record", () => {
  it('gives tokens as the model counts them, cost and times', () => {
    const answer = record({
      total_cost: 0.002,
      tokens_prompt: 9,
      native_tokens_prompt: 12,
      tokens_completion: 3,
      native_tokens_cached: 4,
      native_tokens_reasoning: 1,
      generation_time: 700,
      latency: 200,
      model: 'm',
      created_at: '2026-11-20T00:00:00Z',
    });
    expect(classifyGeneration(answer)).toEqual({
      kind: 'found',
      record: {
        at: Date.UTC(2026, 10, 20),
        model: 'm',
        promptTokens: 12,
        completionTokens: 3,
        cachedTokens: 4,
        reasoningTokens: 1,
        costMicros: 2000,
        latencyMs: 700,
        firstTokenMs: 200,
      },
    });
  });

  it('is asked for again after 404, 429 and 5xx, and after an answer that is none', () => {
    for (const status of [404, 408, 425, 429, 500, 503])
      expect(classifyGeneration({ status, body: undefined }).kind).toBe('not-ready');
    for (const body of [undefined, 'x', {}, { data: 7 }])
      expect(classifyGeneration({ status: 200, body }).kind).toBe('not-ready');
  });

  it('is given up when the provider refuses', () => {
    expect(classifyGeneration({ status: 401, body: {} })).toEqual({ kind: 'refused', status: 401 });
  });

  it('takes nonsense for unknown', () => {
    expect(classifyGeneration(record({ total_cost: 'free', tokens_prompt: 'many', created_at: 'then' }))).toMatchObject(
      {
        record: { costMicros: null, promptTokens: null },
      },
    );
  });
});

/** Runs what is due at once and remembers for how long it would have waited. */
class EagerClock implements Clock {
  readonly waits: number[] = [];
  now = (): number => 0;
  monotonic = (): number => 0;
  after = (delayMs: number, callback: () => void): (() => void) => {
    this.waits.push(delayMs);
    queueMicrotask(callback);
    return () => {};
  };
}

const call: UnpricedCall = {
  caller: 'flow',
  organization: null,
  provider: 'openrouter',
  keyId: 'K',
  model: 'm',
  generationId: 'gen-1',
  promptTokens: 100,
  completionTokens: 10,
  costMicros: null,
};

function track(
  outcomes: (GenerationOutcome | AipassError | null)[],
  prices: { prompt: string; completion: string } | null,
) {
  const clock = new EagerClock();
  const events: RawEvent[] = [];
  const waiting: boolean[] = [];
  const tracker = new GenerationTracker({
    clock,
    logger: recordingLogger(),
    ask: () => {
      const outcome = outcomes.shift() ?? null;
      return outcome instanceof AipassError ? Promise.reject(outcome) : outcome && Promise.resolve(outcome);
    },
    prices: () => Promise.resolve(prices),
    record: (event) => events.push(event),
    onWaiting: (isWaiting) => waiting.push(isWaiting),
  });
  tracker.track(call);
  tracker.track(call);
  return { clock, events, tracker, waiting };
}

describe('the tracker', () => {
  const notReady: GenerationOutcome = { kind: 'not-ready', reason: 'x' };

  it('asks after 1, 2 and 4 s until the record is ready, once for each generation, and records it', async () => {
    const { clock, events, tracker, waiting } = track(
      [notReady, notReady, { kind: 'found', record: { costMicros: 5 } }],
      null,
    );
    await until('it is recorded', () => events.length === 1);
    expect(clock.waits).toEqual([1000, 2000, 4000]);
    expect(events[0]).toMatchObject({
      operation: 'usage.track',
      generationId: 'gen-1',
      costMicros: 5,
      costSource: 'generation',
      caller: 'flow',
    });
    expect(tracker.pending).toBe(0);
    expect(waiting).toEqual([true, false]);
  });

  it('reports what the call did not know, and nothing else of its tokens and cost', async () => {
    const found = { promptTokens: 99, cachedTokens: 5, completionTokens: 9, costMicros: 5, firstTokenMs: 3 };
    const { events } = track([{ kind: 'found', record: found }], null);
    await until('it is recorded', () => events.length === 1);
    expect(events[0]).toMatchObject({ costMicros: 5, firstTokenMs: 3 });
    expect(events[0]).not.toHaveProperty('promptTokens');
    expect(events[0]).not.toHaveProperty('completionTokens');
  });

  it('falls back to the price list after 16 s', async () => {
    const { clock, events } = track(
      Array.from({ length: 5 }, () => notReady),
      { prompt: '0.000001', completion: '0.00001' },
    );
    await until('it is recorded', () => events.length === 1);
    expect(clock.waits).toEqual([1000, 2000, 4000, 8000, 16_000]);
    expect(events[0]).toMatchObject({ costMicros: 200, costSource: 'prices' });
  });

  it('asks again where the provider could not be reached, and not where asking is no use', async () => {
    const away = new AipassError('PROVIDER_UNAVAILABLE', 'away');
    const late = new AipassError('TIMED_OUT', 'late');
    const found: GenerationOutcome = { kind: 'found', record: { costMicros: 5 } };
    const reached = track([away, late, found], null);
    await until('it is recorded', () => reached.events.length === 1);
    expect(reached.clock.waits).toEqual([1000, 2000, 4000]);
    const useless = track([new AipassError('BAD_REQUEST', 'no header can carry this key'), found], null);
    await until('it has given up', () => useless.tracker.pending === 0);
    expect(useless.clock.waits).toEqual([1000]);
  });

  it('leaves a cost unknown that nobody tells', async () => {
    const { events, tracker, waiting } = track([{ kind: 'refused', status: 401 }], null);
    await until('it has given up', () => tracker.pending === 0);
    expect(events).toEqual([]);
    expect(waiting).toEqual([true, false]);
  });

  it('has nothing to do for a call that is known in full, or that it recorded itself', () => {
    const event: RawEvent = {
      operation: 'completion.create',
      status: 'success',
      provider: 'p',
      generationId: 'g',
      promptTokens: 1,
      costMicros: 0,
    };
    expect(unpricedCall(event)).toBeNull();
    expect(unpricedCall({ ...event, costMicros: null, operation: 'usage.track' })).toBeNull();
    expect(unpricedCall({ ...event, costMicros: null, generationId: null })).toBeNull();
    expect(unpricedCall({ ...event, costMicros: null })).toMatchObject({ generationId: 'g' });
  });
});
