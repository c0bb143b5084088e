/**
 * The socket server over a small table of operations made for tests, in this process.
 *
 * | operation | what it does here |
 * |---|---|
 * | `status.get` | answers at once with its parameters |
 * | `provider.list` | answers a turn later with its parameters |
 * | `key.list` | throws what nobody expects |
 * | `secret.get` | hangs until it is aborted |
 * | `secret.list` | ends when the test calls `finish()` |
 * | `completion.create` | sends `count` chunks of `size` characters, as fast as the peer takes |
 */

import { z } from 'zod';
import { GroupCommit } from '../../src/base/group-commit.ts';
import type { SocketServerDeps } from '../../src/ipc/socket-server.ts';
import { SocketServer } from '../../src/ipc/socket-server.ts';
import { createDispatcher } from '../../src/operations/dispatcher.ts';
import type { AnyOperation, OperationContext } from '../../src/operations/operation.ts';
import { recordingLogger, type RecordingLogger } from './recording-logger.ts';
import { openGate } from './admission.ts';
import { makeTempHome, type TempHome } from './temp-home.ts';

/** A running server in a home of its own. `await using` stops it and removes the home. */
export interface TestServer extends AsyncDisposable {
  readonly home: TempHome;
  readonly socket: string;
  readonly server: SocketServer;
  readonly logger: RecordingLogger;
  /** Lists the contexts of all requests that reached an operation, in order. */
  readonly contexts: readonly OperationContext[];
  /** Lists the reasons with which `secret.get` was aborted. */
  readonly aborts: readonly unknown[];
  /** Returns how many chunks `completion.create` has sent. */
  readonly chunks: () => number;
  /** Ends every `secret.list` that waits. */
  readonly finish: () => void;
}

const loose = z.looseObject({});

/** Starts a server; its limits are the daemon's own where the options do not say otherwise. */
export async function startTestServer(options: Partial<SocketServerDeps> = {}): Promise<TestServer> {
  const home = makeTempHome();
  await home.makeRuntime();
  const logger = recordingLogger();
  const contexts: OperationContext<unknown>[] = [];
  const aborts: unknown[] = [];
  const waiting: (() => void)[] = [];
  let chunks = 0;

  const handlers: Record<string, (params: unknown, context: OperationContext<unknown>) => unknown> = {
    'status.get': (params) => params,
    'provider.list': (params) => Promise.resolve(params),
    'key.list': () => {
      throw new TypeError('nobody expects this');
    },
    'secret.get': (_params, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborts.push(signal.reason);
          reject(new Error('aborted'));
        });
      }),
    'secret.list': (params) =>
      new Promise((resolve) => {
        waiting.push(() => resolve(params));
      }),
    'completion.create': async (params, { emit, signal }) => {
      const { count, size } = z.object({ count: z.int(), size: z.int() }).parse(params);
      for (let n = 0; n < count; n += 1) {
        signal.throwIfAborted();
        await emit('x'.repeat(size));
        chunks += 1;
      }
      return { count };
    },
  };
  const operations = Object.fromEntries(
    Object.entries(handlers).map(([name, handle]): [string, Omit<AnyOperation, 'name'>] => [
      name,
      {
        right: 'see',
        schema: loose,
        handle: (params, context) => {
          contexts.push(context);
          return handle(params, context);
        },
      },
    ]),
  );

  const server = new SocketServer({
    path: home.paths.socket,
    frameBytes: 32 * 1024 * 1024,
    maxInFlight: () => 1024,
    gate: openGate(),
    servesOthers: () => false,
    commit: new GroupCommit(
      () => {},
      () => true,
    ),
    welcome: { protocol: 1, version: '1.2.3', pid: process.pid },
    logger,
    dispatch: createDispatcher(operations, { logger, audit: () => {} }),
    ...options,
  });
  await server.start().catch(async (error: unknown) => {
    await home.remove();
    throw error;
  });
  return {
    home,
    socket: home.paths.socket,
    server,
    logger,
    contexts,
    aborts,
    chunks: () => chunks,
    finish: () => {
      for (const end of waiting.splice(0)) end();
    },
    async [Symbol.asyncDispose]() {
      await server.stop(0);
      await home.remove();
    },
  };
}
