/**
 * The content of a `.env` text. Owns the dotenv package, which reads the values.
 *
 * Pure, never throws, and linear in the length of the text. The package dotenv, given a whole file,
 * is quadratic in blank lines and silent about what it skips. So it is given one assignment at a
 * time, found by its own grammar. Where no line is malformed the result is dotenv's own. A problem
 * never quotes a value.
 */

import { parse } from 'dotenv';
import { isPlaceholder } from './placeholder.ts';

export interface EnvProblem {
  /** Line number, from 1. */
  readonly line: number;
  /** Predicate of "line N …". */
  readonly problem: string;
  /** Whether the line could not be read, so that names may be missing. */
  readonly malformed: boolean;
  /** Name that the malformed line was meant to set, where it can be read. */
  readonly name?: string;
  /** Action, where that is more than to fix the line. */
  readonly hint?: string;
}

export interface EnvFile {
  readonly entries: ReadonlyMap<string, string>;
  readonly problems: readonly EnvProblem[];
  /** Variables whose value ends at a `#`, because a comment begins there. */
  readonly cut: ReadonlySet<string>;
}

/** Parses a `.env` text as dotenv does. If a name is set twice, the last value counts. */
export function parseEnvFile(text: string): EnvFile {
  const entries = new Map<string, string>();
  const problems: EnvProblem[] = [];
  const setAt = new Map<string, number[]>();
  const cut = new Set<string>();

  for (const piece of scanEnv(withPlainLineEnds(text))) {
    if (!('text' in piece)) {
      problems.push(piece);
      continue;
    }
    const { line, name } = piece;
    // dotenv collects into a plain object, in which `__proto__` cannot be set.
    const value = Object.entries(parse(piece.text)).find(([key]) => key === name)?.[1];
    if (value === undefined) {
      problems.push({ line, problem: 'sets a name that cannot be used', malformed: true });
      continue;
    }
    cut.delete(name);
    if (value !== '' && CUT_VALUE.test(piece.text)) {
      cut.add(name);
      const problem = `has a "#" within the value of ${printableName(name)}; a comment begins there, so the value is cut`;
      problems.push({
        line,
        problem,
        malformed: false,
        hint: `put the value in line ${line} in quotes, or a blank before the "#"`,
      });
    }
    // A placeholder of the template stays where a real key is added below it.
    const before = setAt.get(name);
    if (before === undefined || isPlaceholder(entries.get(name) ?? '')) setAt.set(name, [line]);
    else before.push(line);
    entries.set(name, value);
  }
  problems.push(...[...setAt].flatMap(([name, lines]) => (lines.length > 1 ? [repeated(name, lines)] : [])));
  return { entries, problems: problems.toSorted((a, b) => a.line - b.line), cut };
}

/** Returns the problem of a name that several lines set, the last of which counts. */
function repeated(name: string, lines: readonly number[]): EnvProblem {
  const [first = 0, ...others] = lines;
  const line = others.at(-1) ?? first;
  const problem = `sets ${printableName(name)} again (first in line ${first}); this one counts`;
  const hint = others.length === 1 ? `delete line ${first} or line ${line}` : `keep one of its ${lines.length} lines`;
  return { line, problem, malformed: false, hint };
}

