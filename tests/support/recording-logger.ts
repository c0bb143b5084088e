/**
 * A log that tests can read.
 */

import type { LogFields, LogLevel } from '../../src/base/log-sink.ts';
import type { DaemonLogger } from '../../src/base/logger.ts';

/** A log that keeps its lines: level, message and fields in one object each. */
export interface RecordingLogger extends DaemonLogger {
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
  const logger: RecordingLogger = {
    lines,
    error: record('error'),
    warn: record('warn'),
    info: record('info'),
    debug: record('debug'),
    warning: () => null,
    open: () => Promise.resolve(),
    close: () => Promise.resolve(),
    component: () => logger,
  };
  return logger;
}
