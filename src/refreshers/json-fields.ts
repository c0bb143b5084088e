/**
 * Reads single fields of a stranger's JSON document without trusting its shape.
 */

/** Is a JSON object before anything is known of it. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Says which field of a document is wrong, and how; never quotes its value. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
}

/**
 * Parses a JSON object.
 *
 * @throws FieldError when the text is no JSON, or no object; the message never quotes it.
 */
export function parseJsonObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FieldError('it is not valid JSON (cut off, or edited by hand)');
  }
  if (!isJsonObject(value)) throw new FieldError('it is not a JSON object');
  return value;
}

/** Tells whether a value is a JSON object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns a text field, or undefined where it is absent, null or empty. @throws FieldError when it is something else. */
export function textField(document: JsonObject, name: string): string | undefined {
  const value = document[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw new FieldError(`"${name}" must be a text`);
  return value;
}

/** Returns a field of epoch milliseconds, or undefined where it is absent or null. @throws FieldError when it is no finite number. */
export function epochField(document: JsonObject, name: string): number | undefined {
  const value = document[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new FieldError(`"${name}" must be a number`);
  return value;
}

/** Returns scopes that are written as a list, or as one text of words; undefined where absent. @throws FieldError otherwise. */
export function scopesField(document: JsonObject, name: string): readonly string[] | undefined {
  const value = document[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return splitScopes(value);
  if (Array.isArray(value)) {
    const scopes = value.filter((scope): scope is string => typeof scope === 'string' && scope !== '');
    if (scopes.length === value.length) return scopes;
  }
  throw new FieldError(`"${name}" must be a list of texts`);
}

/** Splits a scope text at spaces and commas: RFC 6749 §3.3 has spaces, Slack, GitHub and Linear answer with commas. */
export function splitScopes(text: string): string[] {
  return text.split(/[\s,]+/).filter((scope) => scope !== '');
}
