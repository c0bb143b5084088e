/**
 * What a verb of the command line is, and what it works with.
 *
 * Rules: results on stdout; errors, warnings and hints on stderr; colour on a terminal only;
 * `--json` on every verb that reads. A verb returns its exit code: 0 done, 2 refused or failed.
 * main.ts decides the other codes.
 */

import type { Paths } from '../base/paths.ts';
import type { Aipass } from '../client/aipass.ts';
import type { Parameters, ValuesOf } from './options.ts';
import type { Output } from './output.ts';

/** What verbs work with. */
export interface VerbContext {
  readonly out: Output;
  readonly paths: Paths;
  readonly version: string;
  /**
   * Connects to the daemon, by default this user's. @throws AipassError DAEMON_UNREACHABLE, which
   * exits with 3.
   */
  readonly connect: (socket?: string) => Promise<Aipass>;
  /** Runs the daemon in this process until a signal stops it. */
  readonly runDaemon: () => Promise<number>;
  /** Loads every verb. */
  readonly loadVerbs: () => Promise<readonly Verb[]>;
  /** Reads standard input to its end. */
  readonly readStdin: () => Promise<string>;
  /** Reads standard input to its end, byte for byte. */
  readonly readStdinBytes: () => Promise<Buffer>;
  /** Aborts when the user presses Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * Description of a verb. A name of two words (`pool explain`) is a part of the verb of the first
 * word.
 */
export interface VerbSpec<Table extends Parameters> {
  readonly name: string;
  readonly summary: string;
  /** Further lines of help. */
  readonly details?: readonly string[];
  readonly parameters: Table;
  /**
   * Where its secret is read from; words that are too many are not quoted then, because one could
   * be the secret.
   */
  readonly secretFrom?: string;
  /** Whether help does not list it. */
  readonly isHidden?: boolean;
  run(values: ValuesOf<Table>, context: VerbContext): Promise<number>;
}

/** One verb. Its values are those that parseWords() returns for its own table. */
export interface Verb extends Omit<VerbSpec<Parameters>, 'run'> {
  run(values: Readonly<Record<string, unknown>>, context: VerbContext): Promise<number>;
}

/** Types a verb by its table. */
export function defineVerb<const Table extends Parameters>(spec: VerbSpec<Table>): Verb {
  return spec;
}
