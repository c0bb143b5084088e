/**
 * The Unix-socket door. The only file that imports node-ipc (see SECURITY.md), and the only one that knows its traps:
 * its dispatcher throws on a type that is no text, an exception of a handler would end the process, its own parsers
 * are quadratic in the size of a frame, and its message timer is never restarted.
 *
 * So it gets a parser of ours, which contains every failure and hands it three types of messages only.
 */

import { IPCModule, type IpcSocket } from 'node-ipc';
import { dirname } from 'node:path';
import { AipassError } from '../base/errors.ts';
import { within } from '../base/within.ts';
import { socketDescriptor } from '../base/native.ts';
import type { Admission } from '../callers/gate.ts';
import { printFrame } from '../protocol/frames.ts';
import { Connection } from './connection.ts';
import { FrameReader, PASSED_ON } from './frame-reader.ts';
import { overdue, unbookLargest, unbookWaiting, lineLimits, type Line } from './line.ts';
import { Peer } from './peer.ts';
import { makeRuntimeFolder } from './runtime-folder.ts';
import { assertSocketPath, cannotListen } from './socket-path.ts';
import type { SocketServerOptions } from './socket-options.ts';
import { describeReadFailure, tooMuchWaiting } from './refusals.ts';

/** Is how often lines are looked at that may have lasted too long, at least; a shorter limit has them looked at ten times in it. */
const SWEEP_MS = 1000;

/** Is how many at a time are told why they are turned away: each of them takes a place until it has gone. */
const MAX_FAREWELLS = 64;

/** Serves one Unix socket. */
export class SocketServer {
  readonly #options: SocketServerOptions;
  readonly #lines = new Map<IpcSocket, Line>();
  readonly #reader: FrameReader;
  /** Counts those who were turned away and are not gone yet. */
  #farewells = 0;
  #ipc: IPCModule | undefined;
  #sweep: NodeJS.Timeout | undefined;

  constructor(options: SocketServerOptions) {
    this.#options = options;
    this.#reader = new FrameReader(options);
  }

  /** Returns how many peers are connected. */
  get connections(): number {
    return this.#lines.size;
  }

  /** Returns how many requests of all connections have no answer yet. */
  get requestsInFlight(): number {
    let sum = 0;
    for (const line of this.#lines.values()) sum += line.connection.inFlight;
    return sum;
  }

  /**
   * Listens; the socket is made with mode 0600, or 0666 where others are served too. The path must be free: see
   * instance-lock.ts.
   *
   * @throws AipassError BAD_REQUEST when the path is too long for a socket, UNSAFE_PERMISSIONS for a folder that
   * is not ours alone, INTERNAL when it cannot be bound.
   */
  async start(): Promise<void> {
    const { path } = this.#options;
    assertSocketPath(path);
    await this.#listen();
    this.#sweep = setInterval(
      () => this.#dropOverdue(),
      Math.min(SWEEP_MS, lineLimits(this.#options).unfinishedMs / 10),
    );
    this.#sweep.unref();
  }

  /** Listens anew on the same path, whatever is there now. Connections that are open go on. */
  async restart(): Promise<void> {
    const server = this.#ipc?.server.server;
    // Closing removes what stands at the path, ours or not: it must go before a new socket can be made.
    if (server) server.close();
    await this.#listen();
  }

  async #listen(): Promise<void> {
    const { path, servesOthers } = this.#options;
    // Before the umask of the socket, which would make a folder that nobody can enter.
    makeRuntimeFolder(dirname(path), servesOthers());
    const ipc = new IPCModule();
    Object.assign(ipc.config, {
      parser: { encoding: 'utf8', encode: printFrame, read: this.#reader.read },
      // The folder is judged and made by us: node-ipc would change the mode of one that others share.
      secureSocketRoot: false,
      unlink: false,
      silent: true,
      maxConnections: this.#options.maxConnections,
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
        // After the start these are single peers' resets; they also arrive as 'close'.
        if (listening) this.#options.logger.debug('a connection failed', { reason: error.message });
        else reject(cannotListen(path, error));
      });
      for (const type of PASSED_ON) ipc.server.on(type, this.#reader.deliver(type));
      // The mode of the socket is set by the umask while it is bound: a chmod afterwards would come too late.
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

  /**
   * Stops accepting, waits up to `graceMs` for requests in flight, aborts those that remain, and closes every connection
   * once its peer has taken its answers.
   */
  async stop(graceMs: number): Promise<void> {
    clearInterval(this.#sweep);
    const server = this.#ipc?.server.server;
    if (!this.#ipc || !server) return;
    server.close();

    const deadline = performance.now() + graceMs;
    const connections = [...this.#lines.values()].map((line) => line.connection);
    const allIdle = Promise.all(connections.map((connection) => connection.idle()));
    await within(graceMs, allIdle);
    for (const connection of connections) {
      connection.abortAll(
        new AipassError('CANCELLED', 'the daemon is stopping', { hint: 'try again once it is back' }),
      );
    }
    await within(ABORT_MS, allIdle);

    const closed = [...this.#lines.keys()].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const line of this.#lines.values()) line.peer.end();
    await within(Math.max(deadline - performance.now(), ABORT_MS), Promise.all(closed));
    this.#ipc.server.stop();
  }

  #open(socket: IpcSocket): void {
    const peer = new Peer(socket, this.#options.beforeWrite);
    let admission: Admission;
    try {
      admission = this.#options.gate.admit(socketDescriptor(socket));
    } catch (error) {
      this.#farewells += 1;
      socket.once('close', () => {
        this.#farewells -= 1;
      });
      if (this.#farewells > MAX_FAREWELLS) {
        socket.destroy();
        return;
      }
      peer.send({ type: 'error', data: { error: describeReadFailure(error, this.#options.logger).toWire() } });
      peer.end();
      return;
    }
    const connection = new Connection({ ...this.#options, wire: peer, admission });
    const line: Line = {
      peer,
      connection,
      admission,
      partial: undefined,
      backlog: [],
      frameLength: 0,
      activeAt: performance.now(),
      bookedBytes: 0,
    };
    this.#lines.set(socket, line);
    socket.ipcBuffer = line;
  }

  #close(socket: IpcSocket): void {
    const line = this.#lines.get(socket);
    if (!line) return;
    this.#lines.delete(socket);
    unbookWaiting(line);
    line.connection.close();
    // Not when it is told to go: until its socket is closed it takes one of the places that there are for all.
    line.admission.leave();
  }

  #dropOverdue(): void {
    const limits = lineLimits(this.#options);
    for (const line of this.#lines.values()) {
      const error = overdue(line, performance.now(), limits);
      if (error !== null) line.connection.fail(error);
    }
    for (const line of unbookLargest(this.#lines.values())) line.connection.fail(tooMuchWaiting());
  }
}

/** Is how long aborted requests and closing connections may take before the daemon goes on without them. */
const ABORT_MS = 1000;
