/**
 * The usage thread: where the database lives, because its commits wait for the disk and the main thread must not.
 */

import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock, type Clock } from '../base/clock.ts';
import { StoreRunner } from './store-runner.ts';
import { asDatabaseError } from './store/failure.ts';
import type { FromThread, ThreadData, ToThread } from './thread-messages.ts';

/** Keeps this thread alive while it waits to try again. */
const threadClock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Lets this thread, and no other of the process, step back behind who waits for an answer. Linux only: it knows threads by number. */
function stepBack(): void {
  try {
    setPriority(Number(basename(readlinkSync('/proc/thread-self'))), constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Then it is as fast as the others.
  }
}

function runThread(port: NonNullable<typeof parentPort>, { database, journalFolder }: ThreadData): void {
  const say = (message: FromThread): void => port.postMessage(message);
  const runner = new StoreRunner({
    database,
    journalFolder,
    clock: threadClock,
    report: (state) => say({ kind: 'state', state }),
  });
  const answerCall = async ({ id, name, params }: Extract<ToThread, { kind: 'call' }>): Promise<void> => {
    try {
      // The main thread's own types guard the parameters; nobody else talks to this thread.
      const result = name === 'prune' ? await runner.prune(params as never) : await runner.call(name, params as never);
      say({ kind: 'result', id, result });
    } catch (error) {
      say({ kind: 'error', id, error: asDatabaseError(error).toWire() });
    }
  };
  port.on('message', (message: ToThread) => {
    if (message.kind === 'wake') runner.wake();
    else if (message.kind === 'call') void answerCall(message);
    else void runner.close(message.last).finally(() => port.close());
  });
  stepBack();
  runner.wake();
}

if (parentPort) runThread(parentPort, workerData as ThreadData);
