/**
 * Both listeners of the gateway and what keeps the second one open: `gateway.sock` always, loopback
 * only while the configuration or a run of `aipassd exec` needs it.
 */

import { lstat, unlink } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { peersAreKnown } from '../base/native.ts';
import type { StateStore } from '../base/state-store.ts';
import { repeat } from '../base/timers.ts';
import type { Warning } from '../base/warning.ts';
import { hasTcpTable } from '../callers/tcp-peer.ts';
import type { TokenGrant } from '../callers/access.ts';
import type { EarlierAccess } from '../protocol/gateway.ts';
import { AccessTokens } from './access-tokens.ts';
import { Gateway, type GatewayDeps } from './gateway.ts';
import { NamedTokens } from './named-tokens.ts';

export interface ListenersDeps extends Omit<GatewayDeps, 'tokens' | keyof GatewayOperations> {
  /** Path of the Unix socket. */
  readonly path: string;
  /** Returns whether users other than the daemon's own may connect. */
  readonly servesOthers: () => boolean;
  /** Keeps the tokens of named callers. */
  readonly state: Pick<StateStore, 'section' | 'bind' | 'changed'>;
  readonly clock: Clock;
  /** Configured port of the loopback listener, or undefined where only runs open it. */
  readonly port: number | undefined;
  /** Returns whether the kernel reports the owner of a loopback connection. */
  readonly knowsPeers?: () => boolean;
}

/**
 * Operations that requests other than pass-through run: made from the table of operations, which
 * needs the listeners.
 */
export type GatewayOperations = Pick<GatewayDeps, 'dispatch' | 'manage' | 'metrics'>;

/** Access of one run of a program. */
export interface GatewayRun {
  readonly port: number;
  readonly token: string;
  /** Ends the access, and the listener with it where nothing else needs it. */
  readonly close: () => void;
}

/** Time between two attempts to open the configured port, in milliseconds. */
const RETRY_MS = 2000;

/** Section of `state.json` with the port of the runs that are open. */
const PORT_SECTION = 'gatewayRunsPort';

/** Both listeners. */
export class GatewayListeners {
  readonly tokens = new AccessTokens();
  readonly #named: NamedTokens;
  readonly #deps: ListenersDeps;
  /** Port of the runs that are open: their programs know no other after a restart. */
  #runsPort: number | undefined;
  #operations: GatewayOperations | undefined;
  #socket: Gateway | undefined;
  #loopback: Gateway | undefined;
  #opening: Promise<Gateway> | undefined;
  #runs = 0;
  #stopping: Promise<unknown> | undefined;
  /** Why the configured port is not open. */
  #portProblem: AipassError | undefined;
  #stopRetrying: (() => Promise<void>) | undefined;

