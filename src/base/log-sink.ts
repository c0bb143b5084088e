/**
 * Where log lines go: JSON lines into a rotating file, readable lines to stdout. Owns the winston
 * package.
 *
 * The redactor masks every finished line before it is written. Losing the terminal, or a full disk,
 * never ends the daemon: a file that fails is given up and reported as a warning.
 */

import { close, closeSync, constants, open, write, writev } from 'node:fs';
import { dirname } from 'node:path';
import winston from 'winston';
import type { AipassError } from './errors.ts';
import { openTrusted } from './file-trust.ts';
import { makeFolder } from './make-folder.ts';
import type { Redactor } from './redactor.ts';
import { describeFailure } from './system-failure.ts';
import type { Warning } from './warning.ts';

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

export interface LogSinkDeps {
  readonly level: LogLevel;
  /** Path of the file, or null for none. Its folder is made, mode 0700. */
  readonly file: string | null;
  /** Whether readable lines go to stdout. */
  readonly stdout: boolean;
  readonly redactor: Redactor;
}

export interface LogSink {
  write(line: LogLine): void;
  /** Returns why the file is not written, or null while it is. */
  warning(): Warning | null;
  /** Writes what is waiting and closes the file. */
  close(): Promise<void>;
}

/** Size at which a file is rotated: with five kept, the log takes at most 30 MB of disk. */
const MAX_FILE_BYTES = 5 * 1024 * 1024;
const MAX_FILES = 6;

/** Interval between two checks of a closing log, in milliseconds. */
const CLOSE_CHECK_MS = 100;

/** Checks in a row without progress after which the last lines are given up. */
const CLOSE_CHECKS = 10;

const MESSAGE = Symbol.for('message');

/** Opens the sink. A folder that cannot be made leaves stdout. */
export function openLogSink(deps: LogSinkDeps): LogSink {
  const redacted = winston.format((info) => {
    info[MESSAGE] = deps.redactor.redact(String(info[MESSAGE]));
    return info;
  });
  const transports: winston.transport[] = [];
  let file: winston.transport | undefined;
  let failure: AipassError | undefined;
  let writes = 0;
  const fail = (error: unknown): void => {
    if (failure !== undefined) return;
    const problem = describeFailure('the log file is not written', error, deps.file ?? undefined);
    failure = problem;
    if (!file) return;
    // Else it would keep every line that it cannot write.
    log.remove(file);
    file = undefined;
    log.silent = !deps.stdout;
    reportFailure(problem);
  };
  try {
    if (deps.file !== null) {
      file = openFile(deps.file, (error) => {
        if (error) fail(error);
        else writes += 1;
      });
    }
  } catch (error) {
    fail(error);
  }
  if (file) {
    file.format = winston.format.combine(winston.format.json({ replacer: describeError }), redacted());
    transports.push(file);
  }
  if (deps.stdout) {
    const format = winston.format.combine(winston.format.printf(printReadable), redacted());
    transports.push(new winston.transports.Console({ format }));
  }
  const silent = transports.length === 0;
  const log = winston.createLogger({ level: deps.level, transports, silent, exitOnError: false });
  // A transport that fails (disk full, file gone) must not become an unhandled 'error' event.
  log.on('error', () => {});
  for (const transport of transports) transport.on('error', transport === file ? fail : () => {});
  const reportFailure = ({ message }: AipassError): void => {
    log.warn(message, { timestamp: new Date().toISOString() });
  };
  if (failure !== undefined) reportFailure(failure);

  return {
    write({ level, message, component, fields, at }) {
      const line = {
        timestamp: new Date(at).toISOString(),
        ...(component === undefined ? {} : { component }),
        ...(fields === undefined ? {} : { fields }),
      };
      try {
        log.log(level, message, line);
      } catch (error) {
        // A log that fails must not become a failure of the code that logs.
        fail(error);
      }
    },
    warning: () =>
      failure === undefined || deps.file === null
        ? null
        : {
            subject: deps.file,
            problem: failure.message,
            hint: `${failure.hint === undefined ? '' : `${failure.hint}; `}then restart the daemon, or set log.file`,
          },
    close: () =>
      new Promise((resolve) => {
        let seen = writes;
        let quiet = 0;
        const checks = setInterval(() => {
          quiet = writes === seen ? quiet + 1 : 0;
          seen = writes;
          if (quiet >= CLOSE_CHECKS) end();
        }, CLOSE_CHECK_MS);
        const end = (): void => {
          clearInterval(checks);
          resolve();
        };
        (file ?? log).once('finish', end);
        log.end();
      }),
  };
}

/** Opens the file. `onDone` hears how each later call of the system ended. */
function openFile(path: string, onDone: (error: unknown) => void): winston.transport {
  makeFolder(dirname(path));
  closeSync(openTrusted('the log', path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600));
  return new winston.transports.File({
    filename: path,
    maxsize: MAX_FILE_BYTES,
    maxFiles: MAX_FILES,
    tailable: true,
    // winston drops its stream's errors about a full disk; they are caught below that stream.
    options: { flags: 'a', mode: 0o600, fs: reportingFs(onDone) },
  });
}

/** Returns the calls that a write stream makes, with their ends reported. */
function reportingFs(onDone: (error: unknown) => void): object {
  const reporting =
    (call: (...args: never[]) => void) =>
    (...args: unknown[]): void => {
      const done = args.pop();
      const report = (error: unknown, ...results: unknown[]): void => {
        onDone(error);
        if (typeof done === 'function') Reflect.apply(done, undefined, [error, ...results]);
      };
      Reflect.apply(call, undefined, [...args, report]);
    };
  return { open: reporting(open), write: reporting(write), writev: reporting(writev), close };
}

function printReadable(info: winston.Logform.TransformableInfo): string {
  const fields = info['fields'];
  const extra = fields === undefined ? '' : ` ${printFields(fields)}`;
  const named: unknown = info['component'];
  const component = typeof named === 'string' ? `${named}: ` : '';
  return `${String(info['timestamp'])} ${info.level.padEnd(5)} ${component}${String(info.message)}${extra}`;
}

function printFields(fields: unknown): string {
  try {
    return JSON.stringify(fields, describeError);
  } catch {
    // A loop or a BigInt: not a reason to lose the line, or to throw in the code that logs.
    return '{fields that JSON cannot print}';
  }
}

/** JSON would print an error as `{}`, and its cause can hold a secret. */
function describeError(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack };
}
