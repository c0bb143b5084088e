/**
 * What a verb of the command line is, and what it gets to work with.
 *
 * The rules: results on stdout; errors, warnings and hints on stderr; colour on a terminal only; `--json` on every
 * verb that reads. A verb returns its exit code: 0 done, 2 refused or failed; the rest is main.ts's.
 */

import type { ParseArgsConfig } from 'node:util';
import type { Paths } from '../base/paths.ts';
import type { Aipass } from '../client/aipass.ts';
import type { Output } from './output.ts';

/** Holds the parsed words of one command. */
export interface Arguments {
  readonly positionals: readonly string[];
  /** Returns a text option. */
  text(name: string): string | undefined;
  /** Tells whether a flag is set. */
  flag(name: string): boolean;
}

/** Is what verbs work with. */
export interface VerbContext {
  readonly out: Output;
  readonly paths: Paths;
  readonly version: string;
  /** Connects to the daemon, by default this user's; throws DAEMON_UNREACHABLE, which ends the program with 3. */
  readonly connect: (socket?: string) => Promise<Aipass>;
  /** Runs the daemon in this process until it is told to stop. */
  readonly runDaemon: () => Promise<number>;
  /** Loads every verb there is. */
  readonly loadVerbs: () => Promise<readonly Verb[]>;
  /** Reads standard input to its end. */
  readonly readStdin: () => Promise<string>;
  /** Aborts when the user presses Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Is one verb. */
export interface Verb {
  readonly name: string;
  /** Is the words that follow it, as help shows them. */
  readonly usage: string;
  readonly summary: string;
  /** Explains each option, one line each. */
  readonly details?: readonly string[];
  readonly options: NonNullable<ParseArgsConfig['options']>;
  readonly maxPositionals: number;
  run(args: Arguments, context: VerbContext): Promise<number>;
}

/** Is the option of every verb that reads. */
export const JSON_OPTION = { json: { type: 'boolean' } } as const;