  constructor(deps: ListenersDeps) {
    this.#deps = deps;
    this.#named = new NamedTokens(deps.state, deps.clock, this.tokens);
    const port = deps.state.section(PORT_SECTION);
    if (typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536) this.#runsPort = port;
    deps.state.bind(PORT_SECTION, () => this.#runsPort);
  }

  /** Number of connections of both listeners. */
  get connections(): number {
    return (this.#socket?.endpoint.connections ?? 0) + (this.#loopback?.endpoint.connections ?? 0);
  }

  /** Number of requests without a complete answer, of both listeners. */
  get requestsInFlight(): number {
    return (this.#socket?.endpoint.requestsInFlight ?? 0) + (this.#loopback?.endpoint.requestsInFlight ?? 0);
  }

  /** Configured port of the loopback listener, or null. */
  readonly configuredPort = (): number | null => this.#deps.port ?? null;

  /** Tokens of named callers. */
  readonly named = (): NamedTokens => this.#named;

  /** Port of the loopback listener, or null while it is closed. */
  get port(): number | null {
    return this.#loopback?.endpoint.port ?? null;
  }

  /** Warns of a configured port that is not open. */
  get warnings(): readonly Warning[] {
    const problem = this.#portProblem;
    return problem === undefined
      ? []
      : [
          {
            subject: 'gateway.port',
            problem: problem.message,
            hint: `${problem.hint}; aipassd tries again every ${RETRY_MS / 1000} seconds`,
          },
        ];
  }

  /**
   * Listens on the socket, and on loopback where a port is configured. A port that cannot be opened
   * is tried again until it can: the socket serves meanwhile. The caller holds the lock of the
   * instance, so that a socket at the path is nobody's.
   *
   * @throws AipassError INTERNAL where the socket cannot be bound, FORBIDDEN where loopback is not
   * safe here.
   */
  async start(operations: GatewayOperations): Promise<void> {
    this.#operations = operations;
    const socket = this.#create('socket');
    await this.#listenOnPath((options) => socket.endpoint.listen(options));
    this.#socket = socket;
    if (this.#deps.port === undefined) return;
    this.#assertPeersKnown();
    await this.#openConfigured();
    if (this.#portProblem === undefined) return;
    const stop = repeat(this.#deps.clock, RETRY_MS, async () => {
      await this.#openConfigured();
      if (this.#portProblem === undefined) void stop();
    });
    this.#stopRetrying = stop;
  }

  /** Opens the configured port, or keeps the reason why it is closed. */
  async #openConfigured(): Promise<void> {
    const { logger } = this.#deps;
    try {
      const { endpoint } = await this.#openLoopback();
      if (this.#portProblem !== undefined) logger.info(`listening on 127.0.0.1:${endpoint.port}`);
      this.#portProblem = undefined;
    } catch (error) {
      if (!(error instanceof AipassError)) throw error;
      if (this.#portProblem === undefined) logger.warn(error.message, { hint: error.hint });
      this.#portProblem = error;
    }
  }

  /** Makes the socket anew at its path. Open connections go on. */
  async restart(): Promise<void> {
    const { endpoint } = this.#socket ?? {};
    if (endpoint !== undefined) await this.#listenOnPath((options) => endpoint.relisten(options));
  }

  /**
   * Gives one run of a program access over loopback.
   *
   * @throws AipassError FORBIDDEN where loopback is not safe here, CONFLICT where the configured
   * port is in use, INTERNAL where no port can be bound.
   */
  async openRun(grant: TokenGrant): Promise<GatewayRun> {
    return await this.#countRun(async (end) => {
      const { port } = (await this.#openLoopback()).endpoint;
      const issued = this.tokens.issue(grant);
      if (port === null || issued === undefined) throw TOO_MANY_RUNS;
      return { port, token: issued.token, close: () => end(issued.hash) };
    });
  }

  /**
   * Gives a run its access back that the daemon does not know any more. The program cannot be given
   * another port or token, so that both stay.
   *
   * @throws AipassError CONFLICT where the port cannot be opened again or the token already exists,
   * and what openRun throws.
   */
  async reopenRun(grant: TokenGrant, { port, tokenHash }: EarlierAccess): Promise<Pick<GatewayRun, 'close'>> {
    return await this.#countRun(async (end) => {
      // Nobody has a port opened that this daemon did not choose.
      if (port !== (this.port ?? this.#deps.port ?? this.#runsPort)) throw portIsLost(port);
      const loopback = await this.#openLoopback(port);
      if (loopback.endpoint.port !== port) throw portIsLost(port);
      if (this.tokens.has(tokenHash)) throw TOKEN_IN_USE;
      if (!this.tokens.restore(tokenHash, grant)) throw TOO_MANY_RUNS;
      return { close: () => end(tokenHash) };
    });
  }

  /** Counts a run until its token is ended. */
  async #countRun<Run>(open: (end: (tokenHash: string) => void) => Promise<Run>): Promise<Run> {
    this.#runs += 1;
    let isOpen = true;
    try {
      return await open((tokenHash) => {
        if (!isOpen) return;
        isOpen = false;
        this.tokens.revoke(tokenHash);
        this.#endRun();
      });
    } catch (error) {
      this.#endRun();
      throw error;
    }
  }

  /**
   * Lets requests in flight finish for so long, aborts the others, and closes both listeners. A
   * second call waits for the first.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stopAll(graceMs);
    await this.#stopping;
  }

  async #stopAll(graceMs: number): Promise<void> {
    // An attempt that is under way may open the port.
    const attempt = this.#stopRetrying?.().then(() => this.#loopback?.endpoint.stop(graceMs));
    await Promise.all([this.#socket?.endpoint.stop(graceMs), this.#loopback?.endpoint.stop(graceMs), attempt]);
  }

  #create(kind: 'socket' | 'loopback'): Gateway {
    if (this.#operations === undefined) throw new Error('the gateway was not started');
    return new Gateway(kind, { ...this.#deps, ...this.#operations, tokens: this.tokens });
  }

  #endRun(): void {
    this.#runs -= 1;
    if (this.#runs > 0 || this.#deps.port !== undefined || this.#stopping !== undefined) return;
    const closing = this.#loopback;
    this.#loopback = undefined;
    this.#opening = undefined;
    if (closing !== undefined) this.#rememberPort(undefined);
    void closing?.endpoint.stop(0, new AipassError('CANCELLED', 'the run of this program has ended'));
  }

  /**
   * Throws where the kernel does not report who is behind a loopback connection: any user of the
   * machine reaches it.
   */
  #assertPeersKnown(): void {
    const { knowsPeers = () => peersAreKnown() && hasTcpTable() } = this.#deps;
    if (knowsPeers()) return;
    throw new AipassError('FORBIDDEN', 'the system does not report whose a loopback connection is', {
      hint: 'use the Unix socket: gateway.sock; on Linux, install the package koffi for loopback',
    });
  }

  /** Opens the listener on loopback; with `only`, on no other port than that. */
  #openLoopback(only?: number): Promise<Gateway> {
    this.#opening ??= this.#listenOnLoopback(only);
    return this.#opening;
  }

  async #listenOnLoopback(only: number | undefined): Promise<Gateway> {
    const loopback = this.#create('loopback');
    const listen = (port: number): Promise<unknown> => loopback.endpoint.listen({ host: '127.0.0.1', port });
    const { port: configured } = this.#deps;
    const wanted = configured ?? only ?? this.#runsPort ?? 0;
    try {
      this.#assertPeersKnown();
      await listen(wanted).catch((error: unknown) => {
        if (wanted === 0 || wanted === configured || only !== undefined) throw error;
        return listen(0);
      });
    } catch (error) {
      this.#opening = undefined;
      if (error instanceof AipassError) throw error;
      const reason = systemErrorCode(error) ?? 'unknown reason';
      if (only !== undefined && reason === 'EADDRINUSE') throw portIsLost(only);
      throw cannotListenOn(wanted, reason, error);
    }
    this.#loopback = loopback;
    if (configured === undefined) this.#rememberPort(loopback.endpoint.port ?? undefined);
    return loopback;
  }

  #rememberPort(port: number | undefined): void {
    if (this.#runsPort === port) return;
    this.#runsPort = port;
    this.#deps.state.changed();
  }

  async #listenOnPath(
    listen: (options: { path: string }) => Promise<AddressInfo | string | null | void>,
  ): Promise<void> {
    const { path, servesOthers } = this.#deps;
    await removeStaleSocket(path);
    // The mode of the socket is set by the umask while it is bound: a chmod afterwards would come
    // too late.
    const umask = process.umask(servesOthers() ? 0o111 : 0o177);
    let listening: Promise<unknown>;
    try {
      listening = listen({ path });
    } finally {
      process.umask(umask);
    }
    try {
      await listening;
    } catch (error) {
      throw new AipassError('INTERNAL', `cannot listen on ${path}: ${systemErrorCode(error) ?? 'unknown reason'}`, {
        hint: `check the folder of ${path}: it must be a folder of your own`,
        cause: error,
      });
    }
  }
}

