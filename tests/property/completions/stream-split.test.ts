import * as fc from 'fast-check';
import { test, expect } from 'vitest';
import type { AssembledCompletion } from '../../../src/completions/assemble.ts';
import { ChatReader } from '../../../src/completions/chat-reader.ts';
import type { CompletionDelta } from '../../../src/protocol/completion.ts';
import { numRuns } from '../../support/num-runs.ts';

interface Collected {
  readonly deltas: readonly CompletionDelta[];
  readonly result: AssembledCompletion;
  readonly sawEnd: boolean;
}

/** Reads bytes, cut as given, as an answer. */
async function collect(pieces: readonly Uint8Array[]): Promise<Collected> {
  const deltas: CompletionDelta[] = [];
  const reader = new ChatReader({ model: 'm', onDelta: (delta) => void deltas.push(delta) });
  for (const piece of pieces) await reader.take(Buffer.from(piece));
  reader.finish();
  await reader.close();
  return { deltas, result: reader.result, sawEnd: reader.isDone };
}

function cut(bytes: Uint8Array, offsets: readonly number[]): Uint8Array[] {
  const places = [0, ...offsets.map((offset) => offset % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  return places
    .slice(1)
    .map((end, at) => bytes.subarray(places[at], end))
    .filter((piece) => piece.length > 0);
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('data: [DONE]', '\r\n\n', '😀é', ': x'),
);

const event = fc.oneof(
  fc.record({ content: text }),
  fc.record({ reasoning: text }),
  fc.record({ tool_calls: fc.tuple(fc.record({ index: fc.constant(0), id: fc.constant('c'), function: fc.record({ name: fc.constant('f'), arguments: text }) })) }),
); // prettier-ignore

const stream = fc
  .record({
    events: fc.array(event, { minLength: 1, maxLength: 8 }),
    lineEnd: fc.constantFrom('\n', '\r\n', '\r'),
    comments: fc.boolean(),
    byteOrderMark: fc.boolean(),
    mark: fc.constantFrom('data: [DONE]', 'data:[DONE]', ''),
    lastBlankLine: fc.boolean(),
  })
  .map(({ events, lineEnd, comments, byteOrderMark, mark, lastBlankLine }) => {
    const chunks: unknown[] = events.map((delta) => ({ id: 'g', model: 'm', choices: [{ index: 0, delta }] }));
    chunks.push({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: { total_tokens: 3 } });
    const lines = chunks.flatMap((chunk) => [
      ...(comments ? [': OPENROUTER PROCESSING', ''] : []),
      `data: ${JSON.stringify(chunk)}`,
      '',
    ]);
    if (mark !== '') lines.push(mark, '');
    if (!lastBlankLine) lines.pop();
    const joined = lines.join(lineEnd) + (lastBlankLine ? lineEnd : '');
    return new TextEncoder().encode((byteOrderMark ? '\ufeff' : '') + joined);
  });

test('a stream gives the same result wherever the network cuts it', async () => {
  await fc.assert(
    fc.asyncProperty(stream, fc.array(fc.nat(), { maxLength: 30 }), async (bytes, offsets) => {
      const whole = await collect([bytes]);
      expect(await collect(cut(bytes, offsets))).toEqual(whole);
    }),
    { numRuns: numRuns(50, 200) },
  );
});

test('a stream gives the same result byte by byte', async () => {
  await fc.assert(
    fc.asyncProperty(stream, async (bytes) => {
      const whole = await collect([bytes]);
      expect(await collect([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
      expect(whole.result).toMatchObject({ finishReason: 'stop', usage: { totalTokens: 3 }, id: 'g' });
    }),
    { numRuns: numRuns(15, 40) },
  );
});
