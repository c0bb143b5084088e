/**
 * One line of the log, before it is printed.
 */

/** Names how important a line is. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** Is what may stand beside a message; values are printed as JSON. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Is one line before it is printed. */
export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields | undefined;
  /** Is when it was written, in epoch milliseconds: it may be printed later. */
  readonly at: number;
}
