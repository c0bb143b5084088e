/**
 * The HTTP gateway: programs that were not written for aipassd send requests in their provider's
 * dialect, and get the provider's answer. Served on `gateway.sock` always, and on loopback while
 * something needs it.
 *
 * Order of the checks: rules of HTTP, who asks, the right, the limits of the user, and only then
 * the body.
 */

import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { socketDescriptor } from '../base/native.ts';
import { plainText } from '../base/plain-text.ts';
import { maskKeyShapes } from '../base/redactor.ts';
import type { Caller } from '../callers/caller.ts';
import type { Admission, Gate } from '../callers/gate.ts';
import { type OrganizationRights, type Right, scopeOf, type TokenGrant } from '../callers/access.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import { overUserLimit } from '../callers/user-limits.ts';
import { askTcpPeerUid, readTcpTable, tcpPeerUid, type TcpEnd } from '../callers/tcp-peer.ts';
import type { Forwarder } from '../completions/forwarder.ts';
import { NOT_AGAIN, type ForwardSink } from '../completions/forwarding.ts';
import { callOperation, type Dispatch } from '../operations/dispatcher.ts';
import { eventCaller } from '../operations/usage-records.ts';
import type { RecordRefusal } from '../operations/audit-entries.ts';
import type { OperationName, Operations } from '../protocol/operations.ts';
import type { AccessTokens, FoundToken } from './access-tokens.ts';
import { callerName, sessionOf } from './caller-label.ts';
import { formatError, refusal, Refusal, type ErrorShape, type GatewayAnswer } from './dialect-errors.ts';
import { HttpEndpoint, type EndpointTimeouts, type HttpExchange } from './http-endpoint.ts';
import { hasBody, readBody } from './request-body.ts';
import { assertRules, presentedTokens } from './request-rules.ts';
import { dialectOf, parseTarget, type ForwardTarget, type Target, type TargetOptions } from './target.ts';

/** Runs an operation in the name of the caller. Throws its AipassError. */
export type CallOperation = <Name extends OperationName>(
  name: Name,
  params: Operations[Name]['params'],
) => Promise<Operations[Name]['result']>;

/** Request to the management API. */
export interface ManagementRequest {
  readonly method: string;
  /** Path below `/api/v1`, and the query with its `?`. */
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
  readonly call: CallOperation;
  /** OAuth accounts whose tokens may be had, or null for those that the rights allow. */
  readonly oauthAccounts: ReadonlySet<string> | null;
}

export interface GatewayDeps {
  readonly gate: Gate;
  readonly tokens: AccessTokens;
  readonly targets: TargetOptions;
  readonly maxBodyBytes: () => number;
  readonly forwarder: Pick<Forwarder, 'forward'>;
  /** Fallbacks of a completion whose provider or keys fail. */
  readonly fallbacks: () => readonly { readonly provider?: string | undefined; readonly model?: string | undefined }[];
  readonly dispatch: Dispatch;
  readonly manage: (request: ManagementRequest) => Promise<GatewayAnswer>;
  /**
   * Returns the metrics of these organizations as text of Prometheus' exposition format; those of
   * the daemon itself belong to the default one.
   */
  readonly metrics: (call: CallOperation, organizations: readonly string[]) => Promise<GatewayAnswer>;
  readonly recordRefusal: RecordRefusal;
  /** Resolves once what was recorded is on disk; awaited before an answer is complete. */
  readonly whenRecorded: () => Promise<void>;
  readonly logger: Logger;
  readonly timeouts?: Partial<EndpointTimeouts>;
  /** Returns the user behind a loopback connection, or null where the kernel does not prove one. */
  readonly peerUid?: (socket: Socket) => number | null;
}

/** Who sends a request, and what it may do: at most what both its user and its token may. */
class Asker {
  readonly admission: Admission;
  /** Caller with the rights that it had when the request arrived. */
  readonly caller: Caller;
  readonly #grant: TokenGrant | null;

  constructor(
    admission: Admission,
    grant: TokenGrant | null,
    { name, client, session }: Pick<Caller, 'name' | 'client' | 'session'>,
  ) {
    this.admission = admission;
    this.#grant = grant;
    const { rights, organizations } = this.currentRights();
    this.caller = { name, client, rights, organizations, peer: admission.identify(), session };
  }

