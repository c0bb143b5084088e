/**
 * Output of the command line: results on stdout, errors and notes on stderr, colour on a terminal
 * only, foreign text without control characters. Text that is longer than the terminal is wide is
 * wrapped at its spaces.
 */

import { styleText } from 'node:util';
import type { AipassError } from '../base/errors.ts';
import { plainText } from '../base/plain-text.ts';
import { cutText, formatBar, localTimes, padText, textWidth, wrapText } from './format.ts';

type Style = Parameters<typeof styleText>[0];

/** Matches control characters other than tabs and line ends. */
const TERMINAL_CONTROLS = /(?![\t\n])\p{Cc}/gu;

/** Maximum width of a table's cell, in columns, unless the table sets another. */
const MAX_CELL = 60;

/** Width of a progress bar, in columns. */
const BAR_WIDTH = 30;

/** Narrowest last column that is wrapped; a narrower one makes the columns before it be cut. */
const MIN_WRAPPED = 20;

/** Narrowest width to which a column is cut. */
const MIN_CUT = 8;

/**
 * Matches a hint that is a command to copy and nothing else, which must stay on one line. Outside
 * quotes, commas, brackets and semicolons that end a word belong to prose.
 */
const COMMAND =
  /^(?:run: |see: |start it: )?(?:sudo|chmod|chown|(?:npx )?aipassd|systemctl|launchctl|ls|df|mv|npm|export|findmnt) (?:'[^']*'|"[^"]*"|[^'",;(]|[,;](?! ))*$/;

/** The part of a stream that output needs. */
export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface TableOptions {
  readonly indent?: number;
  /** Maximum width of a cell, in columns. */
  readonly maxCell?: number;
  /** Whether the last column is wrapped instead of cut. */
  readonly wrapLast?: boolean;
  /** Whether rows whose cells would be cut are printed as paragraphs instead. */
  readonly stack?: boolean;
}

export class Output {
  readonly #stdout: OutputStream;
  readonly #stderr: OutputStream;
  readonly #colour: boolean;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #command: RegExp | undefined;
  #hasPrinted = false;

  /** @param verbs verbs whose commands in hints get `npx` in front where npx runs this one. */
  constructor(
    stdout: OutputStream,
    stderr: OutputStream,
    env: Readonly<Record<string, string | undefined>>,
    verbs: readonly string[] = [],
  ) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#env = env;
    // npx sets it (npm-exec(1)); a clone has no command aipassd.
    const isNpx = env['npm_lifecycle_event'] === 'npx' && verbs.length > 0;
    this.#command = isNpx
      ? new RegExp(`(?<![\\w./-])aipassd (?=(?:${verbs.join('|')}|--help)(?![\\w-]))`, 'g')
      : undefined;
    this.#colour = stdout.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  }

  get isTerminal(): boolean {
    return this.#stdout.isTTY === true;
  }

