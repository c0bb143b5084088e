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

/** Number of bytes that identify a field of an event stream. */
const FIELD_BYTES = 6;

/** What the bytes so far show. */
export interface FoundForm {
  /** Undefined where more bytes are needed. */
  readonly form: AnswerForm | undefined;
  /** Blank lines and comments that were passed over since the last call. */
  readonly passedOver: Buffer;
  /** The bytes from the first meaningful one on; empty before it came. */
  readonly rest: Buffer;
}

const NOTHING = Buffer.alloc(0);

/** Finds the form of an answer while its first bytes come. */
export class FormFinder {
  #undecided: Buffer = NOTHING;
  #bytes = 0;
  #passedOver = 0;
  #first: number | undefined;

  /** Takes the next bytes. Those that decide nothing are looked at once. */
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
    const { form, from } = this.#judge(bytes, isWhole);
    this.#passedOver += from;
    const rest = bytes.subarray(from);
    this.#undecided = form === undefined ? rest : NOTHING;
    return { form, passedOver: bytes.subarray(0, from), rest: form === undefined ? NOTHING : rest };
  }

  #judge(bytes: Buffer, isWhole: boolean): { readonly form: AnswerForm | undefined; readonly from: number } {
    const found = formOf(bytes, this.#passedOver === 0, isWhole);
    if (found.form !== undefined || this.#bytes === 0 || (!isWhole && this.#bytes < MAX_PREFIX_BYTES)) return found;
    return { form: this.#first === COLON ? 'events' : 'opaque', from: found.from };
  }
}

const COLON = 0x3a;

/**
 * Returns the form of an answer with these bytes, and where its first meaningful byte is; no form
 * where more bytes are needed. Blank lines, comments and lines with fields that no event stream
 * knows decide nothing: both forms may come after them.
 */
function formOf(
  bytes: Buffer,
  isBeginning: boolean,
  isWhole: boolean,
): { readonly form: AnswerForm | undefined; readonly from: number } {
  let at = isBeginning && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  while (at < bytes.length) {
    const byte = bytes[at];
    if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) {
      at += 1;
      continue;
    }
    if (byte === 0x7b || byte === 0x5b) return { form: 'json', from: at };
    if (byte === 0x3c) return { form: 'page', from: at };
    if (byte === COLON || isOtherField(bytes, at)) {
      const end = lineEnd(bytes, at);
      if (end === -1) break;
      at = end + 1;
      continue;
    }
    if (bytes.length - at < FIELD_BYTES && !isWhole) break;
    const start = bytes.toString('latin1', at, at + FIELD_BYTES);
    return { form: /^(?:data|event|id|retry)(?:[: \r\n]|$)/.test(start) ? 'events' : 'opaque', from: at };
  }
  return { form: undefined, from: at };
}

/**
 * Returns whether a line begins with a name that is not that of a field of an event stream, and a
 * colon.
 */
function isOtherField(bytes: Buffer, at: number): boolean {
  const name = /^([A-Za-z][\w-]{0,63}):/.exec(bytes.toString('latin1', at, at + 65))?.[1];
  return name !== undefined && !/^(?:data|event|id|retry)$/.test(name);
}

function lineEnd(bytes: Buffer, from: number): number {
  const lf = bytes.indexOf(0x0a, from);
  const cr = bytes.subarray(from, lf === -1 ? bytes.length : lf).indexOf(0x0d);
  return cr === -1 ? lf : from + cr;
}