  /** Providers that may be called, or null for all. */
  get providers(): ReadonlySet<string> | null {
    return this.#grant?.providers ?? null;
  }

  get oauthAccounts(): ReadonlySet<string> | null {
    return this.#grant?.oauthAccounts ?? null;
  }

  /** Returns whether it has a right in an organization by the configuration in use now. */
  has(right: Right, organization: string): boolean {
    const grant = this.#grant;
    if (grant !== null && !grant.rights.has(right)) return false;
    return this.admission.organizations.get(organization)?.has(right) === true;
  }

  /** Returns what to do about a right that is missing: a token may have fewer than its user. */
  hintFor(right: Right): string {
    const isTokens = this.#grant !== null && (right === 'see' || right === 'admin') && this.admission.rights.has(right);
    return isTokens
      ? `make a token with it: aipassd gateway-token <name> --${right}`
      : 'ask the owner of this daemon for it';
  }

  /** Returns the rights by the configuration in use now. */
  currentRights(): Pick<Caller, 'rights' | 'organizations'> {
    const { rights, organizations } = this.admission;
    const grant = this.#grant;
    if (grant === null) return { rights, organizations };
    const known = narrowedRights.get(organizations);
    if (known?.grant === grant) return known;
    const within = (own: ReadonlySet<Right>): ReadonlySet<Right> =>
      new Set([...grant.rights].filter((right) => own.has(right)));
    const narrowed = {
      grant,
      rights: within(rights),
      organizations: new Map([...organizations].map(([slug, own]) => [slug, within(own)])),
    };
    narrowedRights.set(organizations, narrowed);
    return narrowed;
  }
}

/**
 * Rights of a connection within the token that it presented last, by the rights of its user. Those
 * are another object after each change of the policy.
 */
const narrowedRights = new WeakMap<
  OrganizationRights,
  Pick<Caller, 'rights' | 'organizations'> & { readonly grant: TokenGrant }
>();

/** Operation under which calls are checked and recorded. */
const FORWARD_OPERATION = 'provider.forward';

/** Header that names an organization. */
const ORGANIZATION_HEADER = 'x-organization';

/** Longest time that a client may take for bytes that wait for it, in milliseconds. */
const STALLED_READER_MS = 600_000;

/** Time that the written part of a broken answer gets to leave. */
const BREAK_MS = 1000;

/** Bounds of reading the rest of a refused request: in all, without a byte, and its bytes. */
const LINGER = { totalMs: 10_000, silenceMs: 500, bytes: 256 * 1024 * 1024 } as const;

/**
 * Connections on loopback that have not presented a token yet, at most: the oldest one gives way to
 * a new one.
 */
const MAX_UNKNOWN_CONNECTIONS = 256;

/** HTTP gateway on one address: create one per listener. */
export class Gateway {
  readonly endpoint: HttpEndpoint;
  readonly #deps: GatewayDeps;
  readonly #isLoopback: boolean;
  readonly #admissions = new Map<Socket, Admission>();
  readonly #sessions = new WeakMap<Admission, string>();
  /** Valid token that a connection presented last. */
  readonly #presented = new WeakMap<Socket, FoundToken>();
  /** Loopback connections without a valid token so far, oldest first. */
  readonly #unknown = new Set<Socket>();
  /** Users behind loopback connections, as far as the kernel was asked. */
  readonly #peerUids = new WeakMap<Socket, number>();

  constructor(kind: 'socket' | 'loopback', deps: GatewayDeps) {
    this.#deps = deps;
    this.#isLoopback = kind === 'loopback';
    this.endpoint = new HttpEndpoint({
      onConnection: (socket) => this.#open(socket),
      onClose: (socket) => this.#close(socket),
      handle: (exchange) => this.#handle(exchange),
      logger: deps.logger,
      ...(deps.timeouts === undefined ? {} : { timeouts: deps.timeouts }),
    });
  }

