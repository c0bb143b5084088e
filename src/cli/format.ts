/**
 * Numbers, times and durations as people read them, and the widths of text on a terminal. Wide East
 * Asian characters and emoji take two columns, combining marks none.
 */
import { stripVTControlCharacters } from 'node:util';

/** Formats a number and its noun: `1 day`, `2 days`. */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Formats a duration with its two largest units: `2 h 5 min`. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const units: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = units.findIndex(([count]) => count > 0);
  if (first === -1) return '0 s';
  return units
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** Formats how far a moment is from now: `in 2 min`, `3 h ago`. */
export function formatRelative(at: number, now: number): string {
  return at >= now ? `in ${formatDuration(at - now)}` : `${formatDuration(now - at)} ago`;
}

/** Formats a moment in local time, to the second: `2026-11-28 14:03:09`. */
export function formatLocalTime(at: number): string {
  const date = new Date(at);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Draws a share, 0 to 1, as a bar: `[####......]`. */
export function formatBar(share: number, width: number): string {
  const filled = Math.floor(width * Math.min(1, Math.max(0, share)));
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** Rewrites the moments in a text of the daemon's, which are UTC, as local time. */
export function localTimes(text: string): string {
  return text.replaceAll(/\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?Z/g, (moment) =>
    formatLocalTime(Date.parse(moment)),
  );
}

/** Formats micro-dollars as dollars with six decimals. */
export function formatCost(micros: number): string {
  return `$${(micros / 1_000_000).toFixed(6)}`;
}

/** Formats a number of bytes: `96 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A grapheme of two columns: wide in Unicode's EastAsianWidth, or an emoji. */
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

/** Cuts a text to a width in columns, the last of which is an ellipsis. */
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

/** Breaks a text at its spaces into lines; a longer word gets a line of its own. */
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
