/**
 * Reads `config.jsonc`: JSON with comments and trailing commas, checked against the schema. Owns
 * the jsonc-parser package.
 *
 * A file that is not valid is rejected as a whole, with every problem and its place; nothing of it
 * is used.
 */

import { createRequire } from 'node:module';
import type * as Jsonc from 'jsonc-parser';
import { z } from 'zod';
import { AipassError } from './errors.ts';
import { configSchema, type Config } from './config-schema.ts';
import { readTrustedFile } from './file-trust.ts';
import { nearest } from './nearest.ts';
import { describeFailure } from './system-failure.ts';

/**
 * Reads the configuration; a file that does not exist is an empty one.
 *
 * @throws AipassError BAD_REQUEST naming every problem, UNSAFE_PERMISSIONS for a file that others
 * may have written, or the system's reason why it cannot be read.
 */
export function readConfig(path: string): Config {
  let text: string | undefined;
  try {
    text = readTrustedFile('the configuration', path);
  } catch (error) {
    throw describeFailure('cannot read the configuration', error, path);
  }
  if (text === undefined) return check({}, path);
  // Some editors begin a file with a byte order mark.
  return parseConfig(text.replace(/^\u{FEFF}/u, ''), path);
}

/** Parses the text of a configuration; `path` is for messages. Throws as readConfig does. */
export function parseConfig(text: string, path: string): Config {
  // Loaded for a text that has to be parsed: its six files take 4 ms.
  const { parse, printParseErrorCode }: typeof Jsonc = createRequire(import.meta.url)('jsonc-parser');
  const errors: Jsonc.ParseError[] = [];
  const document: unknown = parse(text, errors, { allowTrailingComma: true, allowEmptyContent: true });
  const [first] = errors;
  if (first) {
    throw broken(path, [
      `${placeAt(text, first.offset)}: ${SYNTAX[printParseErrorCode(first.error)] ?? 'this is not JSON'}`,
    ]);
  }
  // A file without content gives undefined, unlike one that holds null.
  return check(document === undefined ? {} : document, path);
}

function check(document: unknown, path: string): Config {
  // The schema is used once: to compile it, as zod does for later uses, takes 4 ms.
  const result = configSchema.safeParse(document, { jitless: true });
  if (result.success) return result.data;
  throw broken(path, result.error.issues.flatMap(describeIssue));
}

function broken(path: string, problems: readonly string[]): AipassError {
  return new AipassError('BAD_REQUEST', `the configuration ${path} is not valid: ${problems.join('; ')}`, {
    hint: `edit ${path}; config.schema.json describes every setting`,
  });
}

const SYNTAX: Readonly<Record<string, string>> = {
  InvalidSymbol: 'this is not a JSON value (a string needs double quotes)',
  InvalidNumberFormat: 'this is not a number',
  PropertyNameExpected: 'a name in double quotes is missing',
  ValueExpected: 'a value is missing',
  ColonExpected: 'a colon is missing',
  CommaExpected: 'a comma is missing',
  CloseBraceExpected: 'a closing } is missing',
  CloseBracketExpected: 'a closing ] is missing',
  EndOfFileExpected: 'unexpected text after the end of the document',
  InvalidCommentToken: 'this is not a comment (// or /* */)',
  UnexpectedEndOfComment: 'a comment is not closed with */',
  UnexpectedEndOfString: 'a string is not closed with a double quote',
  UnexpectedEndOfNumber: 'a number is cut short',
  InvalidUnicode: 'this is not a Unicode escape such as \\u00e9',
  InvalidEscapeCharacter: 'this is not an escape such as \\n',
  InvalidCharacter: 'a control character has to be written as an escape',
};

function placeAt(text: string, offset: number): string {
  const lines = text.slice(0, offset).split('\n');
  return `line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`;
}

/** Settings that people try for a key. */
const KEY_SETTING = /^(?:api[-_]?)?(?:key|token|secret)$/i;

function describeIssue(issue: z.core.$ZodIssue): string[] {
  const place = issue.path.map(String).join('.');
  if (place === '' && issue.code === 'invalid_type') return ['it is not an object in braces: { … }'];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((unknown) => {
      const path = [...issue.path, unknown];
      if (KEY_SETTING.test(unknown)) {
        return `unknown setting "${path.map(String).join('.')}": a key belongs in ~/.secrets/aipass/.env`;
      }
      const known = nearest(unknown, knownKeys(issue.path));
      return `unknown setting "${path.map(String).join('.')}"${known === undefined ? '' : `, did you mean "${known}"?`}`;
    });
  }
  // The problem of a key is one level deeper.
  const problems = issue.code === 'invalid_key' ? issue.issues : [issue];
  return problems.map(({ message }) => `"${place}": ${message}`);
}

/** Lists the settings that may stand at a place, by walking the schema along the path. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  let schema: z.core.$ZodType = configSchema;
  for (const step of path) {
    schema = unwrap(schema);
    if (schema instanceof z.ZodObject) {
      const next: unknown = schema.shape[String(step)];
      if (!(next instanceof z.ZodType)) return [];
      schema = next;
    } else if (schema instanceof z.ZodRecord) schema = schema.valueType;
    else if (schema instanceof z.ZodArray) schema = schema.element;
    else return [];
  }
  schema = unwrap(schema);
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable
  ) {
    return unwrap(schema.def.innerType);
  }
  return schema;
}
