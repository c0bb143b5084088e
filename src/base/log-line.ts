/**
 * One line of the log, before it is printed.
 */

/** Severity of a line. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** Values beside a message; printed as JSON. */
export type LogFields = Readonly<Record<string, unknown>>;

/** One line before it is printed. */
export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  /** Component that wrote it; undefined for the daemon as a whole. */
  readonly component?: string | undefined;
  readonly fields: LogFields | undefined;
  /** Time of writing in epoch milliseconds: a line may be printed later. */
  readonly at: number;
}