  #open(socket: Socket): void {
    if (!this.#isLoopback) {
      this.#admissions.set(socket, this.#deps.gate.admit(socketDescriptor(socket)));
      return;
    }
    this.#unknown.add(socket);
    const [oldest] = this.#unknown;
    if (this.#unknown.size > MAX_UNKNOWN_CONNECTIONS && oldest !== undefined) {
      this.#unknown.delete(oldest);
      oldest.destroy();
    }
  }

  #close(socket: Socket): void {
    this.#unknown.delete(socket);
    this.#admissions.get(socket)?.leave();
    this.#admissions.delete(socket);
  }

  /** Answers one request. Never rejects. */
  async #handle(exchange: HttpExchange): Promise<void> {
    try {
      await this.#answer(exchange);
    } catch (error) {
      const { request, response } = exchange;
      const url = request.url ?? '';
      await this.#fail(response, error, url.startsWith('/api/') ? 'aipassd' : dialectOf(url, request.headers));
    }
  }

  #answer(exchange: HttpExchange): Promise<void> | void {
    const { request, response } = exchange;
    assertRules(request, this.#isLoopback ? this.endpoint.port : null);
    const target = parseTarget(request.url ?? '', request.headers, this.#deps.targets);
    // Claude Code asks this before anything else, without its token; the answer holds nothing.
    if (target.kind === 'root' && request.method === 'HEAD') {
      response.writeHead(200).end();
      return;
    }
    const asker = this.#identify(exchange);
    if (isReadOnly(target) && request.method !== 'GET' && request.method !== 'HEAD') {
      const hint = 'begin the path with a provider: /openai/v1/…, or use GET';
      throw refusal(405, 'BAD_REQUEST', `the method ${request.method} is not for this path`, hint, {
        allow: 'GET, HEAD',
      });
    }
    switch (target.kind) {
      case 'malformed':
        throw new AipassError('BAD_REQUEST', target.problem, { hint: 'send the path of an endpoint' });
      case 'unknown':
        throw new AipassError('NOT_FOUND', `no provider is called "${plainText(target.name, 64)}"`, {
          hint: 'begin the path with a provider: /openai/v1/…; aipassd list-providers lists them',
        });
      case 'root':
        sendText(response, 200, 'text/plain; charset=utf-8', 'aipassd gateway\n');
        return;
      case 'health':
      case 'readiness':
        // It listens once secrets are loaded, and not any more when it stops.
        sendText(response, 200, 'text/plain; charset=utf-8', 'ok\n');
        return;
      case 'metrics':
        return this.#counted(exchange, asker, async () => send(response, await this.#metrics(exchange, asker)));
      case 'management':
        return this.#counted(exchange, asker, (body) =>
          this.#manage(exchange, asker, { path: target.path, query: target.query, body }),
        );
      case 'forward': {
        const organization = organizationOf(asker.caller, request.headers);
        this.#assertMayCall(asker, target.provider, organization);
        return this.#counted(exchange, asker, (body) => this.#forward(exchange, asker, target, organization, body));
      }
    }
  }

  /** Returns who sends a request. */
  #identify({ request, socket }: HttpExchange): Asker {
    const known = this.#admissions.get(socket);
    if (!this.#isLoopback) {
      if (known === undefined) throw new AipassError('CANCELLED', 'the client went away');
      return this.#asker(request.headers, known, null);
    }
    const grant = this.#findGrant(request, socket);
    const admission = known ?? this.#admitPeer(socket);
    const uid = admission.identify()?.uid;
    if (uid !== grant.uid && uid !== 0) {
      throw new AipassError('FORBIDDEN', 'this token belongs to another user', { hint: 'use a token of your own' });
    }
    return this.#asker(request.headers, admission, grant);
  }

  #asker(headers: IncomingHttpHeaders, admission: Admission, grant: TokenGrant | null): Asker {
    const { name, client } = callerName(headers, grant?.name);
    const session = sessionOf(headers) ?? grant?.session ?? this.#sessionOf(admission);
    return new Asker(admission, grant, { name, client, session });
  }

  /**
   * Returns the session of a connection whose requests name none: a name of its own for each
   * request would have no use.
   */
  #sessionOf(admission: Admission): string {
    let session = this.#sessions.get(admission);
    if (session === undefined) {
      session = `connection-${randomUUID()}`;
      this.#sessions.set(admission, session);
    }
    return session;
  }

  #findGrant(request: HttpExchange['request'], socket: Socket): TokenGrant {
    const [token, other] = presentedTokens(request);
    const hint =
      'run the program with: aipassd exec -- program, in which OPENAI_API_KEY and its like hold a token to send; or make one: aipassd gateway-token NAME, which ends an earlier one of that name; or use the Unix socket, which needs none';
    const challenge = { 'www-authenticate': 'Bearer realm="aipassd"' };
    if (token === undefined) throw refusal(401, 'FORBIDDEN', 'this listener needs a token', hint, challenge);
    if (other !== undefined) throw refusal(400, 'BAD_REQUEST', 'the request presents two different tokens', 'send one');
    const found = this.#deps.tokens.findAgain(token, this.#presented.get(socket));
    if (found === undefined) {
      this.#presented.delete(socket);
      throw refusal(401, 'FORBIDDEN', 'this token is unknown or has ended', hint, challenge);
    }
    this.#presented.set(socket, found);
    return found.grant;
  }

  /**
   * Admits a loopback connection by its user. The kernel is asked only for those that presented a
   * valid token.
   */
  #admitPeer(socket: Socket): Admission {
    const uid = this.#deps.peerUid ? this.#deps.peerUid(socket) : this.#findPeer(socket);
    if (uid === null) {
      throw new AipassError('FORBIDDEN', 'the system does not report whose connection this is', {
        hint: 'keep the connection open until the answer arrived, or use the Unix socket',
      });
    }
    // Its close was handled already: nobody would remove it from the counts.
    if (socket.destroyed) throw new AipassError('CANCELLED', 'the client went away');
    const admission = this.#deps.gate.admitUser(uid);
    this.#unknown.delete(socket);
    this.#admissions.set(socket, admission);
    return admission;
  }

  /**
   * Returns the user behind a loopback connection, or null where the kernel does not prove one.
   * Where sock_diag is refused, the table of all connections is read, which takes milliseconds. One
   * reading identifies every connection that waits. A uid stays true as long as our end is open.
   */
  #findPeer(socket: Socket): number | null {
    const ends = endsOf(socket);
    if (ends === null) return null;
    const known = this.#peerUids.get(socket) ?? askTcpPeerUid(...ends);
    if (known !== undefined) return known;
    const table = readTcpTable();
    for (const waiting of this.#unknown) {
      if (this.#peerUids.has(waiting)) continue;
      const others = endsOf(waiting);
      const uid = others && tcpPeerUid(table, ...others);
      if (uid !== null) this.#peerUids.set(waiting, uid);
    }
    return this.#peerUids.get(socket) ?? null;
  }

  #assertMayCall(asker: Asker, provider: string, organization: string): void {
    this.#demand(asker, 'use', FORWARD_OPERATION, provider, organization);
    if (asker.providers !== null && !asker.providers.has(provider)) {
      throw new AipassError('FORBIDDEN', `this token is not for ${provider}`, {
        hint: `name it: aipassd exec --provider ${provider} -- program`,
      });
    }
  }

  /** Returns the metrics of each of the caller's organizations in which it may see. */
  async #metrics(exchange: HttpExchange, asker: Asker): Promise<GatewayAnswer> {
    const organizations = visibleTo(asker.currentRights());
    this.#demand(asker, 'see', 'gateway.metrics', null, organizations[0]);
    return await this.#deps.metrics(this.#caller(exchange, asker), organizations);
  }

  #demand(
    asker: Asker,
    right: Right,
    operation: string,
    credential: string | null,
    organization = DEFAULT_ORGANIZATION,
  ): void {
    if (asker.has(right, organization)) return;
    this.#deps.recordRefusal(operation, asker.caller, credential);
    throw new AipassError('FORBIDDEN', `${operation} needs the right "${right}"`, {
      hint: asker.hintFor(right),
    });
  }

  /** Runs a request within the limits of its user, with its body read. */
  async #counted(
    { request, response, expectsContinue }: HttpExchange,
    { admission }: Asker,
    run: (body: Buffer | null) => Promise<void>,
  ): Promise<void> {
    const announced = Math.min(Number(request.headers['content-length'] ?? 0) || 0, this.#deps.maxBodyBytes());
    const begun = admission.beginRequest(announced);
    if (begun.kind === 'refused') throw overUserLimit(begun);
    let waiting = 0;
    try {
      let body: Buffer | null = null;
      if (hasBody(request)) {
        const outcome = await readBody(request, {
          maxBytes: this.#deps.maxBodyBytes(),
          wait: (bytes) => admission.wait(bytes),
          onWanted: () => {
            if (expectsContinue) response.writeContinue();
          },
        });
        if (outcome.kind === 'lost') return;
        if (outcome.kind === 'refused') throw new Refusal(outcome.error, outcome.status);
        body = outcome.body;
        waiting = body.length;
      }
      await run(body);
    } finally {
      if (waiting > 0) admission.wait(-waiting);
      admission.endRequest(announced);
    }
  }

  async #forward(
    { request, response, signal }: HttpExchange,
    asker: Asker,
    { provider, dialect, path, query }: ForwardTarget,
    organization: string,
    body: Buffer | null,
  ): Promise<void> {
    const { method = 'GET', headers } = request;
    let isFirst = true;
    const sink: ForwardSink = {
      head: (status, answered) => {
        // Rights change with the configuration while a provider thinks.
        this.#assertMayCall(asker, provider, organization);
        response.writeHead(status, answered);
      },
      write: (bytes) => {
        // Nor does the rest of an answer leave after its right was taken away.
        this.#assertMayCall(asker, provider, organization);
        const hasRoom = response.write(bytes);
        // node:http holds bytes back until everything that came with them was read, too.
        if (isFirst) response.socket?.uncork();
        isFirst = false;
        return hasRoom ? undefined : whenWritable(response, signal);
      },
      end: async (last) => {
        await this.#deps.whenRecorded();
        this.#assertMayCall(asker, provider, organization);
        if (last.length <= response.writableHighWaterMark) {
          // As text, head and body leave in one piece.
          response.end(last.toString('latin1'), 'latin1');
          return;
        }
        if (!response.write(last)) await whenWritable(response, signal);
        response.end();
      },
      abort: () => breakOff(response),
    };
    const { providers } = asker;
    const fallbacks = this.#deps
      .fallbacks()
      .filter((one) => providers === null || providers.has(one.provider ?? provider));
    const caller = eventCaller(asker.caller);
    const outcome = await this.#deps.forwarder.forward(
      { provider, dialect, method, path, query, headers, body, organization, fallbacks, caller },
      sink,
      signal,
    );
    if (outcome.kind === 'failed') {
      throw new Refusal(outcome.error, outcome.status, outcome.isRepeated ? NOT_AGAIN : {});
    }
  }

  /** Returns what runs operations in the name of who asks. */
  #caller({ signal }: HttpExchange, asker: Asker): CallOperation {
    const ended = new AbortController();
    const context = {
      caller: asker.caller,
      currentRights: () => asker.currentRights(),
      abort: (reason: AipassError): void => ended.abort(reason),
      signal: AbortSignal.any([signal, ended.signal]),
      closed: signal,
      emit: () => {},
      notify: () => {},
    };
    return (name, params) => callOperation(this.#deps.dispatch, name, params, context);
  }

  async #manage(
    exchange: HttpExchange,
    asker: Asker,
    { path, query, body }: Pick<ManagementRequest, 'path' | 'query' | 'body'>,
  ): Promise<void> {
    const { request, response } = exchange;
    const headers = Object.fromEntries(
      Object.entries(request.headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
    );
    const call = this.#caller(exchange, asker);
    const answer = await this.#deps.manage({
      method: request.method ?? 'GET',
      path,
      query,
      headers,
      body,
      call,
      oauthAccounts: asker.oauthAccounts,
    });
    await this.#deps.whenRecorded();
    send(response, answer);
  }

  #refusalOf(thrown: unknown): Refusal {
    if (thrown instanceof Refusal) return thrown;
    if (thrown instanceof AipassError) return new Refusal(thrown);
    this.#deps.logger.error('a request to the gateway failed', { error: thrown });
    return new Refusal(DEFECT);
  }

  /**
   * Answers with an error, or breaks an answer that has begun: a client must not take it for
   * complete.
   */
  async #fail(response: ServerResponse, thrown: unknown, shape: ErrorShape): Promise<void> {
    try {
      await this.#deps.whenRecorded();
    } catch (failure) {
      this.#deps.logger.error('an answer of the gateway leaves before it is recorded', { error: failure });
    }
    const refused = this.#refusalOf(thrown);
    if (response.destroyed) return;
    if (response.headersSent) {
      breakOff(response);
      return;
    }
    const { code, message, hint, retryAfterMs } = refused.error;
    const error = new AipassError(code, maskKeyShapes(message), {
      hint: hint === undefined ? undefined : maskKeyShapes(hint),
      retryAfterMs,
    });
    const { status, headers, body } = formatError(error, shape, refused.status);
    // What is left of the request is not read: the connection cannot serve another one.
    const isUnread = !response.req.complete;
    if (isUnread) response.shouldKeepAlive = false;
    response.writeHead(status, { ...headers, ...refused.headers });
    const { method } = response.req;
    // Also where `Expect` lets the client wait: it need not.
    if (isUnread && method !== 'HEAD') endBehindRequest(response, body);
    else response.end(method === 'HEAD' ? undefined : body);
  }
}

