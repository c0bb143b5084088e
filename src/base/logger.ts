/**
 * The log: JSON lines in a rotating file, readable lines on stdout. Owns the winston package.
 *
 * Nothing is written before the redactor has seen the finished line, so that a secret that slipped into a message is
 * masked even there. Losing the terminal, or a full disk, never ends the daemon.
 */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import winston from 'winston';
import type { Redactor } from './redactor.ts';

/** Names how important a line is. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** Is what may stand beside a message; values are printed as JSON. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Writes log lines. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** Writes what is waiting and closes the file. */
  close(): Promise<void>;
}

/** Says where lines go. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** Is the path of the file, or null for none. Its folder is made, mode 0700. */
  readonly file: string | null;
  /** Tells whether readable lines go to stdout. */
  readonly stdout: boolean;
  readonly redactor: Redactor;
}

/** Is where a file is put aside: with five kept, the log takes at most 30 MB of disk. */
const MAX_FILE_BYTES = 5 * 1024 * 1024;
const MAX_FILES = 6;

/** Bounds the wait for the last lines when the disk does not take them. */
const CLOSE_LIMIT_MS = 1000;

const MESSAGE = Symbol.for('message');

/** Opens the log. */
export function openLogger(options: LoggerOptions): Logger {
  const redacted = winston.format((info) => {
    info[MESSAGE] = options.redactor.redact(String(info[MESSAGE]));
    return info;
  });
  const jsonLines = winston.format.combine(
    winston.format.timestamp(),
    winston.format.json({ replacer: describeError }),
    redacted(),
  );
  const readable = winston.format.combine(winston.format.timestamp(), winston.format.printf(printReadable), redacted());

  const transports: winston.transport[] = [];
  if (options.file !== null) {
    mkdirSync(dirname(options.file), { recursive: true, mode: 0o700 });
    transports.push(
      new winston.transports.File({
        filename: options.file,
        format: jsonLines,
        maxsize: MAX_FILE_BYTES,
        maxFiles: MAX_FILES,
        tailable: true,
        options: { flags: 'a', mode: 0o600 },
      }),
    );
  }
  if (options.stdout) transports.push(new winston.transports.Console({ format: readable }));

  const log = winston.createLogger({
    level: options.level,
    transports,
    silent: transports.length === 0,
    exitOnError: false,
  });
  // A transport that fails (disk full, file gone) must not become an unhandled 'error' event.
  log.on('error', () => {});
  for (const transport of transports) transport.on('error', () => {});

  const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
    log.log(level, message, fields === undefined ? {} : { fields });
  };
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    close: () =>
      new Promise((resolve) => {
        const limit = setTimeout(resolve, CLOSE_LIMIT_MS);
        const file = transports.find((transport) => transport instanceof winston.transports.File);
        (file ?? log).once('finish', () => {
          clearTimeout(limit);
          resolve();
        });
        log.end();
      }),
  };
}

function printReadable(info: winston.Logform.TransformableInfo): string {
  const fields = info['fields'];
  const extra = fields === undefined ? '' : ` ${JSON.stringify(fields, describeError)}`;
  return `${String(info['timestamp'])} ${info.level.padEnd(5)} ${String(info.message)}${extra}`;
}

/** Prints an error's name, message and stack: JSON would print `{}`, and its cause can hold what nobody may read. */
function describeError(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack };
}
