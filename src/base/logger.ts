/**
 * The log as every part uses it. Lines are kept until their sink is open (log-sink.ts: JSON lines
 * in a file, readable ones on stdout). The sink is opened once the daemon serves, because loading
 * it takes longer than the rest of a start.
 */

import type { LogFields, LogLevel, LogLine, LogSink, LogSinkDeps } from './log-sink.ts';
import { splitList } from './split-list.ts';
import type { Warning } from './warning.ts';

export type { LogFields } from './log-sink.ts';

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

/** Components whose debug lines can be turned on alone (AIPASSD_DEBUG, docs/troubleshooting.md). */
const COMPONENTS = ['audit', 'credentials', 'gateway', 'ipc', 'operations', 'pools', 'refreshers', 'usage'] as const;

type Component = (typeof COMPONENTS)[number];

/** The log of the daemon, from which each component has its own. */
export interface DaemonLogger extends Logger {
  component(name: Component): Logger;
}

export interface LoggerDeps extends LogSinkDeps {
  /** Components whose debug lines are written whatever the level is; `*` stands for all. */
  readonly debug?: ReadonlySet<string>;
}

/** Maximum number of lines kept before the sink is open: the first ones are the most useful. */
const MAX_KEPT = 1000;

/** Returns the components that a variable such as `AIPASSD_DEBUG=pools,ipc` names. */
export function parseDebug(value: string | undefined): ReadonlySet<string> {
  return new Set(splitList(value ?? ''));
}

/** Makes the log, and warns of unknown names in `debug`. Nothing is written before open(). */
export function openLogger({ debug = new Set(), ...options }: LoggerDeps): DaemonLogger {
  let kept: LogLine[] = [];
  let sink: LogSink | undefined;
  let opening: Promise<LogSink> | undefined;

  const openOnce = (): Promise<LogSink> => {
    // The sink passes what passes here.
    const level = debug.size > 0 ? 'debug' : options.level;
    opening ??= import('./log-sink.ts').then(({ openLogSink }) => {
      sink = openLogSink({ ...options, level });
      for (const line of kept) sink.write(line);
      kept = [];
      return sink;
    });
    return opening;
  };
  const loggerOf = (component: Component | undefined): Logger => {
    const isDebugged = options.level === 'debug' || debug.has('*') || (component !== undefined && debug.has(component));
    const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
      const line = { level, message, component, fields, at: Date.now() };
      if (sink) sink.write(line);
      else if (kept.length < MAX_KEPT) kept.push(line);
    };
    const isWritten = (level: LogLevel): boolean => SEVERITY[level] <= SEVERITY[options.level];
    return {
      error: write('error'),
      warn: isWritten('warn') ? write('warn') : dropLine,
      info: isWritten('info') ? write('info') : dropLine,
      debug: isDebugged ? write('debug') : dropLine,
      warning: () => sink?.warning() ?? null,
      open: async () => {
        await openOnce();
      },
      close: async () => {
        await (await openOnce()).close();
      },
    };
  };
  const logger = loggerOf(undefined);
  for (const name of debug) {
    if (name === '*' || COMPONENTS.some((component) => component === name)) continue;
    logger.warn('AIPASSD_DEBUG: unknown component', { name, known: COMPONENTS.join(', ') });
  }
  return { ...logger, component: loggerOf };
}

function dropLine(): void {}

/** Levels by severity, the most severe first. */
const SEVERITY: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

/**
 * Sends what packages print on the console to the log, where the redactor masks it. One of them may
 * print a piece of a provider's answer. The returned function restores the console.
 */
export function captureConsole(logger: Pick<Logger, 'debug'>): () => void {
  const original = { ...console };
  const log = (...parts: unknown[]): void => logger.debug('a package printed', { text: parts.map(String).join(' ') });
  Object.assign(console, { error: log, warn: log, log, info: log, debug: log });
  return () => {
    Object.assign(console, original);
  };
}
