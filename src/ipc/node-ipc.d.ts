/** Describes the part of node-ipc 14.0.0 that socket-server.ts uses; the package ships no types. */
declare module 'node-ipc' {
  import type { Server as NetServer, Socket } from 'node:net';

  /** A custom parser. `remainder` is the value last stored in `socket.ipcBuffer`. */
  export interface FrameParser {
    readonly encoding: 'utf8';
    encode(type: string, data: unknown): string;
    read(remainder: unknown, chunk: string, receive: (message: { type: string; data: unknown }) => void): unknown;
  }

  export interface Config {
    parser: FrameParser;
    socketRoot: string;
    secureSocketRoot: boolean;
    unlink: boolean;
    silent: boolean;
    maxConnections: number;
    retry: number;
    maxRetries: number;
    stopRetrying: boolean;
  }

  export interface IpcSocket extends Socket {
    ipcBuffer: unknown;
  }

  export interface Server {
    readonly server: NetServer | false;
    readonly sockets: IpcSocket[];
    on(event: 'connect' | 'close', handler: (socket: IpcSocket) => void): void;
    on(event: 'error', handler: (error: Error) => void): void;
    on(event: 'start', handler: () => void): void;
    on(event: string, handler: (data: unknown, socket: IpcSocket) => void): void;
    start(): void;
    stop(): void;
  }

  export class IPCModule {
    config: Config;
    server: Server;
    serve(path: string, callback?: () => void): void;
  }
}
