/**
 * The Unix-socket endpoint, and the only file that imports node-ipc (see SECURITY.md). It works
 * around four faults of node-ipc. Its dispatcher throws on a type that is not a string. An
 * exception of a handler would end the process. Its own parsers are quadratic in the size of a
 * frame. Its message timer is never restarted.
 *
 * So node-ipc gets our parser, which contains every failure and passes on three types of messages
 * only.
 */

import { IPCModule, type IpcSocket } from 'node-ipc';
import { dirname } from 'node:path';
import { foregroundClock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { GroupCommit } from '../base/group-commit.ts';
import { withTimeout } from '../base/timers.ts';
import { socketDescriptor } from '../base/native.ts';
import type { Logger } from '../base/logger.ts';
import { RejectedConnections, type Admission, type Gate } from '../callers/gate.ts';
import { printFrame } from '../protocol/frames.ts';
import { Connection, type ConnectionDeps } from './connection.ts';
import { describeReadFailure, FrameReader, PASSED_ON } from './frame-reader.ts';
import {
  overdue,
  tooMuchWaiting,
  uncountLargest,
  uncountWaiting,
  USUAL_TIMEOUTS,
  type SocketState,
  type SocketTimeouts,
} from './socket-state.ts';
import { Peer } from './peer.ts';
import { assertSocketPath, cannotListen, makeRuntimeFolder } from './socket-file.ts';

/** Longest time between two checks for overdue sockets, in milliseconds. */
const SWEEP_MS = 1000;

/** Time that aborted requests and closing connections get during a stop, in milliseconds. */
const ABORT_MS = 1000;

export interface SocketServerDeps extends Omit<ConnectionDeps, 'wire' | 'admission'>, Partial<SocketTimeouts> {
  readonly path: string;
  readonly frameBytes: number;
  readonly gate: Gate;
  /** Returns whether other users may connect; the gate checks each of them. */
  readonly servesOthers: () => boolean;
  /** Puts what was recorded on disk before replies leave. */
  readonly commit: GroupCommit;
  readonly logger: Logger;
}

export class SocketServer {
  readonly #deps: SocketServerDeps;
  readonly #sockets = new Map<IpcSocket, SocketState>();
  readonly #reader: FrameReader;
  readonly #timeouts: SocketTimeouts;
  readonly #rejected = new RejectedConnections();
  #ipc: IPCModule | undefined;
  #sweep: NodeJS.Timeout | undefined;

  constructor(deps: SocketServerDeps) {
    this.#deps = deps;
    this.#reader = new FrameReader(deps);
    const { unfinishedFrameMs, silentMs, idleMs } = { ...USUAL_TIMEOUTS, ...deps };
    this.#timeouts = { unfinishedFrameMs, silentMs, idleMs };
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Number of requests without an answer, of all connections. */
  get requestsInFlight(): number {
    let sum = 0;
    for (const state of this.#sockets.values()) sum += state.connection.inFlight;
    return sum;
  }

  /**
   * Listens. The socket gets mode 0600, or 0666 if others are served too. The path must be free:
   * see instance-lock.ts.
   *
   * @throws AipassError BAD_REQUEST when the path is too long for a socket. UNSAFE_PERMISSIONS for
   * a folder that is not ours alone, INTERNAL when it cannot be bound.
   */
  async start(): Promise<void> {
    const { path } = this.#deps;
    assertSocketPath(path);
    await this.#listen();
    this.#sweep = setInterval(() => this.#closeOverdue(), Math.min(SWEEP_MS, this.#timeouts.unfinishedFrameMs / 10));
    this.#sweep.unref();
  }

  /** Listens anew on the same path, whatever is there now. Open connections stay open. */
  async restart(): Promise<void> {
    const server = this.#ipc?.server.server;
    // Closing removes whatever is at the path, which must be free before a new socket can be made.
    if (server) server.close();
    await this.#listen();
  }

  async #listen(): Promise<void> {
    const { path, servesOthers } = this.#deps;
    // Before the umask of the socket, with which the folder could not be entered.
    makeRuntimeFolder(dirname(path), servesOthers());
    const ipc = new IPCModule();
    Object.assign(ipc.config, {
      parser: { encoding: 'utf8', encode: printFrame, read: this.#reader.read },
      // We check and make the folder ourselves: node-ipc would change the mode of a shared one.
      secureSocketRoot: false,
      unlink: false,
      silent: true,
      // The gate counts, by user: a limit here would let others take the place of the owner.
      maxConnections: Number.MAX_SAFE_INTEGER,
      stopRetrying: true,
      maxRetries: 0,
    });
    this.#ipc = ipc;

    await new Promise<void>((resolve, reject) => {
      let listening = false;
      ipc.serve(path, () => {
        listening = true;
        resolve();
      });
      ipc.server.on('connect', (socket: IpcSocket) => this.#open(socket));
      ipc.server.on('close', (socket: IpcSocket) => this.#close(socket));
      ipc.server.on('error', (error: Error) => {
        // After the start these are resets of single peers, which also arrive as 'close'.
        if (listening) this.#deps.logger.debug('a connection failed', { reason: error.message });
        else reject(cannotListen(path, error));
      });
      for (const type of PASSED_ON) ipc.server.on(type, this.#reader.deliver(type));
      // The umask sets the mode of the socket while it is bound: a chmod would come too late.
      const umask = process.umask(servesOthers() ? 0o111 : 0o177);
      try {
        ipc.server.start();
      } catch (error) {
        reject(cannotListen(path, error));
      } finally {
        process.umask(umask);
      }
    });
  }

  /** Waits for requests in flight, aborts those that remain, and closes every connection. */
  async stop(graceMs: number): Promise<void> {
    clearInterval(this.#sweep);
    const server = this.#ipc?.server.server;
    if (!this.#ipc || !server) return;
    server.close();

    const deadline = performance.now() + graceMs;
    const connections = [...this.#sockets.values()].map((state) => state.connection);
    const allIdle = Promise.all(connections.map((connection) => connection.idle()));
    await wait(graceMs, allIdle);
    for (const connection of connections) {
      connection.abortAll(
        new AipassError('CANCELLED', 'the daemon is stopping', { hint: 'try again once it is back' }),
      );
    }
    await wait(ABORT_MS, allIdle);

    const closed = [...this.#sockets.keys()].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const state of this.#sockets.values()) state.peer.end();
    await wait(Math.max(deadline - performance.now(), ABORT_MS), Promise.all(closed));
    this.#ipc.server.stop();
  }

  #open(socket: IpcSocket): void {
    const peer = new Peer(socket, this.#deps.commit);
    let admission: Admission;
    try {
      admission = this.#deps.gate.admit(socketDescriptor(socket));
    } catch (error) {
      if (!this.#rejected.add(socket)) {
        socket.destroy();
        return;
      }
      peer.send({ type: 'error', data: { error: describeReadFailure(error, this.#deps.logger).toWire() } });
      peer.end();
      return;
    }
    const connection = new Connection({ ...this.#deps, wire: peer, admission });
    const state: SocketState = {
      peer,
      connection,
      admission,
      partial: undefined,
      backlog: [],
      frameLength: 0,
      activeAt: performance.now(),
      countedBytes: 0,
    };
    this.#sockets.set(socket, state);
    this.#deps.logger.debug('a peer connected', { connections: this.#sockets.size });
    socket.ipcBuffer = state;
  }

  #close(socket: IpcSocket): void {
    const state = this.#sockets.get(socket);
    if (!state) return;
    this.#sockets.delete(socket);
    uncountWaiting(state);
    state.connection.close();
    // Not earlier: until its socket is closed it takes one of the connections that all users share.
    state.admission.leave();
    this.#deps.logger.debug('a peer is gone', { connections: this.#sockets.size });
  }

  #closeOverdue(): void {
    for (const state of this.#sockets.values()) {
      const error = overdue(state, performance.now(), this.#timeouts);
      if (error !== null) state.connection.fail(error);
    }
    for (const state of uncountLargest(this.#sockets.values())) state.connection.fail(tooMuchWaiting());
  }
}

/** Waits for work, but no longer than a limit in milliseconds. */
async function wait(limitMs: number, work: Promise<unknown>): Promise<void> {
  await withTimeout(foregroundClock, limitMs, work, () => {});
}
