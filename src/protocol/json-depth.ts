/**
 * Finds JSON text that is nested absurdly deep before it is parsed: V8 takes half a second for a million levels, during
 * which nobody else is served.
 */

/** Maximum nesting: far deeper than any tool schema, and parsed in well under a millisecond. */
export const MAX_JSON_DEPTH = 500;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACKET = 0x5d;
const CLOSE_BRACE = 0x7d;

/** Returns whether arrays and objects are nested deeper than a limit. The result for invalid JSON is undefined. */
export function isDeeperThan(text: string, maxDepth: number): boolean {
  // Most texts are long because of a long string, or hold few brackets at all: neither is read letter by letter.
  if (text.length <= maxDepth * 2 || !hasMoreOpenings(text, maxDepth)) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        depth += 1;
        if (depth > maxDepth) return true;
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth -= 1;
        break;
      default:
    }
  }
  return false;
}

function hasMoreOpenings(text: string, count: number): boolean {
  let found = 0;
  for (const opening of ['[', '{']) {
    for (let at = text.indexOf(opening); at !== -1; at = text.indexOf(opening, at + 1)) {
      found += 1;
      if (found > count) return true;
    }
  }
  return false;
}

/** Returns where the string that begins at a quote ends, or the end of the text where it does not. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at;
  }
  return text.length;
}
