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
import type { Logger } from '../base/logger.ts';
import { identifyPeer } from '../callers/identity.ts';
import { FrameError, parseEnvelope, printFrame, readFrames, type PartialFrame } from '../protocol/frames.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { Peer } from './peer.ts';

/** Is how long a peer may take to finish a frame that it began, unless the options say otherwise. */
const UNFINISHED_FRAME_MS = 10_000;

/** Is how often unfinished frames are looked for, at least; a shorter limit has them looked for ten times in it. */
const SWEEP_MS = 1000;

/** Is the bound on one path: `sun_path` holds 108 bytes on Linux and 104 on macOS, the final NUL included. */
const MAX_PATH_BYTES = process.platform === 'darwin' ? 103 : 107;

/** Says how the socket is served. */
export interface SocketServerOptions extends Omit<ConnectionOptions, 'wire' | 'peer'> {
  readonly path: string;
  readonly frameBytes: number;
  readonly maxConnections: number;
  /** Is how long a peer may take to finish a frame that it began, in milliseconds; 10 s without it. */
  readonly unfinishedFrameMs?: number;
  readonly logger: Logger;
}

/** Is the state of one socket; node-ipc keeps it for us as the "unfinished text" of that socket. */
interface Line {
  readonly peer: Peer;
  readonly connection: Connection;
  partial: PartialFrame | undefined;
}

/** Serves one Unix socket. */
export class SocketServer {
  readonly #options: SocketServerOptions;
  readonly #lines = new Map<IpcSocket, Line>();
  #ipc: IPCModule | undefined;
  #sweep: NodeJS.Timeout | undefined;

  constructor(options: SocketServerOptions) {
    this.#options = options;
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
   * Listens; the socket is made with mode 0600. The path must be free: see instance-lock.ts.
   *
   * @throws AipassError BAD_REQUEST when the path is too long for a socket, INTERNAL when it cannot be bound.
   */
  async start(): Promise<void> {
    const { path } = this.#options;
    if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
      throw new AipassError('BAD_REQUEST', `the socket's path is longer than ${MAX_PATH_BYTES} bytes: ${path}`, {
        hint: 'set AIPASSD_RUNTIME_DIR to a folder with a shorter path, for daemon and clients alike',
      });
    }
    const ipc = new IPCModule();
    Object.assign(ipc.config, {
      parser: { encoding: 'utf8', encode: printFrame, read: this.#read },
      socketRoot: dirname(path),
      secureSocketRoot: true,
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
      for (const type of ['hello', 'request', 'cancel']) {
        ipc.server.on(type, (data: unknown, socket: IpcSocket) => this.#receive(type, data, socket));
      }
      // The mode of the socket is set by the umask while it is bound: a chmod afterwards would come too late.
      const umask = process.umask(0o177);
      try {
        ipc.server.start();
      } catch (error) {
        reject(cannotListen(path, error));
      } finally {
        process.umask(umask);
      }
    });
    this.#sweep = setInterval(() => this.#dropUnfinished(), Math.min(SWEEP_MS, this.#unfinishedFrameMs / 10));
    this.#sweep.unref();
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
    const peer = new Peer(socket);
    const connection = new Connection({ ...this.#options, wire: peer, peer: identifyPeer(descriptorOf(socket)) });
    const line: Line = { peer, connection, partial: undefined };
    this.#lines.set(socket, line);
    socket.ipcBuffer = line;
  }

  #close(socket: IpcSocket): void {
    this.#lines.get(socket)?.connection.close();
    this.#lines.delete(socket);
  }

  #receive(type: string, data: unknown, socket: IpcSocket): void {
    this.#lines.get(socket)?.connection.receive(type, data);
  }

  /** Is the parser's reading half: node-ipc calls it with what `#open` left in `ipcBuffer`. Must not throw. */
  readonly #read = (
    kept: unknown,
    chunk: string,
    receive: (message: { type: string; data: unknown }) => void,
  ): unknown => {
    if (!isLine(kept) || kept.peer.isEnding) return kept;
    try {
      kept.partial = readFrames(kept.partial, chunk, this.#options.frameBytes, (frame) => {
        if (kept.peer.isEnding) return;
        const { type, data } = parseEnvelope(frame);
        // Only these three names may reach node-ipc's dispatcher, which has events of its own by the same way.
        if (type === 'hello' || type === 'request' || type === 'cancel') receive({ type, data });
        else kept.connection.receive(type, data);
      });
    } catch (error) {
      kept.partial = undefined;
      kept.connection.fail(this.#describe(error));
    }
    return kept;
  };

  #describe(error: unknown): AipassError {
    if (error instanceof FrameError) {
      return new AipassError('BAD_REQUEST', error.message, {
        hint: 'send node-ipc frames: {"type":…,"data":…} and a form feed',
      });
    }
    this.#options.logger.error('reading from a connection failed', { error });
    return new AipassError('INTERNAL', 'the daemon failed to read this message', { hint: 'the log has more' });
  }

  get #unfinishedFrameMs(): number {
    return this.#options.unfinishedFrameMs ?? UNFINISHED_FRAME_MS;
  }

  #dropUnfinished(): void {
    const limit = performance.now() - this.#unfinishedFrameMs;
    for (const { peer, connection, partial } of this.#lines.values()) {
      if (partial === undefined || peer.isPaused || Math.max(partial.since, peer.resumedAt) > limit) continue;
      connection.fail(
        new AipassError('TIMED_OUT', `a frame was not finished within ${this.#unfinishedFrameMs / 1000} s`, {
          hint: 'send whole frames',
        }),
      );
    }
  }
}

/** Is how long aborted requests and closing connections may take before the daemon goes on without them. */
const ABORT_MS = 1000;

function cannotListen(path: string, error: unknown): AipassError {
  const reason = error instanceof Error ? error.message : String(error);
  return new AipassError('INTERNAL', `cannot listen on ${path}: ${reason}`, {
    hint: `look at ${dirname(path)}: it must be a folder of your own`,
    cause: error,
  });
}

function isLine(kept: unknown): kept is Line {
  return typeof kept === 'object' && kept !== null && 'connection' in kept;
}

/** Resolves with the promise, or when the time is over. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    promise,
    new Promise((resolve) => {
      timer = setTimeout(resolve, ms);
    }),
  ]);
  clearTimeout(timer);
}

/** Returns a socket's file descriptor, which Node keeps to itself; -1 where there is none any more. */
function descriptorOf(socket: IpcSocket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null && 'fd' in handle ? handle.fd : undefined;
  return typeof fd === 'number' ? fd : -1;
}
