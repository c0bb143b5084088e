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

/**
 * Returns the form of an answer that begins with these bytes, and where its first meaningful byte
 * is; undefined where more bytes are needed. Blank lines, comments and lines with fields that no
 * event stream knows decide nothing: both forms may come after them.
 *
 * @param isWhole whether no more bytes will come.
 */
export function formOf(
  bytes: Buffer,
  isWhole = false,
): { readonly form: AnswerForm; readonly from: number } | undefined {
  let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  while (at < bytes.length) {
    const byte = bytes[at];
    if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) {
      at += 1;
      continue;
    }
    if (byte === 0x7b || byte === 0x5b) return { form: 'json', from: at };
    if (byte === 0x3c) return { form: 'page', from: at };
    if (byte === 0x3a || isOtherField(bytes, at)) {
      const end = lineEnd(bytes, at);
      if (end === -1) break;
      at = end + 1;
      continue;
    }
    if (bytes.length - at < FIELD_BYTES && !isWhole) return undefined;
    const start = bytes.toString('latin1', at, at + FIELD_BYTES);
    return { form: /^(?:data|event|id|retry)(?:[: \r\n]|$)/.test(start) ? 'events' : 'opaque', from: at };
  }
  if (!isWhole && bytes.length < MAX_PREFIX_BYTES) return undefined;
  return { form: bytes[0] === 0x3a ? 'events' : 'opaque', from: 0 };
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
  return lf === -1 ? bytes.indexOf(0x0d, from) : lf;
}
