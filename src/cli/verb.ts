/**
 * A verb of the command line: its table of words and options, and what it works with. Each
 * entry of a table holds what help prints, how its value is parsed and checked, and what a shell
 * completes. Help, parser and completion scripts are derived from one table (words.ts).
 *
 * Rules: results on stdout; errors, warnings and hints on stderr; colour on a terminal only;
 * `--json` on every verb that reads. A verb returns no exit code if it is done, and 2 if it was
 * refused or failed. main.ts decides the other codes.
 */

import { AipassError } from '../base/errors.ts';
import { MOMENT_FORMS, parseMoment } from '../base/moment.ts';
import type { Paths } from '../base/paths.ts';
import { plainText } from '../base/plain-text.ts';
import { splitList } from '../base/split-list.ts';
import type { Aipass } from '../client/aipass.ts';
import type { Output } from './output.ts';

export interface VerbContext {
  readonly out: Output;
  readonly paths: Paths;
  /** Connects to the daemon, by default this user's. Throws DAEMON_UNREACHABLE. */
  readonly connect: (socket?: string) => Promise<Aipass>;
  /** Runs the daemon in this process until a signal stops it. */
  readonly runDaemon: () => Promise<number>;
  /** Starts a program of the user's within `work`, with the user's own umask and not with ours. */
  readonly withUsersUmask: <T>(work: () => T) => T;
  readonly loadVerbs: () => Promise<readonly Verb[]>;
  readonly readStdin: () => Promise<string>;
  /** Reads standard input to its end, byte for byte. */
  readonly readStdinBytes: () => Promise<Buffer>;
  /** Aborts when the user presses Ctrl-C. */
  readonly signal: AbortSignal;
}

/** A verb. A name of two words (`pool explain`) is a part of the first one's. */
export interface VerbSpec<Table extends Parameters> {
  readonly name: string;
  readonly summary: string;
  readonly details?: readonly string[];
  readonly parameters: Table;
  /** Where its secret is read from; then no words are quoted: one could be the secret. */
  readonly secretFrom?: string;
  /** Whether help does not list it. */
  readonly isHidden?: boolean;
  /** Resolves with the exit code, if that is not 0. */
  run(values: ValuesOf<Table>, context: VerbContext): Promise<number | void>;
}

/** One verb. Its values are those that parseWords() returns for its own table. */
export interface Verb extends Omit<VerbSpec<Parameters>, 'run'> {
  run(values: Readonly<Record<string, unknown>>, context: VerbContext): Promise<number | void>;
}

/** Types a verb by its table. */
export function defineVerb<const Table extends Parameters>(spec: VerbSpec<Table>): Verb {
  return spec;
}

/** A command line that is not understood. The hint shows how to write it. */
export class UsageError extends AipassError {
  constructor(message: string, hint: string) {
    super('BAD_REQUEST', message, { hint });
  }
}

/** Kinds of names that a completion script asks the daemon for. */
export const NAME_KINDS = ['providers', 'accounts', 'callers', 'secrets'] as const;
export type NameKind = (typeof NAME_KINDS)[number];

/** Candidates for a value: fixed words, names that the daemon knows, or files. */
export type Completion = readonly string[] | NameKind | 'files';

export interface FlagOption {
  readonly kind: 'flag';
  readonly help: string;
  /** Other flags of the verb that must not be given with this one. */
  readonly excludes?: readonly string[] | undefined;
}

export interface ValueOption<Value> {
  readonly kind: 'value';
  readonly help: string;
  /** Placeholder in help, such as `N`. */
  readonly placeholder: string;
  readonly short?: string;
  readonly completion?: Completion | undefined;
  /**
   * Parses the value; `earlier` is the value of the same option before, which the parsed one
   * replaces. @throws UsageError for one that is not valid.
   */
  readonly parse: (text: string, name: string, earlier?: unknown) => Value;
}

/** A word at a fixed place after the verb. */
export interface WordArgument<Value> {
  readonly kind: 'word';
  readonly help: string;
  readonly isRequired: boolean;
  readonly completion?: Completion | undefined;
  readonly parse: (text: string, name: string) => Value;
}

/** All words from this place on. */
export interface RestArgument {
  readonly kind: 'rest';
  readonly help: string;
  readonly isRequired: boolean;
}

/** One entry of a verb's table. Words take their places in the order of the table. */
export type Parameter = FlagOption | ValueOption<unknown> | WordArgument<unknown> | RestArgument;

export type Parameters = Readonly<Record<string, Parameter>>;

export type ValuesOf<Table extends Parameters> = {
  readonly [Name in keyof Table]: Table[Name] extends FlagOption
    ? boolean
    : Table[Name] extends RestArgument
      ? readonly string[]
      : Table[Name] extends { readonly isRequired: true; readonly parse: (...args: never) => infer Value }
        ? Value
        : Table[Name] extends { readonly parse: (...args: never) => infer Value }
          ? Value | undefined
          : never;
};

