/**
 * Opens the Unix-socket endpoint and guards its path.
 */

import { defer, STOP_GRACE_MS } from '../base/dispose.ts';
import type { GroupCommit } from '../base/group-commit.ts';
import type { Runtime } from '../base/runtime.ts';
import type { AccessPolicy } from '../callers/access.ts';
import type { Gate } from '../callers/gate.ts';
import { PROTOCOL_VERSION } from '../protocol/messages.ts';
import { blockedPathWarnings, changeSocketMode, SocketGuard } from './socket-file.ts';
import { SocketServer, type SocketServerDeps } from './socket-server.ts';

export interface SocketDeps extends Pick<SocketServerDeps, 'dispatch'> {
  readonly gate: Gate;
  readonly access: Pick<AccessPolicy, 'servesOthers'>;
  /** Puts what was recorded on disk before replies leave. */
  readonly commit: GroupCommit;
  /** Called when the socket was lost and made anew. */
  readonly onLost: (problem: string) => void;
}

/** Listens until the stack is closed; requests in flight then get a grace period. */
export async function openSocket(
  { config, paths, version, clock, logger: log, warnings }: Runtime,
  { gate, access, dispatch, commit, onLost }: SocketDeps,
  stack: AsyncDisposableStack,
): Promise<void> {
  const logger = log.component('ipc');
  const servesOthers = (): boolean => access.servesOthers;
  const server = new SocketServer({
    path: paths.socket,
    get frameBytes() {
      return config.current.limits.frameBytes;
    },
    maxInFlight: () => config.current.limits.inFlight,
    gate,
    servesOthers,
    commit,
    welcome: { protocol: PROTOCOL_VERSION, version, pid: process.pid },
    logger,
    dispatch,
  });
  await server.start();
  defer(stack, 'the socket', () => server.stop(STOP_GRACE_MS));
  warnings.register(() => blockedPathWarnings(paths.runtime, access.servesOthers));
  const guard = new SocketGuard({ path: paths.socket, clock, logger, restart: () => server.restart(), onLost });
  defer(stack, 'the guard of the socket', guard.start());
  const stopFollowing = config.onChange(() => changeSocketMode(paths.socket, access.servesOthers));
  defer(stack, 'the mode of the socket', stopFollowing);
}
