/**
 * What a `.env` text says. Owns the dotenv package, which reads the values; env-scan.ts finds the problems.
 *
 * Pure, and never throws. Where no line is malformed the result is dotenv's own; a problem never quotes a value.
 */

import { parse } from 'dotenv';
import { scanEnv } from './env-scan.ts';

/** Is one thing that is wrong in a `.env` text. */
export interface EnvProblem {
  /** Counts from 1. */
  readonly line: number;
  /** Completes the sentence "line N …". */
  readonly problem: string;
  /** Tells that the line could not be read, so that names may be missing which the writer meant to be there. */
  readonly malformed: boolean;
  /** Is the name that the malformed line was to set, where that much is clear. */
  readonly name?: string;
}

/** Is what a `.env` text says. */
export interface EnvFile {
  readonly entries: ReadonlyMap<string, string>;
  readonly problems: readonly EnvProblem[];
}

/** Reads a `.env` text: quotes, `export` and comments as dotenv reads them; of a name that is set twice the last value counts. */
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

/** Matches what people call a variable, and neither a key in base64 nor one in mixed case. */
const USUAL_NAME = /^[A-Z][A-Z0-9_]{0,63}$/;

/** Returns the name of a variable for a log or a warning; an unusual one stays unsaid, for a key that ends in `=` looks like one. */
export function printableName(name: string): string {
  return USUAL_NAME.test(name) ? name : 'an oddly named variable';
}

function withPlainLineEnds(text: string): string {
  return text.replace(/^\uFEFF/, '').replaceAll(/\r\n?/g, '\n');
}
