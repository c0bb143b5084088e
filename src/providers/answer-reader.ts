/**
 * Reads one HTTP/1.1 answer from the bytes of a connection (RFC 9112). Pure: bytes go in, and head
 * and body come out.
 *
 * It is strict where two programs could read the same bytes differently: line ends, lengths,
 * encodings. An answer that is not whole, or not HTTP, is never taken for a short one.
 */

export interface AnswerSink {
  /** Takes the head. Names are in lower case; names and values alternate. */
  head(status: number, fields: readonly string[]): void;
  data(chunk: Buffer): void;
}

/** An answer that is not HTTP/1.1; the reason is plain text of ours. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer';
}

/** Longest head, in bytes, and longest trailers of a chunked body. */
const MAX_HEAD_BYTES = 64 * 1024;

/** Longest line before a chunk, in bytes: its size and extensions that nobody reads. */
const MAX_CHUNK_LINE_BYTES = 4096;

/** Most digits of a chunk's size: more than 4 GiB in one chunk is damage. */
const MAX_SIZE_DIGITS = 8;

export const SWITCHING_PROTOCOLS = 101;

const CR = 0x0d;
const LF = 0x0a;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const VERSION = 'HTTP/1.';

/** Part of the answer that the next byte belongs to. */
type Part = 'head' | 'length' | 'until-close' | 'chunk-line' | 'chunk' | 'chunk-end' | 'trailer' | 'over';

export class AnswerReader {
  /** Stops reading behind the current piece: what `push` returns is to be pushed again. */
  isHeld = false;
  /** Whether the connection can serve another request after this answer. */
  keepsAlive = false;
  /** Time for which the other side keeps an idle connection (`Keep-Alive`), in milliseconds. */
  keptMs: number | undefined;
  readonly #sink: AnswerSink;
  readonly #isHeadOnly: boolean;
  #part: Part = 'head';
  /** Bytes that are left of the body, or of the chunk. */
  #left = 0;
  /** Bytes of a head or a line of which the end has not come yet. */
  #kept: Buffer | undefined;
  #trailerBytes = 0;

  /**
   * @param isHeadOnly whether the answer has no body whatever its head announces: that to a HEAD.
   */
  constructor(sink: AnswerSink, isHeadOnly: boolean) {
    this.#sink = sink;
    this.#isHeadOnly = isHeadOnly;
  }

  /** Whether the whole answer was read. */
  get isOver(): boolean {
    return this.#part === 'over';
  }

  /**
   * Takes the next bytes and returns those that were not read: of a reader that is held, or behind
   * the end of the answer.
   *
   * @throws MalformedAnswer
   */
  push(chunk: Buffer): Buffer | undefined {
    let at = 0;
    while (at < chunk.length && this.#part !== 'over' && !this.isHeld) {
      switch (this.#part) {
        case 'head':
          at = this.#readHead(chunk, at);
          break;
        case 'until-close':
          this.#sink.data(at === 0 ? chunk : chunk.subarray(at));
          at = chunk.length;
          break;
        case 'length':
        case 'chunk': {
          const piece = at === 0 && chunk.length <= this.#left ? chunk : chunk.subarray(at, at + this.#left);
          this.#left -= piece.length;
          at += piece.length;
          const isDone = this.#left === 0;
          if (isDone && this.#part === 'chunk') this.#part = 'chunk-end';
          else if (isDone) this.#part = 'over';
          this.#sink.data(piece);
          break;
        }
        default:
          at = this.#readLine(chunk, at);
      }
    }
    return at < chunk.length ? chunk.subarray(at) : undefined;
  }

  /** Takes the end of the connection; returns whether that ends the answer, too. */
  close(): boolean {
    if (this.#part !== 'until-close') return this.isOver;
    this.#part = 'over';
    return true;
  }

  #readHead(chunk: Buffer, at: number): number {
    const before = this.#kept;
    const bytes = before ? Buffer.concat([before, chunk.subarray(at)]) : chunk;
    const start = before ? 0 : at;
    // The mark of the end may have been cut in two.
    const end = bytes.indexOf(END_OF_HEAD, before ? Math.max(0, before.length - 3) : start);
    if (end === -1) {
      this.#checkPartOfHead(bytes.subarray(start));
      this.#kept = bytes.subarray(start);
      return chunk.length;
    }
    if (end - start > MAX_HEAD_BYTES) throw new MalformedAnswer('its head is too long');
    this.#kept = undefined;
    this.#parseHead(bytes.toString('latin1', start, end));
    return end + END_OF_HEAD.length - (before ? before.length - at : 0);
  }

  /**
   * Rejects what no byte that follows can make a head of: it may be a long time until one comes.
   */
  #checkPartOfHead(bytes: Buffer): void {
    const begin = bytes.toString('latin1', 0, VERSION.length);
    if (begin !== VERSION.slice(0, begin.length)) throw new MalformedAnswer('it does not begin with a version of HTTP');
    if (bytes.length > MAX_HEAD_BYTES) throw new MalformedAnswer('its head is too long');
    for (let lf = bytes.indexOf(LF); lf !== -1; lf = bytes.indexOf(LF, lf + 1)) {
      if (bytes[lf - 1] !== CR) throw new MalformedAnswer('a line of its head ends without CR');
    }
  }

