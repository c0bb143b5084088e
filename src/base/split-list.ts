/**
 * Lists in a text, as people and the environment write them.
 */

/** Splits a text at spaces and commas; empty parts are left out. */
export function splitList(text: string): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== '');
}
