/**
 * The log as every part uses it. Lines are kept until their sink is open (log-sink.ts: JSON lines in a file, readable
 * ones on stdout). The sink is opened once the daemon serves, because loading it takes longer than the rest of a start.
 */

import type { LogFields, LogLevel, LogLine } from './log-line.ts';
import type { LogSink, LogSinkOptions } from './log-sink.ts';
import type { Warning } from './warning.ts';

export type { LogFields } from './log-line.ts';

/** Writes log lines. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** Returns why the log file is not written, or null while it is. */
  warning(): Warning | null;
  /** Opens the sink and writes what was kept. Calling it again changes nothing. */
  open(): Promise<void>;
  /** Opens the sink if need be, writes what is waiting and closes it. */
  close(): Promise<void>;
}

/** Maximum number of lines kept before the sink is open; of more, the first ones tell most. */
const MAX_KEPT = 1000;

/** Makes the log. Nothing is written before open(). */
export function openLogger(options: LogSinkOptions): Logger {
  let kept: LogLine[] = [];
  let sink: LogSink | undefined;
  let opening: Promise<LogSink> | undefined;

  const openOnce = (): Promise<LogSink> => {
    opening ??= import('./log-sink.ts').then(({ openLogSink }) => {
      sink = openLogSink(options);
      for (const line of kept) sink.write(line);
      kept = [];
      return sink;
    });
    return opening;
  };
  const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
    const line = { level, message, fields, at: Date.now() };
    if (sink) sink.write(line);
    else if (kept.length < MAX_KEPT) kept.push(line);
  };
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    warning: () => sink?.warning() ?? null,
    open: async () => {
      await openOnce();
    },
    close: async () => {
      await (await openOnce()).close();
    },
  };
}
