/**
 * The content of a `.env` text. Owns the dotenv package, which reads the values; env-scan.ts finds
 * the problems.
 *
 * Pure, and never throws. Where no line is malformed the result is dotenv's own; a problem never
 * quotes a value.
 */

import { parse } from 'dotenv';
import { scanEnv } from './env-scan.ts';

/** One problem in a `.env` text. */
export interface EnvProblem {
  /** Line number, from 1. */
  readonly line: number;
  /** Predicate of "line N …". */
  readonly problem: string;
  /**
   * Whether the line could not be read, so that names may be missing that the writer meant to set.
   */
  readonly malformed: boolean;
  /** Name that the malformed line was meant to set, where it can be read. */
  readonly name?: string;
  /** What to do, where that is more than to fix the line. */
  readonly hint?: string;
}

/** Content of a `.env` text. */
export interface EnvFile {
  readonly entries: ReadonlyMap<string, string>;
  readonly problems: readonly EnvProblem[];
}

/**
 * Parses a `.env` text: quotes, `export` and comments as in dotenv. If a name is set twice, the
 * last value counts.
 */
export function parseEnvFile(text: string): EnvFile {
  const entries = new Map<string, string>();
  const problems: EnvProblem[] = [];
  const setAt = new Map<string, number>();

  for (const piece of scanEnv(withPlainLineEnds(text))) {
    if (piece.kind === 'problem') {
      problems.push({
        line: piece.line,
        problem: piece.problem,
        malformed: true,
        ...(piece.name === undefined ? {} : { name: piece.name }),
      });
      continue;
    }
    const { line, name } = piece;
    // dotenv collects into a plain object, in which `__proto__` cannot be set.
    const value = Object.entries(parse(piece.text)).find(([key]) => key === name)?.[1];
    if (value === undefined) {
      problems.push({ line, problem: 'sets a name that cannot be used', malformed: true });
      continue;
    }
    if (value !== '' && CUT_VALUE.test(piece.text)) {
      const problem = `has a "#" within the value of ${printableName(name)}; a comment begins there, so the value is cut`;
      problems.push({
        line,
        problem,
        malformed: false,
        hint: `put the value in line ${line} in quotes, or a blank before the "#"`,
      });
    }
    const before = setAt.get(name);
    if (before !== undefined) {
      const problem = `sets ${printableName(name)} again (first in line ${before}); this one counts`;
      problems.push({ line, problem, malformed: false });
    }
    setAt.set(name, before ?? line);
    entries.set(name, value);
  }
  return { entries, problems };
}

/**
 * Matches an assignment without quotes whose value goes on behind a `#` that no white space
 * precedes.
 */
const CUT_VALUE = /^\s*(?:export\s+)?[\w.-]+(?:\s*=|:\s)\s*[^\s"'`#][^#\n]*(?<=\S)#\S/;

/** Usual names of variables; a key in base64 or in mixed case does not match. */
const USUAL_NAME = /^[A-Z][A-Z0-9_]{0,63}$/;

/**
 * Returns the name of a variable for a log or a warning. Hides an unusual one, because a key that
 * ends in `=` reads like a name.
 */
export function printableName(name: string): string {
  return USUAL_NAME.test(name) ? name : 'a variable with an unusual name';
}

function withPlainLineEnds(text: string): string {
  return text.replace(/^\uFEFF/, '').replaceAll(/\r\n?/g, '\n');
}
