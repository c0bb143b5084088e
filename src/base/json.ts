/**
 * Reads JSON whose shape is not known. Nothing here throws. Runs on Node 20.16 for the client.
 */

/** JSON object of which nothing is known. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Returns the document, or undefined for a text that is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the object, or undefined for a text that is not a JSON object. */
export function parseJsonObject(text: string): JsonObject | undefined {
  const value = parseJson(text);
  return isRecord(value) ? value : undefined;
}

/** Returns whether a value is an object with fields; an array is not. */
export function isRecord(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns the value as an object with fields; what is not one has no fields. */
export function toRecord(value: unknown): JsonObject {
  return isRecord(value) ? value : {};
}

/** Returns a field of any value, or undefined where it is not an own field of an object. */
export function readField(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/** Returns a field that is a string, or undefined. */
export function readString(value: unknown, name: string): string | undefined {
  const field = readField(value, name);
  return typeof field === 'string' ? field : undefined;
}

/** Returns a field that is a finite number, or undefined. */
export function readNumber(value: unknown, name: string): number | undefined {
  const field = readField(value, name);
  return typeof field === 'number' && Number.isFinite(field) ? field : undefined;
}

/** Returns a field that is an array, or undefined. */
export function readArray(value: unknown, name: string): readonly unknown[] | undefined {
  const field = readField(value, name);
  return Array.isArray(field) ? field : undefined;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACKET = 0x5d;
const CLOSE_BRACE = 0x7d;

/**
 * Returns whether arrays and objects are nested deeper than a limit, before the text is parsed: V8
 * takes half a second for a million levels, during which nobody else is served. For a text
 * that is not JSON, the result has no meaning.
 */
export function isDeeperThan(text: string, maxDepth: number): boolean {
  // Most texts are long because of a long string, or hold few brackets at all: neither is read
  // letter by letter.
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

/** Returns where the string that begins at a quote ends, else the end of the text. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at;
  }
  return text.length;
}
