import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { FrameError, parseEnvelope, printFrame, readFrames, type PartialFrame } from '../../../src/protocol/frames.ts';

const LIMIT = 1024;

function refusal(frame: string): unknown {
  try {
    return parseEnvelope(frame);
  } catch (error) {
    return error;
  }
}

/** Feeds chunks one after the other and returns the frames and what is left. */
function feed(chunks: readonly string[], maxBytes = LIMIT): { frames: string[]; rest: PartialFrame | undefined } {
  const frames: string[] = [];
  let rest: PartialFrame | undefined;
  for (const chunk of chunks) rest = readFrames(rest, chunk, maxBytes, (frame) => frames.push(frame));
  return { frames, rest };
}

describe('readFrames', () => {
  it('hands on every frame of a chunk, in order', () => {
    expect(feed(['a\fbb\fccc\f'])).toStrictEqual({ frames: ['a', 'bb', 'ccc'], rest: undefined });
  });

  it('joins a frame that comes in pieces', () => {
    expect(feed(['{"a"', ':', '1}', '\f{"b', '":2}\f'])).toStrictEqual({
      frames: ['{"a":1}', '{"b":2}'],
      rest: undefined,
    });
  });

  it('keeps what is unfinished, and counts it in bytes', () => {
    const { frames, rest } = feed(['a\f', 'ü', '世x']);
    expect(frames).toStrictEqual(['a']);
    expect(rest?.bytes).toBe(2 + 3 + 1);
  });

  it('takes a chunk of nothing for nothing', () => {
    expect(feed(['', ''])).toStrictEqual({ frames: [], rest: undefined });
    expect(feed(['a', '', '\f']).frames).toStrictEqual(['a']);
  });

  it('hands on empty frames, which are for parseEnvelope to refuse', () => {
    expect(feed(['\f\f']).frames).toStrictEqual(['', '']);
  });

  it('takes a frame of exactly the limit', () => {
    expect(feed(['x'.repeat(LIMIT), '\f']).frames).toHaveLength(1);
    expect(feed([`${'ü'.repeat(LIMIT / 2)}\f`]).frames).toHaveLength(1);
  });

  it('refuses a frame that is longer, finished or not', () => {
    expect(() => feed([`${'x'.repeat(LIMIT + 1)}\f`])).toThrow(FrameError);
    expect(() => feed(['x'.repeat(LIMIT + 1)])).toThrow(FrameError);
    expect(() => feed(['x'.repeat(LIMIT), 'x'])).toThrow(FrameError);
    expect(() => feed(['x'.repeat(LIMIT), 'x\f'])).toThrow(FrameError);
  });

  it('counts bytes, not characters', () => {
    expect(() => feed([`${'ü'.repeat(LIMIT / 2)}x\f`])).toThrow(`longer than the limit of ${LIMIT} bytes`);
    expect(() => feed(['世'.repeat(LIMIT / 3 + 1)])).toThrow(FrameError);
  });

  it('has handed on what came before a frame that is too long', () => {
    const frames: string[] = [];
    const chunk = `good\f${'x'.repeat(LIMIT + 1)}`;
    expect(() => readFrames(undefined, chunk, LIMIT, (frame) => frames.push(frame))).toThrow(FrameError);
    expect(frames).toStrictEqual(['good']);
  });

  it('gives each frame the whole limit', () => {
    expect(feed([`${'x'.repeat(LIMIT)}\f`.repeat(5)]).frames).toHaveLength(5);
  });

  it('refuses a frame that begins nested too deep, without waiting for its end', () => {
    const beginning = `{"type":"request","data":${'['.repeat(1000)}`;
    expect(() => feed([beginning], 1_000_000)).toThrow('nested deeper than 500 levels');
    expect(() => feed([beginning], 1_000_000)).toThrow(FrameError);
    expect(feed([`{"data":"${'['.repeat(1000)}`], 1_000_000).rest?.bytes).toBe(1009);
    expect(feed([`{"data":[${'[],'.repeat(1000)}`], 1_000_000).rest?.bytes).toBe(3009);
  });

  it('remembers when the unfinished frame began, however many pieces follow', () => {
    const before = performance.now();
    const begun = feed(['a\fb']).rest;
    const after = performance.now();
    const grown = readFrames(begun, 'c', LIMIT, () => {});
    expect(grown?.since).toBe(begun?.since);
    expect(grown?.since).toBeGreaterThanOrEqual(before);
    expect(grown?.since).toBeLessThanOrEqual(after);
  });
});

/** Prints a request whose data is nested that deep. */
function nested(levels: number): string {
  return `{"type":"request","data":${'['.repeat(levels)}${']'.repeat(levels)}}`;
}

describe('parseEnvelope', () => {
  it('reads type and data', () => {
    expect(parseEnvelope('{"type":"request","data":{"id":1}}')).toStrictEqual({ type: 'request', data: { id: 1 } });
    expect(parseEnvelope('{"type":"hello","more":1}')).toStrictEqual({ type: 'hello', data: undefined });
  });

  it.each(['', ' ', '{', 'nonsense', '{"type":"x",}', '{"type":"x"}{', '\u0000', 'undefined'])(
    'refuses what is no JSON: %j',
    (frame) => {
      expect(() => parseEnvelope(frame)).toThrow(new FrameError('a frame is not valid JSON'));
    },
  );

  it.each([
    'null',
    '7',
    '"text"',
    '[]',
    '[{"type":"x"}]',
    '{}',
    '{"data":1}',
    '{"type":null}',
    '{"type":7}',
    '{"type":["hello"]}',
    '{"type":{"toString":"x"}}',
    '{"__proto__":{"type":"hello"}}',
  ])('refuses what is no object with a text as type: %s', (frame) => {
    expect(() => parseEnvelope(frame)).toThrow(FrameError);
  });

  it('never quotes the frame: it may hold a secret', () => {
    for (const frame of ['sk-or-v1-0123456789', '{"type": sk-or-v1-0123456789}', '{"key":"sk-or-v1-0123456789"}']) {
      expect(inspect(refusal(frame), { showHidden: true })).not.toContain('sk-or');
    }
  });

  it('refuses what is nested deeper than 500 levels, without parsing it', () => {
    expect(parseEnvelope(nested(499)).type).toBe('request');
    expect(() => parseEnvelope(nested(500))).toThrow('deeper than 500 levels');
    expect(() => parseEnvelope(nested(1_000_000))).toThrow('deeper than 500 levels');
  });

  it('takes brackets in a text for text', () => {
    const text = `${'['.repeat(5000)}"\\"{`;
    expect(parseEnvelope(JSON.stringify({ type: 'request', data: [text, text] })).data).toEqual([text, text]);
  });

  it('takes __proto__ for data like any other', () => {
    const { data } = parseEnvelope('{"type":"request","data":{"__proto__":{"polluted":true}}}');
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});

describe('printFrame', () => {
  it('prints an envelope and the end of a frame', () => {
    expect(printFrame('reply', { id: 1, result: null })).toBe('{"type":"reply","data":{"id":1,"result":null}}\f');
  });

  it('never has a form feed inside', () => {
    expect(printFrame('x', { text: 'a\fb\u000c' }).indexOf('\f')).toBe(
      printFrame('x', { text: 'a\fb\u000c' }).length - 1,
    );
  });
});
