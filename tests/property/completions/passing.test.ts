import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { toRecord } from '../../../src/base/json.ts';
import { AnswerWatcher } from '../../../src/completions/answer-watcher.ts';
import { readRequest } from '../../../src/completions/forward-request.ts';
import type { ForwardSink } from '../../../src/completions/forwarding.ts';
import { JsonScanner } from '../../../src/completions/json-scan.ts';
import { PassThrough } from '../../../src/completions/pass-through.ts';
import { ManualClock } from '../../support/manual-clock.ts';

function cut(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const places = [0, ...offsets.map((offset) => offset % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  return places
    .slice(1)
    .map((end, at) => bytes.subarray(places[at], end))
    .filter((piece) => piece.length > 0);
}

const text = fc.oneof(fc.string(), fc.constantFrom('"', '\\', '{"usage":1}', '\n\n', 'data: x\n\n', '😀', '\u0007'));
// Node 24.21 parses the name `"` as a backslash where it has parsed an object with that name
// before.
const name = text.map((one) => one.replaceAll(/["\\]/g, '_'));
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    text,
    fc.integer(),
    fc.constant(null),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(name, fc.constantFrom('usage', 'model')), tie('any'), { maxKeys: 3 }),
  ),
})).any;
const document = fc.dictionary(fc.oneof(name, fc.constantFrom('usage', 'model', 'stream', 'id')), value);
const offsets = fc.array(fc.nat(), { maxLength: 20 });

test('single members are found as a parser finds them, wherever a document is cut', () => {
  fc.assert(
    fc.property(document, offsets, fc.boolean(), (content, places, isPretty) => {
      const bytes = Buffer.from(JSON.stringify(content, null, isPretty ? 2 : 0));
      const found = new Map<string, unknown>();
      const scanner = new JsonScanner(['usage', 'model'], ({ name: member, text: written, start, end }) => {
        expect(bytes.toString('utf8', start, end)).toBe(written);
        found.set(member, JSON.parse(written));
      });
      for (const piece of cut(bytes, places)) scanner.push(piece);
      expect(scanner.isWhole).toBe(true);
      const parsed = new Map(Object.entries(toRecord(JSON.parse(bytes.toString()))));
      for (const member of ['usage', 'model']) {
        expect(found.has(member)).toBe(parsed.has(member));
        expect(found.get(member)).toEqual(parsed.get(member));
      }
    }),
  );
});

test('a member without an end does not lend its bytes to the next one', () => {
  const found: string[] = [];
  const scanner = new JsonScanner(['usage', 'model'], ({ text: written }) => found.push(written));
  for (const piece of [',"model":"m', '"[{"usage":1}]']) scanner.push(Buffer.from(piece));
  expect(found).toEqual(['1']);
});

const chunk = (content: string): unknown => ({ id: 'c', choices: [{ index: 0, delta: { content } }] });
const USAGE = { id: 'c', choices: [], usage: { prompt_tokens: 3 } };
const stream = fc
  .record({ words: fc.array(text, { minLength: 1, maxLength: 6 }), lineEnd: fc.constantFrom('\n', '\r\n', '\r') })
  .map(({ words, lineEnd }) => {
    const print = (events: readonly unknown[]): string =>
      [': busy', ...events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}`)]
        .map((line) => line + lineEnd + lineEnd)
        .join('');
    const events = [...words.map(chunk), { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }];
    return { sent: print([...events, USAGE, '[DONE]']), wanted: print([...events, '[DONE]']) };
  });

test.each([true, false])(
  'a stream is passed on the same wherever it is cut, with its usage taken out: %s',
  (strips) => {
    fc.assert(
      fc.property(stream, offsets, ({ sent, wanted }, places) => {
        const watcher = new AnswerWatcher({ dialect: 'openai', kind: 'chat', stripUsage: strips });
        const passed = cut(Buffer.from(sent), places).map((piece) => watcher.push(piece));
        passed.push(watcher.end());
        expect(withoutStray(Buffer.concat(passed).toString())).toBe(withoutStray(strips ? wanted : sent));
        expect(watcher.seen.usage).toEqual({ promptTokens: 3 });
      }),
    );
  },
);

test('a client gets one head, all bytes in order and one end, whenever the pieces come', async () => {
  const pauses = fc.array(fc.nat(70), { minLength: 25, maxLength: 25 });
  const behind = fc.constantFrom('', ': bye\n\n', `: ${'x'.repeat(70_000)}\n\n`);
  await fc.assert(
    fc.asyncProperty(stream, offsets, pauses, behind, async ({ sent }, places, waits, rest) => {
      const clock = new ManualClock();
      const log: string[] = [];
      const sink: ForwardSink = {
        head: () => void log.push('head'),
        write: (bytes) => void log.push(bytes.toString('latin1')),
        end: async (last) => void log.push(last.toString('latin1'), 'end'),
        abort: () => void log.push('abort'),
      };
      const passing = new PassThrough(sink, { dialect: 'openai', kind: 'chat' }, clock);
      passing.head(200, { 'content-type': 'text/event-stream' });
      const whole = Buffer.from(`${sent}${rest}`);
      for (const [at, piece] of cut(whole, places).entries()) {
        clock.advance(waits[at] ?? 0);
        await passing.take(piece);
      }
      clock.advance(waits.at(-1) ?? 0);
      passing.finish();
      await passing.close();
      clock.advance(1000);
      expect(log[0]).toBe('head');
      expect(log.at(-1)).toBe('end');
      expect(log.slice(1, -1).join('')).toBe(whole.toString('latin1'));
    }),
  );
});

/** A CR LF that is cut between its bytes may leave an empty line more, which means nothing. */
function withoutStray(events: string): string {
  return events.replaceAll(/[\r\n]+/g, '\n');
}

test('a request that is made to ask for its usage is otherwise the same', () => {
  fc.assert(
    fc.property(document, fc.boolean(), (content, isPretty) => {
      const body = Buffer.from(JSON.stringify({ ...content, stream: true }, null, isPretty ? 2 : 0));
      const { askingBody } = readRequest({ dialect: 'openai', kind: 'chat', path: '/chat/completions', body });
      expect(JSON.parse(String(askingBody))).toEqual({
        ...toRecord(JSON.parse(body.toString())),
        stream_options: { include_usage: true },
      });
    }),
  );
});
