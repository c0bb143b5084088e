import { describe, expect, it } from 'vitest';
import { boundEvent, LinePrinter, parseEvents } from '../../../src/usage/journal-line.ts';

const recorder = { now: 1000, id: 7, run: 'run-1' };
const normalise = (fields: object) =>
  boundEvent({ operation: 'completion.create', status: 'success', ...fields }, recorder);

const redact = (text: string): string => text.replaceAll('S'.repeat(300), '[secret]');

describe('an event', () => {
  it('has a time, an identity and a caller even where nobody says them', () => {
    expect(normalise({})).toMatchObject({ at: 1000, id: 7, run: 'run-1', caller: 'unknown', model: null });
  });

  it('keeps a caller name short, on one line and whole characters', () => {
    expect(normalise({ caller: 'x'.repeat(10_000) }).caller).toHaveLength(128);
    expect(normalise({ caller: 'a\u0000b\u001b[31mc\nd\u202ee' }).caller).toBe('a b [31mc d e');
    expect(normalise({ caller: `${'y'.repeat(126)}😀😀` }).caller.isWellFormed()).toBe(true);
    expect(normalise({ caller: '\ud800' }).caller.isWellFormed()).toBe(true);
    expect(normalise({ caller: ' \n\t' }).caller).toBe('unknown');
    expect(normalise({ caller: `'); drop table events; --` }).caller).toBe(`'); drop table events; --`);
  });

  it('takes a count that cannot be true for unknown, not for zero', () => {
    for (const count of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e12, '7', {}, null, undefined]) {
      expect(normalise({ promptTokens: count, costMicros: count })).toMatchObject({
        promptTokens: null,
        costMicros: null,
      });
    }
    expect(normalise({ promptTokens: 0, costMicros: 0 })).toMatchObject({
      promptTokens: 0,
      costMicros: 0,
      costSource: 'response',
    });
  });

  it('names nothing by a secret, not even by one that is cut', () => {
    const line = new LinePrinter({ run: 'run-1', redact }).print(
      { operation: 'completion.create', status: 'failed', model: 'S'.repeat(300), caller: `me ${'S'.repeat(300)}` },
      recorder,
    );
    expect(parseEvents(line)).toMatchObject([{ model: '[secret]', caller: 'me [secret]' }]);
  });

  it('rounds durations, and takes negative ones for unknown', () => {
    expect(normalise({ latencyMs: 12.6, firstTokenMs: -3 })).toMatchObject({ latencyMs: 13, firstTokenMs: null });
  });

  it('takes a time that is none for the time of recording', () => {
    expect(normalise({ at: Number.NaN }).at).toBe(1000);
    expect(normalise({ at: -5 }).at).toBe(1000);
  });
});
