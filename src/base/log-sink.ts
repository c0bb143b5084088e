/**
 * Where log lines go: JSON lines into a rotating file, readable lines to stdout. Owns the winston package.
 *
 * Nothing is written before the redactor has seen the finished line, so that a secret that slipped into a message is
 * masked even there. Losing the terminal, or a full disk, never ends the daemon.
 */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import winston from 'winston';
import { systemErrorCode } from './errors.ts';
import type { LogLevel, LogLine } from './log-line.ts';
import type { Redactor } from './redactor.ts';

/** Says where lines go. */
export interface LogSinkOptions {
  readonly level: LogLevel;
  /** Is the path of the file, or null for none. Its folder is made, mode 0700. */
  readonly file: string | null;
  /** Tells whether readable lines go to stdout. */
  readonly stdout: boolean;
  readonly redactor: Redactor;
}

/** Writes lines. */
export interface LogSink {
  write(line: LogLine): void;
  /** Writes what is waiting and closes the file. */
  close(): Promise<void>;
}

/** Is where a file is put aside: with five kept, the log takes at most 30 MB of disk. */
const MAX_FILE_BYTES = 5 * 1024 * 1024;
const MAX_FILES = 6;

/** Bounds the wait for the last lines when the disk does not take them. */
const CLOSE_LIMIT_MS = 1000;

const MESSAGE = Symbol.for('message');

/** Opens the sink. A folder that cannot be made leaves stdout. */
export function openLogSink(options: LogSinkOptions): LogSink {
  const redacted = winston.format((info) => {
    info[MESSAGE] = options.redactor.redact(String(info[MESSAGE]));
    return info;
  });
  const transports: winston.transport[] = [];
  let file: winston.transport | undefined;
  let failure: string | undefined;
  try {
    if (options.file !== null) file = openFile(options.file);
  } catch (error) {
    failure = systemErrorCode(error) ?? String(error);
  }
  if (file) {
    file.format = winston.format.combine(winston.format.json({ replacer: describeError }), redacted());
    transports.push(file);
  }
  if (options.stdout) {
    const format = winston.format.combine(winston.format.printf(printReadable), redacted());
    transports.push(new winston.transports.Console({ format }));
  }
  const silent = transports.length === 0;
  const log = winston.createLogger({ level: options.level, transports, silent, exitOnError: false });
  // A transport that fails (disk full, file gone) must not become an unhandled 'error' event.
  log.on('error', () => {});
  for (const transport of transports) transport.on('error', () => {});
  if (failure !== undefined) {
    log.warn(`cannot write the log file ${options.file}: ${failure}`, { timestamp: new Date().toISOString() });
  }

  return {
    write({ level, message, fields, at }) {
      const line = { timestamp: new Date(at).toISOString(), ...(fields === undefined ? {} : { fields }) };
      try {
        log.log(level, message, line);
      } catch {
        // winston throws where its file could not be opened; whoever wrote the line must not suffer for it.
        if (file) log.remove(file);
      }
    },
    close: () =>
      new Promise((resolve) => {
        const limit = setTimeout(resolve, CLOSE_LIMIT_MS);
        (file ?? log).once('finish', () => {
          clearTimeout(limit);
          resolve();
        });
        log.end();
      }),
  };
}

/** Opens the file; throws the system's error where its folder cannot be made. */
function openFile(path: string): winston.transport {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  return new winston.transports.File({
    filename: path,
    maxsize: MAX_FILE_BYTES,
    maxFiles: MAX_FILES,
    tailable: true,
    options: { flags: 'a', mode: 0o600 },
  });
}

function printReadable(info: winston.Logform.TransformableInfo): string {
  const fields = info['fields'];
  const extra = fields === undefined ? '' : ` ${printFields(fields)}`;
  return `${String(info['timestamp'])} ${info.level.padEnd(5)} ${String(info.message)}${extra}`;
}

function printFields(fields: unknown): string {
  try {
    return JSON.stringify(fields, describeError);
  } catch {
    // A loop or a BigInt: no reason to lose the line, let alone to throw at whoever wrote it.
    return '{fields that JSON cannot print}';
  }
}

/** Prints an error's name, message and stack: JSON would print `{}`, and its cause can hold what nobody may read. */
function describeError(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack };
}
