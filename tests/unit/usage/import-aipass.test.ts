import { describe, expect, it } from 'vitest';
import { readAipassUsage } from '../../../src/usage/import-aipass.ts';

const generation = (fields: object = {}) => ({
  timestamp: '2026-03-01T10:00:00.123456',
  caller: 'flow',
  model: 'acme/large',
  usage_data: {
    total_cost: 0.0123,
    tokens_prompt: 10,
    tokens_completion: 5,
    generation_time: 900,
    latency: 300,
    provider_name: 'x',
  },
  ...fields,
});
const file = (data: object) => JSON.stringify({ module_name: 'api_usage', timestamp: 'x', data });

describe("AIPass's usage file", () => {
  it('gives an event for each generation, the same ones each time', () => {
    const text = file({
      generation_tracking: { 'gen-1': generation(), 'gen-2': generation({ model: 'unknown', caller: null }) },
    });
    const first = readAipassUsage(text);
    expect(first.events).toMatchObject([
      {
        at: Date.parse('2026-03-01T10:00:00.123456'),
        caller: 'flow',
        model: 'acme/large',
        provider: 'openrouter',
        generationId: 'gen-1',
        promptTokens: 10,
        completionTokens: 5,
        costMicros: 12_300,
        costSource: 'import',
        latencyMs: 900,
        firstTokenMs: 300,
      },
      { caller: 'unknown', model: null, generationId: 'gen-2' },
    ]);
    expect(readAipassUsage(text)).toEqual(first);
  });

  it('may hold its template only', () => {
    for (const text of [
      '{"module_name":"usage_tracker","created":"x"}',
      '{"module_name":"usage_tracker","data":{}}',
      '{"module_name":"usage_tracker","data":null}',
      '{"module_name":"usage_tracker","data":[]}',
      '{"data":{"generation_tracking":{}}}',
      '{"data":{"daily_totals":{}}}',
    ]) {
      expect(readAipassUsage(text)).toMatchObject({ events: [], report: { generations: 0, unreadable: 0 } });
    }
  });

  it('says how many generations are unreadable', () => {
    const tracking = {
      a: generation(),
      b: null,
      c: 'x',
      d: generation({ timestamp: 'yesterday' }),
      e: generation({ usage_data: null }),
    };
    expect(readAipassUsage(file({ generation_tracking: tracking })).report).toMatchObject({
      generations: 5,
      unreadable: 4,
    });
  });

  it('says what its daily totals hold beyond its generations', () => {
    const data = {
      generation_tracking: { a: generation() },
      daily_totals: {
        '2026-03-01': { requests: 3, cost: 0.5, tokens: 100 },
        '2026-03-02': { requests: 1, cost: 'x' },
        bad: 7,
      },
    };
    expect(readAipassUsage(file(data)).report.unaccounted).toEqual({ requests: 3, costMicros: 487_700, tokens: 85 });
  });

  it('is rejected when it is not JSON, not an object, or has nothing that AIPass writes', () => {
    for (const text of ['', 'x', '[]', '7', '{}', '{"data":{}}', '{"data":{"items":[1]}}', '{"name":"x"}'])
      expect(() => readAipassUsage(text)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  });
});
