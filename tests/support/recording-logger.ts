/**
 * A log that tests can read.
 */

import type { LogFields, LogLevel } from '../../src/base/log-line.ts';
import type { Logger } from '../../src/base/logger.ts';

/** Is a log that keeps its lines: level, message and fields in one object each. */
export interface RecordingLogger extends Logger {
  readonly lines: readonly LogFields[];
}

/** Makes a log that only records. */
export function recordingLogger(): RecordingLogger {
  const lines: LogFields[] = [];
  const record =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      lines.push({ level, message, ...fields });
    };
  return {
    lines,
    error: record('error'),
    warn: record('warn'),
    info: record('info'),
    debug: record('debug'),
    warning: () => null,
    open: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
