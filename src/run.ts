/**
 * The life of the daemon as a process: start, signals, reload, stop, and the record of its end.
 *
 * Ready means listening with the secrets loaded. A stop lets requests in flight finish, then
 * flushes and releases in reverse order; a second signal ends at once.
 */

import { systemClock } from './base/clock.ts';
import type { AipassError } from './base/errors.ts';
import { keepHeapLean } from './base/lean-heap.ts';
import { forbidDumps } from './base/native.ts';
import { debuggerClosed } from './base/no-debugger.ts';
import { resolvePaths, type Paths } from './base/paths.ts';
import { describeFailure } from './base/system-failure.ts';
import { startDaemon, type Daemon } from './daemon.ts';
import { beginRun, describeRun, readRunRecord, writeRunRecord } from './service/last-exit.ts';
import { EXIT_SOFTWARE, Lifetime, type Ending } from './service/lifetime.ts';
import { ServiceNotifier, watchdogInterval } from './service/service-manager.ts';

/** Exit code of a start that failed for a known reason: starting again would fail the same way. */
const EXIT_START_FAILED = 2;

/** Runs the daemon in the foreground until a signal, and returns the exit code. */
export async function runDaemon(): Promise<number> {
  process.umask(0o077);
  await debuggerClosed;
  // A reader of our output that is gone is not a reason to stop.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  forbidDumps();
  const notifier = new ServiceNotifier();
  let daemon: Daemon | undefined;
  const lifetime = new Lifetime(() => {
    if (!daemon) return;
    notifier.reloading();
    daemon.reload();
    notifier.ready('serving');
  });
  lifetime.watch();

  let paths: Paths;
  try {
    paths = resolvePaths();
  } catch (error) {
    reportStartFailure(error, notifier);
    return EXIT_START_FAILED;
  }
  const lastRun = readRunRecord(paths.lastRun);
  const run = beginRun(paths.socket);
  const endRun = (code: number, reason: string): void => {
    writeRunRecord(paths.lastRun, { ...run, end: { at: Date.now(), code, reason } });
  };
  try {
    daemon = await startDaemon(paths, lastRun && describeRun(lastRun));
  } catch (error) {
    const failure = reportStartFailure(error, notifier, paths.state);
    // The record of the daemon that runs is its own.
    if (failure.code !== 'ALREADY_RUNNING') endRun(EXIT_START_FAILED, failure.message);
    return EXIT_START_FAILED;
  }
  writeRunRecord(paths.lastRun, run);
  const { logger } = daemon;
  lifetime.onIgnored = (signal) => logger.info(`ignored ${signal}`);
  notifier.ready(`serving on ${paths.socket}`);
  const endCollections = keepHeapLean(systemClock, daemon.isIdle);
  const watchdogMs = watchdogInterval(process.env, process.pid);
  if (watchdogMs !== null) notifier.feedWatchdog(systemClock, watchdogMs);
  if (!daemon.hasKeys()) {
    logger.info(`there is no API key yet: put one into ${paths.envFile}; it is picked up at once`);
    logger.info('then, in another terminal: aipassd status (in a clone: npx aipassd status)');
  }

  const ending = await lifetime.ended;
  await endCollections();
  const reason = describeEnding(ending);
  if (ending.kind === 'failure') logger.error('stopping after an unexpected failure', { error: ending.error });
  else logger.info(`stopping on ${ending.signal}`);
  lifetime.onLateFailure = (error) => logger.error('another failure while stopping', { error });
  notifier.stopping(reason);
  writeRunRecord(paths.lastRun, { ...run, stopping: { at: Date.now(), reason } });
  lifetime.limitStop(() => endRun(EXIT_SOFTWARE, `${reason}; the shutdown did not finish`));
  try {
    await daemon.stop();
  } catch (error) {
    process.stderr.write(
      `aipassd: the shutdown failed: ${error instanceof Error ? error.message : 'unknown reason'}\n`,
    );
    endRun(EXIT_SOFTWARE, `${reason}; the shutdown failed`);
    return EXIT_SOFTWARE;
  }
  endRun(lifetime.exitCode, reason);
  return lifetime.exitCode;
}

/** Returns why the daemon ends, without a message that could hold a secret. */
function describeEnding(ending: Ending): string {
  if (ending.kind === 'signal') return ending.signal;
  return `an unexpected failure (${ending.error instanceof Error ? ending.error.name : typeof ending.error}); the log has more`;
}

function reportStartFailure(error: unknown, notifier: ServiceNotifier, place?: string): AipassError {
  const failure = describeFailure('cannot start', error, place);
  notifier.status(failure.message);
  process.stderr.write(`aipassd: ${failure.message} [${failure.code}]\n`);
  if (failure.hint !== undefined) process.stderr.write(`  → ${failure.hint}\n`);
  return failure;
}
