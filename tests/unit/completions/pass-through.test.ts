import { expect, test } from 'vitest';
import { ErrorInAnswer } from '../../../src/completions/failure.ts';
import type { ForwardSink } from '../../../src/completions/forwarding.ts';
import { PassThrough } from '../../../src/completions/pass-through.ts';
import { ManualClock } from '../../support/manual-clock.ts';

test('an answer of which nothing can leave yet is not begun, however long it takes', async () => {
  const clock = new ManualClock();
  const log: string[] = [];
  const sink: ForwardSink = {
    head: () => void log.push('head'),
    write: (bytes) => void log.push(bytes.toString()),
    end: async () => void log.push('end'),
    abort: () => void log.push('abort'),
  };
  const passing = new PassThrough(sink, { dialect: 'openai', kind: 'chat', stripUsage: true }, clock);
  passing.head(200, { 'content-type': 'text/event-stream' });
  clock.advance(6000);
  // Of an event that is not whole nobody knows whether it is to be taken out.
  for (const piece of ['data', ': {"error"', ':{"message":"limit"}}\n']) await passing.take(Buffer.from(piece));
  expect([passing.begun, log]).toEqual([false, []]);
  expect(() => passing.take(Buffer.from('\n'))).toThrow(ErrorInAnswer);
  expect([passing.begun, log]).toEqual([false, []]);
});
