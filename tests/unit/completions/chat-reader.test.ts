import { describe, expect, test } from 'vitest';
import { ChatReader } from '../../../src/completions/chat-reader.ts';
import { ErrorInAnswer } from '../../../src/completions/failure.ts';
import { ExchangeFailure } from '../../../src/providers/http-exchange.ts';

const piece = (content: string): string => `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
const WHOLE = '{"choices":[{"index":0,"message":{"content":"fine"},"finish_reason":"stop"}]}';

const waiting = (ts: number): string => `data: {"ts":${ts}}\n\n`;
const line = (content: string, finish: string | null = null): string =>
  JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] });

/** Reads an answer, and returns its content. */
function read(answer: string): string | null {
  const reader = new ChatReader({ model: 'm' });
  void reader.take(Buffer.from(answer));
  reader.finish();
  return reader.result.content;
}

describe('data that keeps a stream alive', () => {
  test.each([
    '[KEEPALIVE]',
    '[]',
    '[1]',
    '"ping"',
    'true',
    '1',
    '-',
    'keep-alive',
    '{"type":"ping"}',
    '{"status":"processing"}',
    '{"ts":1}',
  ])('%s says nothing, wherever it comes', (data) => {
    const event = `data: ${data}\n\n`;
    expect(read(`${event}${piece('half ')}${event}${piece('and half')}${event}data: [DONE]\n\n`)).toBe('half and half');
  });

  test.each(['{"choices":[', '[{"choices":['])('is not %s, which was to be a chunk', (data) => {
    expect(() => read(`${piece('half ')}data: ${data}\n\ndata: [DONE]\n\n`)).toThrow(ExchangeFailure);
  });
});

describe('an event with the name error', () => {
  test.each([
    ['upstream exploded', 'upstream exploded'],
    ['{"message":"boom","code":500}', { message: 'boom', code: 500 }],
    ['{"type":"error","error":{"type":"overloaded_error"}}', { type: 'overloaded_error' }],
  ])('fails the stream with what it holds: %s', (data, error) => {
    const stream = `${piece('half ')}event: error\ndata: ${data}\n\ndata: [DONE]\n\n`;
    expect(() => read(stream)).toThrow(expect.objectContaining({ name: 'ErrorInAnswer', error }));
  });

  test('and nothing in it says nothing', () => {
    expect(read(`event: error\ndata: {}\n\n${piece('all')}data: [DONE]\n\n`)).toBe('all');
  });
});

describe('fields of the answer that come before its content', () => {
  test('commit nobody, and are no content, though they change', () => {
    const deltas: unknown[] = [];
    const reader = new ChatReader({ model: 'm', onDelta: (delta) => void deltas.push(delta) });
    void reader.take(Buffer.from(waiting(1) + waiting(2)));
    expect({ begun: reader.begun, contents: reader.contents, deltas }).toEqual({
      begun: false,
      contents: 0,
      deltas: [],
    });
    void reader.take(Buffer.from(piece('x') + waiting(3)));
    expect(deltas).toEqual([{ content: 'x', answerExtra: { ts: 2 } }, { answerExtra: { ts: 3 } }]);
    expect(reader.contents).toBe(1);
  });
});

describe('a stream that begins with fields that no event stream knows', () => {
  test('is a stream', () => {
    expect(read(`x-request-id: 7\nData: {}\n\n${piece('all')}data: [DONE]\n\n`)).toBe('all');
    expect(() => read('Error: no such model\n')).toThrow(ExchangeFailure);
  });
});

describe('a document in a list of one', () => {
  test('is read as the document', () => {
    expect(read(`[${WHOLE}]`)).toBe('fine');
  });

  test.each(['[{"error":{"message":"no"}}]', 'data: [{"error":{"message":"no"}}]\n\n'])('%s is an error', (answer) => {
    expect(() => read(answer)).toThrow(ErrorInAnswer);
  });
});

describe('lines with a chunk each (NDJSON)', () => {
  const answer = `${line('half ')}\n${line('and ')}\r\n\n${line('half', 'stop')}`;

  test.each([1, 2, 7, 1000])('are a stream, wherever it is cut (%i bytes)', (size) => {
    const deltas: unknown[] = [];
    const reader = new ChatReader({ model: 'm', onDelta: (delta) => void deltas.push(delta) });
    const bytes = Buffer.from(answer);
    for (let at = 0; at < bytes.length; at += size) void reader.take(bytes.subarray(at, at + size));
    expect(deltas).toEqual([{ content: 'half ' }, { content: 'and ' }]);
    reader.finish();
    void reader.close();
    expect(deltas).toHaveLength(3);
    expect(reader.result).toMatchObject({ content: 'half and half', finishReason: 'stop' });
  });

  test('may hold an error', () => {
    expect(() => read(`${line('half ')}\n{"error":{"message":"no"}}\n`)).toThrow(ErrorInAnswer);
  });

  test('are not what a document with line breaks is', () => {
    expect(read(JSON.stringify(JSON.parse(WHOLE), null, 2))).toBe('fine');
    expect(read(`${WHOLE}\n\ndata: [DONE]\n`)).toBe('fine');
  });
});
