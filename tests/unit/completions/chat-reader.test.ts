import { describe, expect, test } from 'vitest';
import { ChatReader } from '../../../src/completions/chat-reader.ts';
import { ErrorInAnswer, GarbageAnswer } from '../../../src/completions/failure.ts';

const piece = (content: string): string => `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
const WHOLE = '{"choices":[{"index":0,"message":{"content":"fine"},"finish_reason":"stop"}]}';

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
    expect(() => read(`${piece('half ')}data: ${data}\n\ndata: [DONE]\n\n`)).toThrow(GarbageAnswer);
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