const TOO_MANY_RUNS = new AipassError('BAD_REQUEST', 'too many programs are running', {
  hint: 'end some of the runs of aipassd exec',
});
const TOKEN_IN_USE = new AipassError('CONFLICT', 'this token already exists', { hint: 'try again' });

function portIsLost(port: number): AipassError {
  return new AipassError('CONFLICT', `port ${port} of 127.0.0.1 cannot be opened again`, {
    hint: 'end the program and run it again: aipassd exec -- program',
  });
}

/** Returns the error for a port of loopback that cannot be bound. */
function cannotListenOn(port: number, reason: string, cause: unknown): AipassError {
  const where = `127.0.0.1:${port}`;
  if (reason === 'EADDRINUSE') {
    return new AipassError('CONFLICT', `another program listens on ${where}`, {
      hint: `end it (find it with: ss -ltnp 'sport = :${port}'), or choose another gateway.port in the configuration`,
      cause,
    });
  }
  return new AipassError(reason === 'EACCES' ? 'FORBIDDEN' : 'INTERNAL', `cannot listen on ${where}: ${reason}`, {
    hint: port === 0 ? 'end some programs, then try again' : 'choose another gateway.port in the configuration',
    cause,
  });
}

/**
 * Removes a socket that an earlier daemon left; anything else at the path stays, and fails the
 * start.
 */
async function removeStaleSocket(path: string): Promise<void> {
  try {
    if ((await lstat(path)).isSocket()) await unlink(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}
