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