export function flag(help: string, excludes?: readonly string[]): FlagOption {
  return { kind: 'flag', help, excludes };
}

export function textOption(
  placeholder: string,
  help: string,
  more: { readonly short?: string; readonly completion?: Completion } = {},
): ValueOption<string> {
  return { kind: 'value', placeholder, help, parse: (value) => value, ...more };
}

export function textListOption(
  placeholder: string,
  help: string,
  completion?: Completion,
): ValueOption<readonly string[]> {
  return {
    kind: 'value',
    placeholder,
    help: `${help}; several with commas, or given again`,
    parse: (value, _name, earlier) => [...(Array.isArray(earlier) ? earlier.map(String) : []), ...splitList(value)],
    completion,
  };
}

export function choice<Word extends string>(
  placeholder: string,
  words: readonly Word[],
  help: string,
): ValueOption<Word> {
  return { kind: 'value', placeholder, ...oneOf(words, help) };
}

export function integer(
  placeholder: string,
  range: readonly [least: number, most: number],
  help: string,
): ValueOption<number> {
  return { kind: 'value', placeholder, help, parse: numberIn(range, WHOLE) };
}

export function decimal(
  placeholder: string,
  range: readonly [least: number, most: number],
  help: string,
): ValueOption<number> {
  return { kind: 'value', placeholder, help, parse: numberIn(range, DECIMAL) };
}

/** Describes an option that takes a moment; the value is epoch milliseconds. */
export function time(help: string): ValueOption<number> {
  return { kind: 'value', placeholder: 'T', help, parse: parseTime };
}

export function optionalWord(
  help: string,
  completion?: Completion,
): WordArgument<string> & { readonly isRequired: false } {
  return { ...anyWord(help, completion), isRequired: false };
}

export function requiredWord(
  help: string,
  completion?: Completion,
): WordArgument<string> & { readonly isRequired: true } {
  return { ...anyWord(help, completion), isRequired: true };
}

/** Describes a word that is a whole number, and may be left out. */
export function integerWord(
  help: string,
  range: readonly [least: number, most: number],
): WordArgument<number> & { readonly isRequired: false } {
  return { kind: 'word', help, isRequired: false, parse: numberIn(range, WHOLE) };
}

/** Describes a word that is one of some words, and must be there. */
export function choiceWord<Word extends string>(
  words: readonly Word[],
  help: string,
): WordArgument<Word> & { readonly isRequired: true } {
  return { kind: 'word', isRequired: true, ...oneOf(words, help) };
}

/** Describes all words from this place on, such as a program and its arguments after `--`. */
export function restWords(help: string, isRequired = false): RestArgument {
  return { kind: 'rest', help, isRequired };
}

/** Option of every verb that reads. */
export const JSON_FLAG = flag('print the result as a JSON document');

/** Option of every verb that is about the credentials of one organization. */
export const ORGANIZATION_OPTION = textOption('O', 'the organization; without it, the one that is yours');

/** Options of a verb that is about a range of time. */
export const TIME_RANGE = {
  since: time('from this time: 2026-11-21, 2026-11-21T10:00 (local time), or 30m, 12h, 7d, 4w ago'),
  until: time('to before this time; now without it'),
} as const;

function anyWord(help: string, completion: Completion | undefined): Omit<WordArgument<string>, 'isRequired'> {
  return { kind: 'word', help, parse: (value) => value, completion };
}

function oneOf<Word extends string>(
  words: readonly Word[],
  help: string,
): Pick<WordArgument<Word>, 'help' | 'completion' | 'parse'> {
  const list = words.join(', ');
  return {
    help: `${help}: ${list}`,
    completion: words,
    parse: (value, name) => {
      const found = words.find((one) => one === value);
      if (found !== undefined) return found;
      throw new UsageError(`${name}: unknown value (got ${quoted(value)})`, `write one of: ${list}`);
    },
  };
}

const WHOLE = { pattern: /^\d{1,15}$/, kind: 'a whole number' } as const;
const DECIMAL = { pattern: /^\d{1,9}(?:\.\d{1,9})?$/, kind: 'a number' } as const;

/** Returns what parses a number of a range. */
function numberIn(
  [least, most]: readonly [least: number, most: number],
  { pattern, kind }: typeof WHOLE | typeof DECIMAL,
): WordArgument<number>['parse'] {
  return (value, name) => {
    const number = Number(value);
    if (pattern.test(value) && number >= least && number <= most) return number;
    throw new UsageError(
      `${name}: not ${kind} from ${least} to ${most} (got ${quoted(value)})`,
      `write a number from ${least} to ${most}`,
    );
  };
}

function parseTime(value: string, name: string): number {
  const at = parseMoment(value, Date.now());
  if (at !== undefined) return at;
  throw new UsageError(`${name}: invalid time (got ${quoted(value)})`, `write ${MOMENT_FORMS}`);
}

function quoted(value: string): string {
  return `"${plainText(value, 64)}"`;
}
