/**
 * The form of an answer, judged by its first bytes: content types of providers and gateways cannot
 * be trusted. Pure.
 */

/** A JSON document, an event stream, a page for people, or something that is passed on unread. */
export type AnswerForm = 'json' | 'events' | 'page' | 'opaque';

/**
 * Maximum beginning that is examined, in bytes; comments of a provider that is busy are shorter.
 */
const MAX_PREFIX_BYTES = 64 * 1024;

/** What the bytes so far show. */
export interface FoundForm {
  /** Undefined where more bytes are needed. */
  readonly form: AnswerForm | undefined;
  /** Bytes that were passed over since the last call: blanks and comments. */
  readonly passedOver: Buffer;
  /** The bytes from the first meaningful one on; empty before it came. */
  readonly rest: Buffer;
}

const NOTHING = Buffer.alloc(0);

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;

/** Line that has a field of an event stream (WHATWG HTML, 9.2.6), which may have no value. */
const STREAM_FIELD = /^(?:data|event|id|retry)(?:[: \r\n]|$)/;

/** Line that has any field, and one that may turn out to have one. */
const FIELD = /^[A-Za-z][\w-]{0,63}:/;
const NAME = /^[A-Za-z][\w-]*$/;

/** Beginning of a line that is long enough to tell its name, in bytes. */
const NAME_BYTES = 65;

/**
 * Finds the form of an answer while its first bytes come, each of which is looked at once. Blank
 * lines, comments and lines with fields that no event stream knows decide nothing: both forms may
 * come after them.
 */
export class FormFinder {
  /** Beginning of a line whose meaning is not known yet: a few bytes. */
  #undecided: Buffer = NOTHING;
  #bytes = 0;
  #first: number | undefined;
  /** Whether the next bytes belong to a line that decides nothing. */
  #isSkipping = false;

  /** Takes the next bytes. */
  push(chunk: Buffer): FoundForm {
    this.#bytes += chunk.length;
    return this.#find(this.#undecided.length === 0 ? chunk : Buffer.concat([this.#undecided, chunk]), false);
  }

  /** Takes the end of the answer, which has no form where nothing came. */
  end(): FoundForm {
    return this.#find(this.#undecided, true);
  }

  #find(bytes: Buffer, isWhole: boolean): FoundForm {
    this.#first ??= bytes[0];
    const isBeginning = this.#bytes === bytes.length;
    const start = isBeginning && bytes[0] === MARK[0] ? markLength(bytes) : 0;
    const { form: seen, from } = this.#read(bytes, start, isWhole);
    const isLate = this.#bytes > 0 && (isWhole || this.#bytes >= MAX_PREFIX_BYTES);
    const form = seen ?? (isLate ? (this.#first === COLON ? 'events' : 'opaque') : undefined);
    const rest = from === 0 ? bytes : bytes.subarray(from);
    this.#undecided = form === undefined ? rest : NOTHING;
    return {
      form,
      passedOver: from === 0 ? NOTHING : bytes.subarray(0, from),
      rest: form === undefined ? NOTHING : rest,
    };
  }

  #read(
    bytes: Buffer,
    start: number,
    isWhole: boolean,
  ): { readonly form: AnswerForm | undefined; readonly from: number } {
    let at = start;
    if (this.#bytes < MARK.length && !isWhole && MARK.subarray(0, bytes.length).equals(bytes))
      return { form: undefined, from: 0 };
    while (at < bytes.length) {
      if (this.#isSkipping) {
        const end = lineEnd(bytes, at);
        if (end === -1) return { form: undefined, from: bytes.length };
        this.#isSkipping = false;
        at = end + 1;
        continue;
      }
      const byte = bytes[at];
      if (byte === 0x20 || byte === 0x09 || byte === LF || byte === CR) {
        at += 1;
        continue;
      }
      if (byte === 0x7b || byte === 0x5b) return { form: 'json', from: at };
      if (byte === 0x3c) return { form: 'page', from: at };
      const line = bytes.toString('latin1', at, at + NAME_BYTES);
      if (!isWhole && line.length < NAME_BYTES && NAME.test(line)) return { form: undefined, from: at };
      if (STREAM_FIELD.test(line)) return { form: 'events', from: at };
      if (byte !== COLON && !FIELD.test(line)) return { form: 'opaque', from: at };
      this.#isSkipping = true;
    }
    return { form: undefined, from: at };
  }
}

/** A byte order mark. */
const MARK = Buffer.from('\uFEFF');

/** Returns the length of the byte order mark that bytes begin with. */
function markLength(bytes: Buffer): number {
  return bytes.subarray(0, MARK.length).equals(MARK) ? MARK.length : 0;
}

function lineEnd(bytes: Buffer, from: number): number {
  const lf = bytes.indexOf(LF, from);
  const cr = bytes.subarray(from, lf === -1 ? bytes.length : lf).indexOf(CR);
  return cr === -1 ? lf : from + cr;
}
