/**
 * Edits one assignment of a `.env` text and keeps every other byte: comments, order, line ends,
 * quotes.
 *
 * Pure. Every edit is read back with the parser that the daemon uses, so that an edit either has
 * exactly its effect or is refused. For example, a text in which an unclosed quote would swallow
 * the new line is never returned.
 */

import { parseEnvFile, scanEnv, withPlainLineEnds, type EnvFile } from './env-file.ts';

/** Result of an edit. A problem never quotes a value. */
export type EnvEdit =
  | { readonly kind: 'edited'; readonly text: string }
  | { readonly kind: 'refused'; readonly line: number | null; readonly problem: string };

/** One line of a text with the characters that end it. */
interface RawLine {
  readonly text: string;
  readonly end: string;
}

/** The lines that an assignment spans: `first` counts from 0. */
interface Span {
  readonly first: number;
  readonly count: number;
}

const BYTE_ORDER_MARK = '\uFEFF';

/** An assignment on one line: what precedes its value, the value, and what follows it. */
const ASSIGNMENT =
  /^(?<head>\uFEFF?\s*(?:export\s+)?[\w.-]+(?:\s*=|:)[^\S\r\n]*)(?<value>'.*'|".*"|`.*`|[^#]*?)(?<tail>\s*(?:#.*)?)$/;

/** Values that dotenv reads as they are without quotes. */
const PLAIN_VALUE = /^[^\s#'"`\\$]+$/;

const QUOTES = ["'", '"', '`'] as const;

/** Sets a variable: in place, the last of several, with its comment; a new one at the end. */
export function setVariable(text: string, name: string, value: string): EnvEdit {
  const lines = splitLines(text);
  const malformed = malformedLine(text, name);
  if (malformed !== undefined) return malformed;
  const span = findAssignments(text, name).at(-1);
  const eol = lines.find(({ end }) => end !== '')?.end ?? '\n';
  const quote = span?.count === 1 ? quoteOf(lines[span.first]?.text ?? '') : undefined;
  for (const written of writtenForms(value, quote)) {
    const edited = span === undefined ? append(text, `${name}=${written}`, eol) : replace(lines, span, name, written);
    if (hasEffect(text, edited, name, value)) return { kind: 'edited', text: edited };
  }
  return refuse(text, name, 'cannot be set without changing other lines');
}

/** Removes every assignment of a variable. A text without one is returned unchanged. */
export function removeVariable(text: string, name: string): EnvEdit {
  const malformed = malformedLine(text, name);
  if (malformed !== undefined) return malformed;
  const lines = splitLines(text);
  const removed = new Set(
    findAssignments(text, name).flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at)),
  );
  if (removed.size === 0) return { kind: 'edited', text };
  const kept = lines.filter((_, at) => !removed.has(at));
  const mark = removed.has(0) && text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK : '';
  const edited = mark + joinLines(kept);
  if (hasEffect(text, edited, name, undefined)) return { kind: 'edited', text: edited };
  return refuse(text, name, 'cannot be removed without changing other lines');
}

/** Returns the quote around the value of a line, or undefined. */
function quoteOf(line: string): string | undefined {
  const first = ASSIGNMENT.exec(line)?.groups?.['value']?.[0];
  return QUOTES.find((quote) => quote === first);
}

/** Returns the ways to write a value: in the quotes that it had, then the plainest first. */
function writtenForms(value: string, before: string | undefined): string[] {
  const possible = QUOTES.filter((quote) => !value.includes(quote));
  const inQuotes = (quote: string): string => quote + value + quote;
  const kept = possible.filter((quote) => quote === before).map(inQuotes);
  return [...kept, ...(PLAIN_VALUE.test(value) ? [value] : []), ...possible.map(inQuotes)];
}

function append(text: string, line: string, eol: string): string {
  const separator = text === '' || text === BYTE_ORDER_MARK || /[\r\n]$/.test(text) ? '' : eol;
  return `${text}${separator}${line}${eol}`;
}

function replace(lines: readonly RawLine[], { first, count }: Span, name: string, written: string): string {
  const before = lines.slice(0, first);
  const after = lines.slice(first + count);
  const last = lines[first + count - 1];
  const groups = count === 1 ? ASSIGNMENT.exec(lines[first]?.text ?? '')?.groups : undefined;
  const tail = groups?.['tail'] ?? '';
  // Without a blank, other readers would take the comment for a part of the value.
  const gap = tail.startsWith('#') ? ' ' : '';
  // A value over several lines is replaced as a whole.
  const text = groups ? `${groups['head'] ?? ''}${written}${gap}${tail}` : `${name}=${written}`;
  return joinLines([...before, { text, end: last?.end ?? '' }, ...after]);
}

/** Returns whether an edit changed the named variable to `value`, and nothing else. */
function hasEffect(before: string, after: string, name: string, value: string | undefined): boolean {
  const was = parseEnvFile(before);
  const is = parseEnvFile(after);
  return (
    is.entries.get(name) === value &&
    printOthers(was, name) === printOthers(is, name) &&
    countMalformed(was) === countMalformed(is)
  );
}

/** Prints every assignment but those of `name`, in an order that does not depend on the file's. */
function printOthers({ entries }: EnvFile, name: string): string {
  const others = [...entries].filter(([other]) => other !== name);
  return JSON.stringify(others.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function countMalformed({ problems }: EnvFile): number {
  return problems.filter((problem) => problem.malformed).length;
}

function findAssignments(text: string, name: string): Span[] {
  return [...scanEnv(withPlainLineEnds(text))].flatMap((piece) =>
    'text' in piece && piece.name === name ? [{ first: piece.line - 1, count: piece.text.split('\n').length }] : [],
  );
}

/** Returns the refusal for a line that was meant to set the variable and cannot be read. */
function malformedLine(text: string, name: string): EnvEdit | undefined {
  const problem = parseEnvFile(text).problems.find((one) => one.malformed && one.name === name);
  return problem && { kind: 'refused', line: problem.line, problem: problem.problem };
}

function refuse(text: string, name: string, problem: string): EnvEdit {
  const cause = parseEnvFile(text).problems.find((one) => one.malformed);
  return cause
    ? { kind: 'refused', line: cause.line, problem: cause.problem }
    : { kind: 'refused', line: null, problem: `${name} ${problem}` };
}

function splitLines(text: string): RawLine[] {
  const lines: RawLine[] = [];
  for (const [, line = '', end = ''] of text.matchAll(/([^\r\n]*)(\r\n|\r|\n|$)/g)) {
    if (line !== '' || end !== '') lines.push({ text: line, end });
  }
  return lines;
}

function joinLines(lines: readonly RawLine[]): string {
  return lines.map(({ text, end }) => text + end).join('');
}
