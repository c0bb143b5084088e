/**
 * Interprets the content of an opaque secret: its text, its document, and the secret values in it.
 * Pure.
 *
 * The text of a JSON object is its token, as in AIPass: the first field of a list that it has. JSON
 * parse errors quote the text, so they never leave this file.
 */

import { isRecord, parseJson as parseJsonText } from '../base/json.ts';

/** A parsed JSON text, or the fact that it is broken. */
export type JsonOutcome = { readonly kind: 'document'; readonly document: unknown } | { readonly kind: 'broken' };

/** Fields that hold the one important value of a JSON object, in order of preference. */
const TEXT_FIELDS = ['bot_token', 'api_key', 'token', 'secret', 'password', 'key'];

/** Maximum nesting of a document: printing recurses, and no hand-written document comes near. */
const MAX_DEPTH = 200;

/** Parses a JSON text; one that is nested deeper than 200 levels counts as broken. */
export function parseJson(text: string): JsonOutcome {
  const document = parseJsonText(text);
  return document === undefined || leavesOf(document) === undefined
    ? { kind: 'broken' }
    : { kind: 'document', document };
}

/**
 * Returns the text form of a JSON document: an object's important field, a string itself, else the
 * JSON text.
 */
export function textOf(document: unknown): string {
  if (isRecord(document)) {
    const field = TEXT_FIELDS.find((name) => Object.hasOwn(document, name) && document[name] !== null);
    if (field !== undefined) return plainTextOf(document[field]);
  }
  return plainTextOf(document);
}

/**
 * Returns every string in a JSON document, or undefined if it is nested too deeply. Field names are
 * not secret.
 */
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
