/**
 * Reads JSON that strangers wrote: nothing is known of its shape, and nothing here throws.
 */

/** Returns the document, or undefined for a text that is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Views any value as a record of unknown fields; what is no object has none. */
export function toFields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** Returns a text, or the empty one for anything else. */
export function readText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
