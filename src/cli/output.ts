/**
 * How the command line speaks: lines on stdout and stderr, colour on a terminal only, strangers' text made harmless.
 */

import { styleText } from 'node:util';
import type { AipassError } from '../base/errors.ts';
import { plainText } from '../base/plain-text.ts';
import type { Warning } from '../base/warning.ts';

type Style = Parameters<typeof styleText>[0];

/** Matches the control characters that have no place on a terminal; tabs and line ends have one. */
const TERMINAL_CONTROLS = /(?![\t\n])\p{Cc}/gu;

/** Is how wide a cell of a table may get, unless the table says otherwise. */
const MAX_CELL = 60;

/** Is how wide a progress bar is, in characters. */
const BAR_WIDTH = 30;

/** Is the part of a stream that output needs. */
export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** Writes to the two streams of the program. */
export class Output {
  readonly #stdout: OutputStream;
  readonly #stderr: OutputStream;
  readonly #colour: boolean;

  constructor(stdout: OutputStream, stderr: OutputStream, env: Readonly<Record<string, string | undefined>>) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#colour = stdout.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  }

  /** Tells whether stdout is a terminal. */
  get isTerminal(): boolean {
    return this.#stdout.isTTY === true;
  }

  /** Prints lines of result. */
  line(...lines: readonly string[]): void {
    for (const line of lines) this.#stdout.write(`${line}\n`);
  }

  /** Prints a piece of text as it is, but for what would control a terminal. */
  text(text: string): void {
    this.#stdout.write(this.isTerminal ? text.replace(TERMINAL_CONTROLS, '') : text);
  }

  /** Prints a document. */
  json(value: unknown): void {
    this.#stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** Prints rows in columns; a cell longer than the limit, in characters, is cut. */
  table(rows: readonly (readonly string[])[], indent = '', maxCell = MAX_CELL): void {
    const cells = rows.map((row) => row.map((cell) => plainText(cell, maxCell)));
    const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
    for (const row of cells) {
      const padded = row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)));
      this.line(`${indent}${padded.join('  ')}`.trimEnd());
    }
  }

  /** Draws how far something is, on a terminal only; done, it is wiped away. Lines in between push it down. */
  progress(done: number, total: number): void {
    if (!this.isTerminal || this.#stderr.isTTY !== true) return;
    if (done >= total) {
      this.#stderr.write('\r\x1b[K');
      return;
    }
    const filled = Math.floor((BAR_WIDTH * done) / Math.max(1, total));
    this.#stderr.write(`\r\x1b[K[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${done}/${total}`);
  }

  /** Prints what people should know besides the result, and need not mend. */
  note(text: string): void {
    this.#stderr.write(`${plainText(text, 2000)}\n`);
  }

  /** Prints a warning with its hint. */
  warn(problem: string, hint?: string): void {
    this.#stderr.write(`warning: ${problem}\n`);
    if (hint !== undefined) this.hint(hint);
  }

  /** Prints the warnings of a status. */
  warnings(warnings: readonly Warning[]): void {
    for (const { subject, problem, hint } of warnings) this.warn(`${subject}: ${problem}`, hint);
  }

  /** Prints an error with its hint. */
  error(error: AipassError): void {
    this.#stderr.write(`aipassd: ${plainText(error.message, 2000)} [${error.code}]\n`);
    if (error.hint !== undefined) this.hint(error.hint);
    if (error.retryAfterMs !== undefined) this.hint(`try again in ${Math.ceil(error.retryAfterMs / 1000)} s`);
  }

  /** Prints what to do next. */
  hint(hint: string): void {
    this.#stderr.write(`  → ${plainText(hint, 2000)}\n`);
  }

  /** Colours text for stdout, where that is a terminal. */
  style(style: Style, text: string): string {
    return this.#colour ? styleText(style, text, { validateStream: false }) : text;
  }
}
