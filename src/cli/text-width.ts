/**
 * Widths of text in terminal columns: wide East Asian characters and emoji take two, combining
 * marks none.
 */

import { stripVTControlCharacters } from 'node:util';

/**
 * Matches a grapheme of two columns: the wide and full-width ranges of Unicode's EastAsianWidth,
 * and emoji.
 */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u;

/** Matches a grapheme without a column of its own. */
const ZERO = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;

/** Matches text whose width is its length. */
const PLAIN = /^[\x20-\x7e]*$/;

let segmenter: Intl.Segmenter | undefined;

function* graphemes(text: string): Generator<readonly [grapheme: string, width: number]> {
  segmenter ??= new Intl.Segmenter();
  for (const { segment } of segmenter.segment(text)) {
    yield [segment, ZERO.test(segment) ? 0 : WIDE.test(segment) ? 2 : 1];
  }
}

/** Returns how many columns a text takes on a terminal. Colours take none. */
export function textWidth(text: string): number {
  const bare = text.includes('\x1b') ? stripVTControlCharacters(text) : text;
  if (PLAIN.test(bare)) return bare.length;
  let width = 0;
  for (const [, columns] of graphemes(bare)) width += columns;
  return width;
}

/** Pads a text with spaces to a width in columns. */
export function padText(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - textWidth(text)));
}

/**
 * Cuts a text without colours to a width in columns; the last column of a cut text is an ellipsis.
 */
export function cutText(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let cut = '';
  let used = 0;
  for (const [grapheme, columns] of graphemes(text)) {
    if (used + columns > width - 1) break;
    cut += grapheme;
    used += columns;
  }
  return `${cut}…`;
}

/**
 * Breaks a text at its spaces into lines of at most a width in columns. A longer word gets a line
 * of its own.
 */
export function wrapText(text: string, width: number): string[] {
  if (textWidth(text) <= width) return [text];
  const lines: string[] = [];
  const [first = '', ...words] = text.trimStart().split(' ');
  let line = text.slice(0, text.length - text.trimStart().length) + first;
  for (const word of words) {
    const longer = `${line} ${word}`;
    if (textWidth(longer) > width) {
      if (line.trim() !== '') lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
