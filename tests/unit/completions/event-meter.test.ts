import { describe, expect, test } from 'vitest';
import { EventMeter } from '../../../src/completions/event-meter.ts';

function meter(text: string, maxBytes?: number): EventMeter {
  const one = new EventMeter(maxBytes);
  one.count(Buffer.from(text));
  one.end();
  return one;
}

describe('the mark of the end', () => {
  test.each([
    'data: {}\n\ndata: [DONE]\n\n',
    'data: [DONE]',
    'data:[DONE]\r\n\r\n',
    'data: [DONE]\rdata: more\r',
    ': comment\n\ndata: [DONE]\n\n',
  ])('is seen in %j', (text) => {
    expect(meter(text).done).toBe(true);
  });

  test.each(['', 'data: {"x":"data: [DONE]"}\n\n', 'data: [DONE]x\n\n', 'x data: [DONE]\n\n', 'data: [DON\nE]\n\n'])(
    'is not seen in %j',
    (text) => {
      expect(meter(text).done).toBe(false);
    },
  );

  test('is seen byte by byte', () => {
    const one = new EventMeter();
    for (const byte of Buffer.from('data: {}\r\n\r\ndata: [DONE]\r\n\r\n')) one.count(Uint8Array.of(byte));
    expect(one.done).toBe(true);
  });
});

describe('the length of an event', () => {
  test('is bounded', () => {
    expect(() => meter(`data: ${'x'.repeat(100)}`, 50)).toThrow('a stream event of more than 50 bytes');
  });

  test('begins anew after each event, so that a stream may be as long as it likes', () => {
    expect(() => meter('data: 0123456789\n\n'.repeat(1000), 50)).not.toThrow();
    expect(() => meter('data: 0123456789\r\n\r\n'.repeat(1000), 50)).not.toThrow();
    expect(() => meter('data: 0123456789\r\r'.repeat(1000), 50)).not.toThrow();
  });

  test('includes the comments before it: a flood of them is one event', () => {
    expect(() => meter(': keep-alive\n\n'.repeat(10), 50)).toThrow('more than 50 bytes');
  });
});