/** An assignment without quotes whose value goes on behind a `#`. */
const CUT_VALUE = /^\s*(?:export\s+)?[\w.-]+(?:\s*=|:\s)\s*[^\s"'`#][^#\n]*(?<=\S)#\S/;

/** Usual names of variables; a key in base64 or in mixed case does not match. */
const USUAL_NAME = /^[A-Z][A-Z0-9_]{0,63}$/;

/** Returns the name of a variable for a log, and hides an unusual one: it could be a key. */
export function printableName(name: string): string {
  return USUAL_NAME.test(name) ? name : 'a variable with an unusual name';
}

/** Returns a text as `scanEnv` reads it: without a byte order mark, and with `\n` line ends. */
export function withPlainLineEnds(text: string): string {
  return text.replace(/^\uFEFF/, '').replaceAll(/\r\n?/g, '\n');
}

/** An assignment of a `.env` text. Lines count from 1. */
interface Assignment {
  readonly line: number;
  readonly name: string;
  readonly text: string;
}

/** Start of an assignment: an optional `export`, a name, and `=` or a colon with white space. */
const HEAD = /^\s*(?:export\s+)?([\w.-]+)(?:\s*=|:\s)/;

/** An assignment to a name that holds other characters than HEAD allows. */
const BAD_NAME = /^\s*(?:export\s+)?[^\s=]+\s*=/;

const SILENT = /^\s*(?:#|$)/;

/** Text that may follow a closing quote on its line. */
const AFTER_QUOTE = /[^\S\n]*(?:#|\n|$)/y;

/** Line ends that no editor shows and at which dotenv starts a new assignment. */
const HIDDEN_LINE_END = /[\u2028\u2029]/;

/** An assignment inside a quoted value, which an unclosed quote swallowed. */
const SWALLOWED = /\n\s*(?:export\s+)?[A-Z][A-Z0-9_]*=/;

/** Yields the assignments and problems of a text with `\n` line ends, in order. */
export function* scanEnv(text: string): Generator<Assignment | EnvProblem> {
  let line = 1;
  for (let at = 0; at < text.length;) {
    const end = lineEnd(text, at);
    const piece = readPiece(text, at, end, line);
    const taken = piece && 'text' in piece ? piece.text : text.slice(at, end);
    if (piece) yield piece;
    at += taken.length + 1;
    line += taken.split('\n').length;
  }
}

function readPiece(text: string, at: number, end: number, line: number): Assignment | EnvProblem | undefined {
  const first = text.slice(at, end);
  if (HIDDEN_LINE_END.test(first)) return { malformed: true, line, problem: 'holds an invisible line separator' };
  if (SILENT.test(first)) return undefined;

  const head = HEAD.exec(first);
  const name = head?.[1];
  if (!head || name === undefined) {
    return BAD_NAME.test(first)
      ? {
          malformed: true,
          line,
          problem: 'sets a name that cannot be used',
          hint: `in line ${line}, write a name of A-Z, 0-9 and "_"`,
        }
      : {
          malformed: true,
          line,
          problem: 'is neither an assignment nor a comment',
          hint: `write NAME=value in line ${line}, or begin it with "#"`,
        };
  }
  const valueAt = at + head[0].length + leadingSpace(first.slice(head[0].length));
  const quote = text[valueAt];
  if (valueAt >= end || (quote !== "'" && quote !== '"' && quote !== '`')) {
    return { line, name, text: first };
  }

  const closing = closingQuote(text, valueAt, quote);
  if (closing === undefined) {
    return { malformed: true, line, name, problem: 'opens a quote that is not closed at the end of the value' };
  }
  const whole = text.slice(at, lineEnd(text, closing));
  if (SWALLOWED.test(whole) || HIDDEN_LINE_END.test(whole)) {
    return { malformed: true, line, name, problem: 'opens a quote that is closed only after further assignments' };
  }
  return { line, name, text: whole };
}

/** Finds the closing quote: the first without a backslash, else the last with one. */
function closingQuote(text: string, opening: number, quote: string): number | undefined {
  let escaped: number | undefined;
  for (let at = text.indexOf(quote, opening + 1); at !== -1; at = text.indexOf(quote, at + 1)) {
    AFTER_QUOTE.lastIndex = at + 1;
    const closes = AFTER_QUOTE.test(text);
    if (text[at - 1] !== '\\') return closes ? at : escaped;
    if (closes) escaped = at;
  }
  return escaped;
}

function lineEnd(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at === -1 ? text.length : at;
}

function leadingSpace(text: string): number {
  return text.length - text.trimStart().length;
}