  #parseHead(head: string): void {
    const lines = head.split('\r\n');
    const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(lines[0] ?? '');
    if (!statusLine) throw new MalformedAnswer('its first line is not a status');
    const status = Number(statusLine[2]);
    const fields: string[] = [];
    for (let line = 1; line < lines.length; line += 1) readField(lines[line] ?? '', fields);
    // What comes before the answer itself: 100 Continue, 103 Early Hints.
    if (status < 200 && status !== SWITCHING_PROTOCOLS) return;
    this.#frame(status, fields, statusLine[1] === '1');
    this.#sink.head(status, fields);
  }

  /** Finds out where the body ends (RFC 9112, 6.3). */
  #frame(status: number, fields: readonly string[], isPersistent: boolean): void {
    let length: string | undefined;
    let encoding: string | undefined;
    let connection = '';
    for (let at = 0; at < fields.length; at += 2) {
      const value = fields[at + 1] ?? '';
      switch (fields[at] ?? '') {
        case 'content-length':
          if (length !== undefined || !/^\d{1,15}$/.test(value)) throw new MalformedAnswer('its length is ambiguous');
          length = value;
          break;
        case 'transfer-encoding':
          if (encoding !== undefined || value.toLowerCase() !== 'chunked') {
            throw new MalformedAnswer('its body is encoded in an unknown way');
          }
          encoding = value;
          break;
        case 'connection':
          connection += `,${value.toLowerCase()}`;
          break;
        case 'keep-alive':
          this.keptMs = readKeptMs(value);
      }
    }
    if (length !== undefined && encoding !== undefined) throw new MalformedAnswer('its length is ambiguous');
    const asks = connection === '' ? [] : connection.split(',').map((option) => option.trim());
    this.keepsAlive = isPersistent ? !asks.includes('close') : asks.includes('keep-alive') && !asks.includes('close');
    if (this.#isHeadOnly || status === 204 || status === 304) this.#part = 'over';
    else if (status === SWITCHING_PROTOCOLS) {
      // What follows is not HTTP.
      this.#part = 'over';
      this.keepsAlive = false;
    } else if (encoding !== undefined) this.#part = 'chunk-line';
    else if (length !== undefined) {
      this.#left = Number(length);
      this.#part = this.#left === 0 ? 'over' : 'length';
    } else {
      this.#part = 'until-close';
      this.keepsAlive = false;
    }
  }

  /** Reads a line between chunks, or behind the last one. */
  #readLine(chunk: Buffer, at: number): number {
    const lf = chunk.indexOf(LF, at);
    const end = lf === -1 ? chunk.length : lf + 1;
    const before = this.#kept;
    const length = (before?.length ?? 0) + end - at;
    if (length > (this.#part === 'trailer' ? MAX_HEAD_BYTES : MAX_CHUNK_LINE_BYTES)) {
      throw new MalformedAnswer('a line of its body is too long');
    }
    const piece = chunk.subarray(at, end);
    const line = before ? Buffer.concat([before, piece]) : piece;
    if (lf === -1) {
      this.#kept = line;
      return end;
    }
    this.#kept = undefined;
    if (line[line.length - 2] !== CR) throw new MalformedAnswer('a line of its body ends without CR');
    this.#takeLine(line.toString('latin1', 0, line.length - 2));
    return end;
  }

  #takeLine(line: string): void {
    switch (this.#part) {
      case 'chunk-end':
        if (line !== '') throw new MalformedAnswer('a chunk is longer than its size');
        this.#part = 'chunk-line';
        return;
      case 'chunk-line': {
        const size = /^([0-9a-f]+)[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/i.exec(line)?.[1];
        if (size === undefined || size.length > MAX_SIZE_DIGITS) throw new MalformedAnswer('a chunk has no size');
        this.#left = Number.parseInt(size, 16);
        this.#part = this.#left === 0 ? 'trailer' : 'chunk';
        return;
      }
      case 'trailer':
        this.#trailerBytes += line.length;
        if (this.#trailerBytes > MAX_HEAD_BYTES) throw new MalformedAnswer('its trailers are too long');
        if (line === '') this.#part = 'over';
        return;
      case 'head':
      case 'length':
      case 'until-close':
      case 'chunk':
      case 'over':
    }
  }
}

/**
 * Reads one field of a head (RFC 9112, 5). Rejects a folded one, and a name with a space behind it,
 * which programs read differently.
 */
function readField(line: string, fields: string[]): void {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0));
  if (!TOKEN.test(name)) throw new MalformedAnswer('a field of its head has no name');
  const value = line.slice(colon + 1);
  if (FORBIDDEN.test(value)) throw new MalformedAnswer('a field of its head holds a control character');
  fields.push(name.toLowerCase(), withoutBlanks(value));
}

/** Returns a value without the spaces and tabs around it: no other character is a blank here. */
function withoutBlanks(value: string): string {
  let begin = 0;
  let end = value.length;
  while (begin < end && isBlank(value.charCodeAt(begin))) begin += 1;
  while (end > begin && isBlank(value.charCodeAt(end - 1))) end -= 1;
  return value.slice(begin, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Name of a field, and a method (RFC 9110, 5.6.2). */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Characters that no value of a field may hold (RFC 9110, 5.5). */
export const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

function readKeptMs(value: string): number | undefined {
  const seconds = /(?:^|[,;\s])timeout\s*=\s*"?(\d{1,6})/i.exec(value)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
