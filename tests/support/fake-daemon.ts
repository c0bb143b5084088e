/**
 * A false daemon. It listens where the daemon would and answers as the test tells it. So a client
 * meets every way in which a daemon may fail it.
 */

import { createServer, type Server, type Socket } from 'node:net';
import { makeTempHome, type TempHome } from './temp-home.ts';

/** Ends a frame. Written out here on purpose: the tests are a second opinion on the wire. */
const FRAME_END = '\f';

/** One message from the client. */
export interface ClientFrame {
  readonly type: string;
  readonly data: {
    readonly id?: number;
    readonly op?: string;
    readonly params?: unknown;
    readonly protocol?: number;
    readonly caller?: string;
    readonly client?: string;
  };
}

/** Answers one message; by default only hello is answered, with welcome. */
export type Answer = (frame: ClientFrame, line: FakeLine) => void;

/** One connection, seen from the daemon. */
export interface FakeLine {
  send(type: string, data: unknown): void;
  sendText(text: string): void;
  /** Ends the connection at once, as a crash does. */
  destroy(): void;
  /** Ends the connection after what was sent, as a stop does. */
  end(): void;
}

/** A fake daemon. `await using` stops it. */
export class FakeDaemon implements AsyncDisposable {
  /** Holds every message from every client, in order. */
  readonly received: ClientFrame[] = [];
  /** Answers each message; a test may replace it at any time. */
  answer: Answer;
  readonly #path: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #accepted = 0;

  private constructor(path: string, answer: Answer) {
    this.#path = path;
    this.answer = answer;
  }

  /** Listens on a path. */
  static async listen(path: string, answer: Answer = welcomeOnly): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(path, answer);
    await daemon.start();
    return daemon;
  }

  /** Returns how many connections there have been. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Returns how many connections there are. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Listens again after a stop. */
  async start(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#path, resolve);
    });
  }

  /** Goes away with all its connections, as a crash does; the socket's file goes, too. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Returns the requests received so far. */
  get requests(): readonly ClientFrame[] {
    return this.received.filter((frame) => frame.type === 'request');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #accept(socket: Socket): void {
    this.#accepted += 1;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    socket.setEncoding('utf8');
    const line: FakeLine = {
      send: (type, data) => socket.write(JSON.stringify({ type, data }) + FRAME_END),
      sendText: (text) => socket.write(text),
      destroy: () => socket.destroy(),
      end: () => socket.end(),
    };
    let unfinished = '';
    socket.on('data', (chunk: string) => {
      const frames = (unfinished + chunk).split(FRAME_END);
      unfinished = frames.pop() ?? '';
      for (const text of frames) {
        const frame: ClientFrame = JSON.parse(text);
        this.received.push(frame);
        this.answer(frame, line);
      }
    });
  }
}

/** Sends a welcome, and nothing else. */
export const welcomeOnly: Answer = ({ type }, line) => {
  if (type === 'hello') line.send('welcome', { protocol: 1, version: '1.2.3', pid: process.pid });
};

/**
 * Sends a welcome, and answers each request with what a function makes of its operation and
 * parameters.
 */
export function answering(result: (op: string, params: unknown) => unknown): Answer {
  return (frame, line) => {
    welcomeOnly(frame, line);
    const { id, op = '', params } = frame.data;
    if (frame.type === 'request') line.send('reply', { id, result: result(op, params) });
  };
}

/** Starts a fake daemon in a home of its own; `await using` stops it and removes the home. */
export async function startFakeDaemon(answer?: Answer): Promise<FakeDaemonAtHome> {
  const home = makeTempHome();
  await home.makeRuntime();
  const daemon = await FakeDaemon.listen(home.paths.socket, answer);
  return {
    daemon,
    home,
    socket: home.paths.socket,
    async [Symbol.asyncDispose]() {
      await daemon.stop();
      await home.remove();
    },
  };
}

/** A fake daemon and where it lives. */
export interface FakeDaemonAtHome extends AsyncDisposable {
  readonly daemon: FakeDaemon;
  readonly home: TempHome;
  readonly socket: string;
}
