/**
 * Both listeners of the gateway in this process, over a forwarder that the test writes.
 */

import { request as sendRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { configSchema } from '../../src/base/config-schema.ts';
import type { Caller } from '../../src/callers/caller.ts';
import { Gate } from '../../src/callers/gate.ts';
import { ALL_RIGHTS, type TokenGrant } from '../../src/callers/access.ts';
import { UserLimits, type UserLimitValues } from '../../src/callers/user-limits.ts';
import type { Forwarder } from '../../src/completions/forwarder.ts';
import type { ForwardOutcome, ForwardRequest } from '../../src/completions/forwarding.ts';
import { GatewayListeners, type GatewayOperations, type ListenersDeps } from '../../src/gateway/listeners.ts';
import { createProviders } from '../../src/providers/registry.ts';
import { WIDE_LIMITS } from './admission.ts';
import { recordingLogger, type RecordingLogger } from './recording-logger.ts';
import { makeTempHome } from './temp-home.ts';

/** Providers of the test gateway; "local" is the default one. */
const PROVIDERS = createProviders(configSchema.parse({ providers: { local: { baseUrl: 'http://127.0.0.1:1/v1' } } }));

/** This process's own user. */
export const OWN_UID = process.getuid?.() ?? 0;

/** Grant of this process's own user, for everything. */
export const OWN_GRANT: TokenGrant = {
  name: 'run',
  session: 'run-session',
  uid: OWN_UID,
  rights: ALL_RIGHTS,
  providers: null,
  oauthAccounts: new Set(),
};

/** Answer of a request. */
export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** Whether the answer came to its proper end. */
  readonly isComplete: boolean;
}

/** Request to the gateway: over the socket unless `port` is given. */
export interface TestRequest {
  readonly method?: string;
  readonly port?: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

/** Running gateway. `await using` stops it and removes its home. */
export interface TestGateway extends AsyncDisposable {
  readonly listeners: GatewayListeners;
  readonly path: string;
  readonly logger: RecordingLogger;
  /** Requests that reached the forwarder. */
  readonly calls: readonly ForwardRequest[];
  readonly refusals: readonly { readonly operation: string; readonly caller: Caller }[];
  /** Sends one request and reads the whole answer. */
  ask(url: string, request?: TestRequest): Promise<HttpReply>;
  /** Opens a raw connection to the socket, or to a port of loopback. */
  connect(port?: number): Socket;
}

/** Options of a test gateway. */
/** Forwarder of a test. */
export type Forward = Forwarder['forward'];

export interface TestGatewayOptions extends Partial<ListenersDeps>, Partial<GatewayOperations> {
  readonly forward?: Forward;
  readonly limits?: Partial<UserLimitValues>;
}

/** Outcome of a call that was answered. */
export const ANSWERED: ForwardOutcome = { kind: 'answered', status: 200, provider: 'local', keyId: null };

/** Answers every call with "pong". */
export const answerPong: Forward = async (_request, sink) => {
  sink.head(200, { 'content-type': 'application/json' });
  await sink.end(Buffer.from('"pong"'));
  return ANSWERED;
};

/** Starts a gateway. */
export async function startTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const home = makeTempHome();
  await home.makeRuntime();
  const path = join(home.paths.runtime, 'gateway.sock');
  const logger = recordingLogger();
  const calls: ForwardRequest[] = [];
  const refusals: { operation: string; caller: Caller }[] = [];
  const {
    limits,
    forward = answerPong,
    dispatch = (operation, params) => ({ kind: 'done', result: { operation, params } }),
    manage = ({ path: at }) =>
      Promise.resolve({ status: 200, headers: { 'content-type': 'application/json' }, body: at }),
    metrics = () => Promise.resolve({ status: 200, headers: { 'content-type': 'text/plain' }, body: 'up 1\n' }),
    ...deps
  } = options;
  const grants = { ownUid: OWN_UID, grants: [], organizations: new Map() };
  const listeners = new GatewayListeners({
    path,
    clock: systemClock,
    state: { section: () => undefined, bind: () => {}, changed: () => {} },
    servesOthers: () => false,
    port: undefined,
    gate: new Gate({
      grants: () => grants,
      limits: new UserLimits({ ...WIDE_LIMITS, ...limits }, systemClock),
      onRejected: () => {},
    }),
    targets: { dialectsOf: (name) => PROVIDERS.find(name)?.dialects, defaultProvider: 'local' },
    fallbacks: () => [],
    maxBodyBytes: () => 1024 * 1024,
    recordRefusal: (operation, caller) => void refusals.push({ operation, caller }),
    whenRecorded: () => Promise.resolve(),
    logger,
    ...deps,
    forwarder: {
      forward: (request, sink, signal) => {
        calls.push(request);
        return forward(request, sink, signal);
      },
    },
  });
  await listeners.start({ dispatch, manage, metrics });
  return {
    listeners,
    path,
    logger,
    calls,
    refusals,
    ask: (url, request = {}) => ask(path, url, request),
    connect: (port) =>
      port === undefined ? createConnection({ path }) : createConnection({ port, host: '127.0.0.1' }),
    async [Symbol.asyncDispose]() {
      await listeners.stop(0);
      await home.remove();
    },
  };
}

function ask(path: string, url: string, { method = 'GET', port, headers = {}, body }: TestRequest): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const address = port === undefined ? { socketPath: path } : { host: '127.0.0.1', port };
    const request = sendRequest({ ...address, path: url, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => {});
      response.on('close', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
          isComplete: response.complete,
        }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Collects what a raw connection receives until it is closed. */
export function readAll(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()));
  });
}