/**
 * Returns the organization whose keys a request is for: the one that it names, else the caller's
 * only one, else the default one. An absent one and a foreign one are the same 404.
 */
function organizationOf({ organizations }: Caller, headers: IncomingHttpHeaders): string {
  const named = headers[ORGANIZATION_HEADER];
  return scopeOf(organizations, typeof named === 'string' ? named : undefined).slug;
}

/** A POST that was meant for a provider must not get a text with 200. */
function isReadOnly({ kind }: Target): boolean {
  return kind === 'root' || kind === 'health' || kind === 'readiness' || kind === 'metrics';
}

function visibleTo({ organizations }: Pick<Caller, 'organizations'>): string[] {
  return [...organizations].filter(([, rights]) => rights.has('see')).map(([slug]) => slug);
}

const DEFECT = new AipassError('INTERNAL', 'the request failed', { hint: 'see the log of the daemon' });

/** Returns the client's end and ours, or null for a connection that is closed. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): [TcpEnd, TcpEnd] | null {
  if (remoteAddress === undefined || remotePort === undefined) return null;
  if (localAddress === undefined || localPort === undefined) return null;
  return [
    { address: remoteAddress, port: remotePort },
    { address: localAddress, port: localPort },
  ];
}

/**
 * Resolves when a client has taken the bytes that wait for it. Rejects when it goes away, or takes
 * none for too long.
 */
