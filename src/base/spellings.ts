/**
 * Other spellings of a text: what escapes and references in it stand for. Only visible characters
 * of ASCII are read, of which secrets are made. Pure.
 */

/** What shows that a text may hold an escape of JSON or of a program. */
export const ESCAPE = /\\(?:\/|u00[0-9A-Fa-f]{2}|x[0-9A-Fa-f]{2})/;

/**
 * Reads the escapes of JSON and of programs: PHP writes `\/`, and any character may be written by
 * its number. Where a text stands in another one, backslashes are doubled.
 */
export function readEscapes(text: string): string {
  return text
    .replaceAll(/\\+(?:u00|x)([0-9A-Fa-f]{2})/g, fromHex)
    .replaceAll(/\\+[bfnrt]/g, ' ')
    .replaceAll(/\\+\//g, '/');
}

/** Reads the encoding of URLs. */
export function readPercents(text: string): string {
  return text.replaceAll(/%([0-9A-Fa-f]{2})/g, fromHex);
}

/** Reads the references of HTML and XML. */
export function readReferences(text: string): string {
  return text
    .replaceAll(/&#x0*([0-9A-Fa-f]{2});/gi, fromHex)
    .replaceAll(/&#0*(\d{2,3});/g, (_, code: string) => String.fromCharCode(Number(code)));
}

function fromHex(_all: string, code: string): string {
  return String.fromCharCode(Number.parseInt(code, 16));
}
