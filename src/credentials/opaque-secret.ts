/**
 * What the content of an opaque secret means: as text, as a document, and which values in it are secret. Pure.
 *
 * The text of a JSON object is its token, as in AIPass: the first of a list of names that it has. Parse errors of JSON
 * quote the text, so none leaves this file.
 */

/** Is what a JSON text holds, or that it holds none. */
export type JsonOutcome = { readonly kind: 'document'; readonly document: unknown } | { readonly kind: 'broken' };

/** Lists the names under which a JSON object holds its one important value, first match first. */
const TEXT_FIELDS = ['bot_token', 'api_key', 'token', 'secret', 'password', 'key'];

/** Bounds the nesting of a document: none that a person wrote comes near, and printing one recurses. */
const MAX_DEPTH = 200;

/** Parses a JSON text; one that is nested deeper than 200 levels counts as broken. */
export function parseJson(text: string): JsonOutcome {
  try {
    const document: unknown = JSON.parse(text);
    return leavesOf(document) === undefined ? { kind: 'broken' } : { kind: 'document', document };
  } catch {
    return { kind: 'broken' };
  }
}

/** Returns the text form of a JSON document: an object's important field, a string itself, else the JSON text. */
export function textOf(document: unknown): string {
  if (isObject(document)) {
    const field = TEXT_FIELDS.find((name) => Object.hasOwn(document, name) && document[name] !== null);
    if (field !== undefined) return plainTextOf(document[field]);
  }
  return plainTextOf(document);
}

/** Returns every string in a JSON document, or undefined where it is nested too deeply. Names of fields are no secrets. */
export function leavesOf(document: unknown): readonly string[] | undefined {
  const leaves: string[] = [];
  const waiting: { readonly value: unknown; readonly depth: number }[] = [{ value: document, depth: 0 }];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { value, depth } = next;
    if (depth > MAX_DEPTH) return undefined;
    if (typeof value === 'string') leaves.push(value);
    else if (typeof value === 'object' && value !== null) {
      for (const inner of Object.values(value)) waiting.push({ value: inner, depth: depth + 1 });
    }
  }
  return leaves;
}

function plainTextOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