  /** Width of the output: `COLUMNS`, else the terminal's; without limit in a pipe. */
  get columns(): number {
    const set = Number(this.#env['COLUMNS']);
    if (Number.isInteger(set) && set >= 20) return set;
    // A terminal without a size, as containers and recorders make them, has 0 columns.
    return (this.isTerminal && this.#stdout.columns) || Number.POSITIVE_INFINITY;
  }

  line(...lines: readonly string[]): void {
    for (const line of lines) this.#print(`${line}\n`);
  }

  /**
   * Prints a text, wrapped at its spaces but not at non-breaking ones; its further lines are
   * indented by `hang` more spaces than the first.
   */
  paragraph(text: string, hang = 0, indent = 0): void {
    const lines = wrapText(text, this.columns - indent - hang).map((line) => line.trimEnd().replaceAll('\u00a0', ' '));
    const [first = '', ...more] = lines;
    this.line(`${' '.repeat(indent)}${first}`, ...more.map((line) => `${' '.repeat(indent + hang)}${line}`));
  }

  /** Prints a problem with what to do about it, as a result. */
  todo(mark: string, problem: string, hint: string | undefined): void {
    const indent = textWidth(mark);
    const lines = wrapText(readable(problem, 2000), Math.max(this.columns - indent, MIN_WRAPPED));
    this.line(...lines.map((line, index) => `${index === 0 ? mark : ' '.repeat(indent)}${line}`));
    if (hint === undefined) return;
    this.line(...this.#hintLines(hint, indent).map((line) => `${' '.repeat(indent)}${line}`));
  }

  /** Prints a text as it is, without what would control a terminal. */
  text(text: string): void {
    this.#print(this.isTerminal ? text.replace(TERMINAL_CONTROLS, '') : text);
  }

  json(value: unknown): void {
    this.#print(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** Prints rows in aligned columns, whose cells are cut where the terminal is narrow. */
  table(
    rows: readonly (readonly string[])[],
    { indent = 0, maxCell = MAX_CELL, wrapLast = false, stack = false }: TableOptions = {},
  ): void {
    const last = Math.max(0, ...rows.map((row) => row.length)) - 1;
    const cells = rows.map((row) =>
      row.map((cell, column) =>
        wrapLast && column === last ? readable(cell, 4000) : cutText(readable(cell, maxCell * 2), maxCell),
      ),
    );
    const widths = Array.from({ length: last + 1 }, (_, column) =>
      Math.max(0, ...cells.map((row) => textWidth(row[column] ?? ''))),
    );
    const wanted = [...widths];
    fitWidths(widths, this.columns - indent, wrapLast);
    if (stack && widths.some((width, column) => width < (wanted[column] ?? 0) && !(wrapLast && column === last))) {
      for (const row of rows) {
        const text = row.map((cell) => readable(cell, 4000).replaceAll(' ', '\u00a0'));
        const parts = [...text.slice(0, -1), readable(row.at(-1) ?? '', 4000)].filter((cell) => cell !== '');
        this.paragraph(parts.join('  '), 4, indent);
      }
      return;
    }
    for (const row of cells) {
      const lines = wrapLast && row.length - 1 === last ? wrapText(row[last] ?? '', widths[last] ?? 0) : [];
      const printed = row.map((cell, column) => {
        const width = widths[column] ?? 0;
        const shown = lines.length > 0 && column === last ? (lines[0] ?? '') : cutText(cell, width);
        return column === row.length - 1 ? shown : padText(shown, width);
      });
      this.line(`${' '.repeat(indent)}${printed.join('  ')}`.trimEnd());
      const hang = indent + widths.slice(0, last).reduce((sum, width) => sum + width + 2, 0);
      for (const line of lines.slice(1)) this.line(`${' '.repeat(hang)}${line}`);
    }
  }

  /** Draws progress, on a terminal only, and wipes it away when it is done. */
  progress(done: number, total: number): void {
    if (!this.isTerminal || this.#stderr.isTTY !== true) return;
    if (done >= total) {
      this.#stderr.write('\r\x1b[K');
      return;
    }
    this.#stderr.write(`\r\x1b[K${formatBar(done / Math.max(1, total), BAR_WIDTH)} ${done}/${total}`);
  }

  /** Prints on stderr what people should know besides the result. */
  note(text: string): void {
    this.#complain(readable(text, 2000));
  }

  warn(problem: string, hint?: string): void {
    this.#complain(`warning: ${readable(problem, 2000)}`);
    if (hint !== undefined) this.hint(hint);
  }

  /** Prints an error on stderr, and with `--json` as a document on stdout. */
  error(error: AipassError, asJson = false): void {
    this.#complain(`aipassd: ${readable(error.message, 2000)} [${error.code}]`);
    if (error.hint !== undefined) this.hint(error.hint);
    if (error.retryAfterMs !== undefined) this.hint(`try again in ${Math.ceil(error.retryAfterMs / 1000)} s`);
    // A document that was begun must not be followed by a second one.
    if (asJson && !this.#hasPrinted) this.json({ error: error.toWire() });
  }

  /** Prints on stderr what to do next. */
  hint(hint: string): void {
    for (const line of this.#hintLines(hint)) this.#stderr.write(`  ${line}\n`);
  }

  /** Colours a text for stdout, where that is a terminal. */
  style(style: Style, text: string): string {
    return this.#colour ? styleText(style, text, { validateStream: false }) : text;
  }

  #print(text: string): void {
    this.#hasPrinted = true;
    this.#stdout.write(text);
  }

  #complain(text: string): void {
    for (const [index, line] of wrapText(text, this.#stderrColumns - 2).entries()) {
      this.#stderr.write(`${index === 0 ? '' : '  '}${line}\n`);
    }
  }

  #hintLines(hint: string, indent = 4): string[] {
    const said = readable(hint, 2000);
    const plain = this.#command === undefined ? said : said.replace(this.#command, 'npx $&');
    const lines = COMMAND.test(plain) ? [plain] : wrapText(plain, Math.max(this.columns - indent - 2, MIN_WRAPPED));
    return lines.map((line, index) => `${index === 0 ? '→ ' : '  '}${line}`);
  }

  get #stderrColumns(): number {
    return this.#stderr.isTTY === true || this.#env['COLUMNS'] !== undefined ? this.columns : Number.POSITIVE_INFINITY;
  }
}

/** Narrows a table to the width: the last column if it is wrapped, then the widest others. */
function fitWidths(widths: number[], available: number, wrapLast: boolean): void {
  const last = widths.length - 1;
  const excess = (): number => widths.reduce((sum, width) => sum + width, 0) + 2 * last - available;
  if (wrapLast && last > 0 && excess() > 0) {
    widths[last] = Math.max(Math.min(MIN_WRAPPED, widths[last] ?? 0), (widths[last] ?? 0) - excess());
  }
  const cuttable = wrapLast ? widths.slice(0, last) : widths;
  while (excess() > 0) {
    const widest = Math.max(...cuttable);
    if (widest <= MIN_CUT) return;
    const column = cuttable.indexOf(widest);
    cuttable[column] = widest - 1;
    widths[column] = widest - 1;
  }
}

/** Returns a text that controls no terminal, cut to a length, with local times. */
function readable(text: string, maxLength: number): string {
  return localTimes(plainText(text, maxLength));
}
