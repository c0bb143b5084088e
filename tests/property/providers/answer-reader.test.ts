import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AnswerReader, MalformedAnswer } from '../../../src/providers/answer-reader.ts';

/** What was read of an answer. */
interface Read {
  readonly status: number | undefined;
  readonly fields: readonly string[];
  readonly body: string;
  readonly isOver: boolean;
  readonly keepsAlive: boolean;
  readonly remainder: string;
}

/**
 * Reads pieces; `isHeld` holds the reader after the head and each piece of a body, and lets it go
 * on at once.
 */
function read(pieces: readonly Buffer[], { isHeadOnly = false, isHeld = false, isClosed = false } = {}): Read {
  let status: number | undefined;
  let fields: readonly string[] = [];
  const body: Buffer[] = [];
  const reader: AnswerReader = new AnswerReader(
    {
      head: (code, given) => {
        status = code;
        fields = given;
        reader.isHeld = isHeld;
      },
      data: (chunk) => {
        body.push(Buffer.from(chunk));
        reader.isHeld = isHeld;
      },
    },
    isHeadOnly,
  );
  let remainder: Buffer | undefined;
  for (const piece of pieces) {
    remainder = reader.push(remainder ? Buffer.concat([remainder, piece]) : piece);
    while (reader.isHeld) {
      reader.isHeld = false;
      remainder = remainder && reader.push(remainder);
    }
  }
  if (isClosed) reader.close();
  return {
    status,
    fields,
    body: Buffer.concat(body).toString('latin1'),
    isOver: reader.isOver,
    keepsAlive: reader.keepsAlive,
    remainder: remainder?.toString('latin1') ?? '',
  };
}

function cut(text: string, offsets: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const places = [0, ...offsets.map((offset) => offset % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  return places.slice(1).map((end, at) => bytes.subarray(places[at], end));
}

const offsets = fc.array(fc.nat(), { maxLength: 12 });
const bytes = fc.string({
  maxLength: 60,
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
});
const early = fc.constantFrom('', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n');

describe('an answer is read the same wherever its bytes are cut, held or not', () => {
  test('with a length', () => {
    fc.assert(
      fc.property(early, bytes, offsets, fc.boolean(), (before, body, places, isHeld) => {
        const text = `${before}HTTP/1.1 200 OK\r\nX-One:  a b \r\nContent-Length: ${body.length}\r\n\r\n${body}`;
        expect(read(cut(text, places), { isHeld })).toEqual({
          status: 200,
          fields: ['x-one', 'a b', 'content-length', String(body.length)],
          body,
          isOver: true,
          keepsAlive: true,
          remainder: '',
        });
      }),
    );
  });

  test('in chunks, with extensions and trailers', () => {
    const chunks = fc.array(
      bytes.filter((chunk) => chunk !== ''),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(early, chunks, offsets, fc.boolean(), fc.boolean(), (before, pieces, places, isHeld, isRich) => {
        const extension = isRich ? ' ;a="b"' : '';
        const printed = pieces.map((piece) => `${piece.length.toString(16)}${extension}\r\n${piece}\r\n`).join('');
        const text = `${before}HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${printed}0\r\n${isRich ? 'X-End: 1\r\n' : ''}\r\n`;
        expect(read(cut(text, places), { isHeld })).toMatchObject({
          status: 200,
          body: pieces.join(''),
          isOver: true,
          keepsAlive: true,
          remainder: '',
        });
      }),
    );
  });

  test('until its connection ends', () => {
    fc.assert(
      fc.property(bytes, offsets, fc.boolean(), (body, places, isHeld) => {
        const pieces = cut(`HTTP/1.1 200 OK\r\n\r\n${body}`, places);
        expect(read(pieces, { isHeld })).toMatchObject({ body, isOver: false });
        expect(read(pieces, { isHeld, isClosed: true })).toMatchObject({ body, isOver: true, keepsAlive: false });
      }),
    );
  });
});

test('whatever the bytes, a reader ends, or says that they are malformed, or waits', () => {
  const start = fc.constantFrom('', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
  fc.assert(
    fc.property(start, bytes, offsets, (head, tail, places) => {
      let thrown: unknown;
      try {
        read(cut(head + tail, places));
      } catch (error) {
        thrown = error;
      }
      expect(thrown === undefined || thrown instanceof MalformedAnswer).toBe(true);
    }),
  );
});

describe('an answer that two programs could read differently is refused:', () => {
  test.each([
    ['not HTTP', 'SSH-2.0-x\r\n'],
    ['another version of HTTP', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['lines without CR', 'HTTP/1.1 200 OK\nContent-Length: 1\n\nx'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx'],
    ['a folded field', 'HTTP/1.1 200 OK\r\nX: 1\r\n Content-Length: 1\r\n\r\nx'],
    ['a field without a name', 'HTTP/1.1 200 OK\r\n: 1\r\n\r\n'],
    ['a control character', 'HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx'],
    ['a length with a sign', 'HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['an unknown encoding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['a chunk without a size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'],
    ['a chunk with a sign', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n'],
    ['a chunk that is too large', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000000\r\n'],
    ['a chunk longer than its size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n'],
    ['chunks without CR', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n0\n\n'],
    ['a head that is too long', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`],
  ])('%s', (_what, text) => {
    expect(() => read(cut(text, []))).toThrow(MalformedAnswer);
  });
});

test.each([
  ['HTTP/1.1 204 No Content\r\n\r\n', true],
  ['HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', true],
  ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n', false],
  ['HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n', false],
  ['HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n', true],
])('%j ends with its head, and keeps the connection: %s', (text, keepsAlive) => {
  expect(read(cut(text, []))).toMatchObject({ body: '', isOver: true, keepsAlive });
});

test('the answer to a HEAD has no body, whatever length it announces', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n';
  expect(read(cut(text, []), { isHeadOnly: true })).toMatchObject({ isOver: true, keepsAlive: true });
});

test('bytes behind an answer are given back, and are not a part of it', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n';
  expect(read(cut(text, []))).toMatchObject({ body: 'x', isOver: true, remainder: 'HTTP/1.1 200 OK\r\n' });
});
