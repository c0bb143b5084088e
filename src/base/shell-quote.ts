/**
 * Quotes words for commands that people paste into a shell. Runs on Node 20.16 for the client.
 */

/** Quotes a word as a shell reads it back, where it has to be (POSIX.1-2024, section 2.2). */
export function shellQuote(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (!/\p{C}/u.test(word)) return `'${word.replaceAll("'", `'\\''`)}'`;
  const escaped = word.replaceAll(/[\\'\p{C}]/gu, (letter) =>
    [...Buffer.from(letter)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  );
  return `$'${escaped}'`;
}