function whenWritable(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      signal.removeEventListener('abort', onAbort);
    };
    const onDrain = (): void => {
      settle();
      resolve();
    };
    const onAbort = (): void => {
      settle();
      reject(signal.reason instanceof Error ? signal.reason : new AipassError('CANCELLED', 'the client went away'));
    };
    const timer = setTimeout(() => {
      settle();
      response.destroy();
      reject(new AipassError('TIMED_OUT', 'the client does not read its answer'));
    }, STALLED_READER_MS);
    timer.unref();
    response.once('drain', onDrain);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

/**
 * Sends a whole answer, and discards for a while what is left of the request. A connection that is
 * closed before would be reset, which takes the answer from a client that is still sending.
 */
function endBehindRequest(response: ServerResponse, body: string): void {
  const { req: request } = response;
  response.write(body);
  let bytes = 0;
  const take = (chunk: Buffer): void => {
    bytes += chunk.length;
    silence.refresh();
    if (bytes > LINGER.bytes) end();
  };
  const end = (): void => {
    clearTimeout(silence);
    clearTimeout(total);
    request.off('data', take);
    response.end();
  };
  const silence = setTimeout(end, LINGER.silenceMs);
  const total = setTimeout(end, LINGER.totalMs);
  request.on('data', take);
  request.once('end', end);
  request.once('close', end);
}

/** Ends a connection in the middle of an answer, after what was written of it. */
function breakOff(response: ServerResponse): void {
  const { socket } = response;
  if (socket === null) {
    // The answer before it on its connection has not ended yet.
    response.once('socket', () => breakOff(response));
    return;
  }
  // To HTTP/1.0 the end of the connection is the end of the answer, unless it is reset.
  const isEndOfAnswer = response.req.httpVersionMinor === 0 && socket.remotePort !== undefined;
  setImmediate(() => (isEndOfAnswer ? socket.resetAndDestroy() : socket.destroySoon()));
  const timer = setTimeout(() => socket.destroy(), BREAK_MS);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}

function sendText(response: ServerResponse, status: number, type: string, body: string): void {
  send(response, { status, headers: { 'content-type': type, 'cache-control': 'no-store' }, body });
}

function send(response: ServerResponse, { status, headers, body }: GatewayAnswer): void {
  response.writeHead(status, {
    ...headers,
    'x-content-type-options': 'nosniff',
    // RFC 9110, 8.6: a 204 has no length.
    ...(status === 204 ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
