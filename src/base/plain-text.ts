/**
 * Makes foreign text short and plain before it reaches a log, an error or a terminal.
 */

/** Characters that move a cursor, hide text or forge a line. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu;

/** Returns the text on one line, without unprintable characters, cut to a number of characters. */
export function plainText(text: string, maxLength: number): string {
  const plain = text
    .slice(0, maxLength * 4)
    .replace(UNPRINTABLE, ' ')
    .trim();
  return plain.length <= maxLength ? plain : `${plain.slice(0, maxLength - 1)}…`;
}
