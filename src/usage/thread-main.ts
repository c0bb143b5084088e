/**
 * The usage thread's end of the messages in thread.ts. It is a thread because commits wait for the
 * disk, and the main thread must not.
 */

import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { foregroundClock } from '../base/clock.ts';
import { importDirectly } from '../base/direct-imports.ts';
import { StoreRunner } from './store-runner.ts';
import { asDatabaseError } from './store/failure.ts';
import type { FromThread, ThreadOptions, ToThread } from './thread.ts';

/**
 * Lowers the priority of this thread, and of no other of the process. Linux only, where threads
 * have numbers of their own.
 */
function lowerPriority(): void {
  try {
    setPriority(Number(basename(readlinkSync('/proc/thread-self'))), constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It then runs at the priority of the others.
  }
}

function runThread(port: NonNullable<typeof parentPort>, options: ThreadOptions): void {
  const post = (message: FromThread): void => port.postMessage(message);
  const runner = new StoreRunner({
    ...options,
    clock: foregroundClock,
    report: (state) => post({ kind: 'state', state }),
  });
  const answerCall = async ({ id, name, args }: Extract<ToThread, { kind: 'call' }>): Promise<void> => {
    try {
      // The main thread's types check the arguments, and it is the only one to post messages.
      const result =
        name === 'prune'
          ? await runner.prune(...(args as Parameters<StoreRunner['prune']>))
          : await runner.call((store) =>
              (store[name] as (...args: readonly unknown[]) => Promise<unknown>).apply(store, [...args]),
            );
      post({ kind: 'result', id, result });
    } catch (error) {
      post({ kind: 'error', id, error: asDatabaseError(error).toWire() });
    }
  };
  port.on('message', (message: ToThread) => {
    if (message.kind === 'wake') runner.wake();
    else if (message.kind === 'call') void answerCall(message);
    else void runner.close(message.last).finally(() => port.close());
  });
  lowerPriority();
  runner.wake();
}

// The database is loaded when it is opened; Kysely alone has 300 files.
importDirectly();
if (parentPort) runThread(parentPort, workerData as ThreadOptions);
