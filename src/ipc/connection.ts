/**
 * The protocol of one connection: hello and welcome, requests in flight, cancels, replies. Sockets
 * are peer.ts's concern, the work of an operation is that of operations/.
 *
 * Every request gets exactly one reply or error. When the connection closes, its requests in flight
 * are aborted.
 */

import { randomUUID } from 'node:crypto';
import { AipassError } from '../base/errors.ts';
import { FairTurns } from '../base/fair-turns.ts';
import { isRecord } from '../base/json.ts';
import { plainText } from '../base/plain-text.ts';
import type { Caller } from '../callers/caller.ts';
import type { Admission } from '../callers/gate.ts';
import { overUserLimit } from '../callers/user-limits.ts';
import type { Dispatch } from '../operations/dispatcher.ts';
import type { RequestContext } from '../operations/operation.ts';
import {
  type DaemonMessage,
  MAX_CALLER_LENGTH,
  MAX_SESSION_LENGTH,
  PROTOCOL_VERSION,
  type RequestId,
  type Welcome,
} from '../protocol/messages.ts';

/** The sending side of a socket, as a connection uses it. */
export interface Wire {
  /** Throws for a value that JSON cannot print, and BAD_REQUEST over the clients' limit. */
  send(message: DaemonMessage): void;
  ready(): Promise<void>;
  end(): void;
}

export interface ConnectionDeps {
  readonly wire: Wire;
  readonly dispatch: Dispatch;
  readonly welcome: Welcome;
  readonly admission: Admission;
  /** Returns the maximum number of requests in flight on this connection, as it is now. */
  readonly maxInFlight: () => number;
}

/** Maximum length of a request id, in characters. */
const MAX_ID_LENGTH = 256;

/** Operations that keep a silent connection in use: it gets events, or is the lease of a run. */
const HOLDING: ReadonlySet<string> = new Set(['event.subscribe', 'gateway.open', 'gateway.reopen']);

interface RequestDeps {
  readonly connection: ConnectionDeps;
  /** Aborts when the connection closes. */
  readonly closed: AbortSignal;
  /** Returns whether the request still has no answer. */
  readonly isPending: (request: PendingRequest) => boolean;
}

/** A request without an answer. What few handlers need is made when it is asked for. */
class PendingRequest implements RequestContext {
  readonly id: RequestId;
  /** Length of its frame, in UTF-16 units, which counts against its user's limit. */
  readonly length: number;
  readonly caller: Caller;
  readonly #deps: RequestDeps;
  #aborting: AbortController | undefined;

  constructor(id: RequestId, length: number, caller: Caller, deps: RequestDeps) {
    this.id = id;
    this.length = length;
    this.caller = caller;
    this.#deps = deps;
  }

  get signal(): AbortSignal {
    return (this.#aborting ??= new AbortController()).signal;
  }

  get closed(): AbortSignal {
    return this.#deps.closed;
  }

  currentRights(): Pick<Caller, 'rights' | 'organizations'> {
    return this.#deps.connection.admission;
  }

  abort(reason: AipassError): void {
    (this.#aborting ??= new AbortController()).abort(reason);
  }

  emit(chunk: unknown): Promise<void> | void {
    const { connection, isPending } = this.#deps;
    // An aborted handler may still have chunks, for a caller that cancelled or lost its right.
    if (!isPending(this) || this.#aborting?.signal.aborted === true) return;
    connection.wire.send({ type: 'chunk', data: { id: this.id, data: chunk } });
    return connection.wire.ready();
  }

  notify(event: string, payload: unknown): void {
    this.#deps.connection.wire.send({ type: 'event', data: { event, data: payload } });
  }
}

/** Reason of every end of a connection. Made once: its stack is as slow as the rest of an end. */
const GONE = new AipassError('CANCELLED', 'the client closed the connection');

/** Requests that are aborted in one pass of the event loop, with what each of them ends. */
const ABORTS_PER_PASS = 64;

/** Requests whose connections are closed: those of a thousand connections may end at once. */
const ABORTS = new FairTurns<PendingRequest[]>((requests) => {
  requests.pop()?.abort(GONE);
  return requests.length > 0;
}, ABORTS_PER_PASS);

export class Connection {
  readonly #deps: ConnectionDeps;
  /** Requests whose operation has not answered at once. */
  readonly #inFlight = new Map<RequestId, PendingRequest>();
  /**
   * Request whose operation runs now. Most answer at once, and are in no map: V8 would make a new
   * table of it every few of them, among its old objects.
   */
  #current: PendingRequest | undefined;
  readonly #closed = new AbortController();
  readonly #requestDeps: RequestDeps;
  #caller: Caller | undefined;
  #greeted = false;
  #holds = false;
  #hasSpoken = false;
  #idle: (() => void) | undefined;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.#requestDeps = {
      connection: deps,
      closed: this.#closed.signal,
      isPending: (request) => this.#isPending(request),
    };
  }

  get inFlight(): number {
    return this.#inFlight.size + (this.#current === undefined ? 0 : 1);
  }

  /** Whether the peer sent a message yet. */
  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  /** Whether the peer waits for nothing: no answer, no event, no access of a run. */
  get isIdle(): boolean {
    return this.inFlight === 0 && !this.#holds;
  }

  /** Handles one message of a frame of that length. Never throws: a wrong one gets an error. */
  receive(type: string, data: unknown, length = 0): void {
    if (this.#closed.signal.aborted) return;
    this.#hasSpoken = true;
    if (type === 'request') this.#request(data, length);
    else if (type === 'cancel') this.#cancel(data);
    else if (type === 'hello') this.#hello(data);
    else
      this.#refuse(
        new AipassError('BAD_REQUEST', `unknown message type "${plainText(type, 40)}"`, {
          hint: 'send hello, request or cancel',
        }),
      );
  }

  /** Sends an error and closes the connection. */
  fail(error: AipassError): void {
    this.#refuse(error);
    this.#deps.wire.end();
    this.close();
  }

  /** Aborts all requests in flight. The peer is gone, so nothing is answered. */
  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(GONE);
    const requests = this.#pending();
    for (const request of requests) this.#forget(request);
    this.#idle?.();
    if (requests.length > 0) ABORTS.run(requests);
  }

  /** Resolves when no request is in flight, so that closing loses no answer. */
  async idle(): Promise<void> {
    if (this.inFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  /** Aborts all requests in flight with an error that the caller receives. */
  abortAll(reason: AipassError): void {
    for (const request of this.#pending()) request.abort(reason);
  }

  #pending(): PendingRequest[] {
    const requests = [...this.#inFlight.values()];
    if (this.#current) requests.push(this.#current);
    return requests;
  }

  #isPending(request: PendingRequest): boolean {
    return this.#current === request || this.#inFlight.get(request.id) === request;
  }

  #hello(data: unknown): void {
    const hello = isRecord(data) ? data : {};
    const protocol = hello['protocol'];
    if (protocol !== PROTOCOL_VERSION) {
      const theirs = typeof protocol === 'number' ? `speaks protocol ${protocol}` : 'sent no protocol number';
      this.fail(
        new AipassError(
          'VERSION_MISMATCH',
          `the client ${theirs}, this daemon (${this.#deps.welcome.version}) speaks protocol ${PROTOCOL_VERSION}`,
          {
            hint: 'update the client or restart the daemon, so that both are of the same version',
          },
        ),
      );
      return;
    }
    if (this.#greeted) {
      this.#refuse(
        new AipassError('BAD_REQUEST', 'hello was already sent', { hint: 'send hello once, as the first message' }),
      );
      return;
    }
    this.#greeted = true;
    const caller = this.#identifyCaller();
    this.#caller = {
      ...caller,
      name: label(hello['caller']),
      client: label(hello['client']),
      session: label(hello['session'], MAX_SESSION_LENGTH) ?? caller.session,
    };
    this.#deps.wire.send({ type: 'welcome', data: this.#deps.welcome });
  }

  #request(data: unknown, length: number): void {
    if (!isRecord(data) || !isRequestId(data['id']) || typeof data['op'] !== 'string') {
      this.#refuse(
        new AipassError(
          'BAD_REQUEST',
          'a request needs an id (string or number) and the name of an operation as "op"',
          {
            hint: 'send {"id": 1, "op": "status.get", "params": {}}',
          },
        ),
      );
      return;
    }
    const id = data['id'];
    if (this.#inFlight.has(id)) {
      // Without the id: with it, the client would take this for the answer to its first request.
      this.#refuse(
        new AipassError('BAD_REQUEST', 'this request id is already in flight', {
          hint: 'give each request an id of its own',
        }),
      );
      return;
    }
    if (this.#inFlight.size >= this.#deps.maxInFlight()) {
      this.#answerError(
        id,
        new AipassError(
          'BAD_REQUEST',
          `more than ${this.#deps.maxInFlight()} requests are in flight on this connection`,
          { hint: 'wait for replies before sending more, or raise limits.inFlight', retryAfterMs: 100 },
        ),
      );
      return;
    }
    const admission = this.#deps.admission.beginRequest(length);
    if (admission.kind === 'refused') {
      this.#answerError(id, overUserLimit(admission));
      return;
    }
    if (HOLDING.has(data['op'])) this.#holds = true;
    this.#run(id, data['op'], data['params'], length);
  }

  /** Returns the caller. The kernel is asked at the first message: many peers send none. */
  #identifyCaller(): Caller {
    const { admission } = this.#deps;
    const { rights, organizations } = admission;
    const known = this.#caller;
    // Rights change with the configuration while a connection is open.
    if (known) {
      const isCurrent = known.rights === rights && known.organizations === organizations;
      return isCurrent ? known : (this.#caller = { ...known, rights, organizations });
    }
    const session = `connection-${randomUUID()}`;
    return (this.#caller = { name: null, client: null, rights, organizations, peer: admission.identify(), session });
  }

  #run(id: RequestId, op: string, params: unknown, length: number): void {
    const request = new PendingRequest(id, length, this.#identifyCaller(), this.#requestDeps);
    this.#current = request;
    // Most operations answer at once and return no promise: that saves a turn of the event loop.
    const outcome = this.#deps.dispatch(op, params, request);
    if (!(outcome instanceof Promise)) {
      this.#settle(request, outcome);
      return;
    }
    // The operation may have ended the connection, and with it its own request.
    if (this.#current === request) this.#inFlight.set(id, request);
    this.#current = undefined;
    void outcome.then((settled) => this.#settle(request, settled));
  }

  #settle(request: PendingRequest, outcome: Awaited<ReturnType<Dispatch>>): void {
    // The request was cancelled and answered, or the connection is closed.
    const { id } = request;
    if (!this.#isPending(request)) return;
    this.#forget(request);
    if (outcome.kind === 'failed') this.#answerError(id, outcome.error);
    else this.#answer(id, outcome.result);
    if (this.inFlight === 0) this.#idle?.();
  }

  #forget(request: PendingRequest): void {
    if (this.#current === request) this.#current = undefined;
    else this.#inFlight.delete(request.id);
    this.#deps.admission.endRequest(request.length);
  }

  #cancel(data: unknown): void {
    const id = isRecord(data) ? data['id'] : undefined;
    const request = isRequestId(id) ? this.#inFlight.get(id) : undefined;
    // A cancel may cross its reply on the way, so an unknown id is not an error.
    request?.abort(new AipassError('CANCELLED', 'the client cancelled the request'));
  }

  #answer(id: RequestId, result: unknown): void {
    try {
      this.#deps.wire.send({ type: 'reply', data: { id, result } });
    } catch (error) {
      // The failure concerns this request only.
      const failure =
        error instanceof AipassError
          ? error
          : new AipassError('INTERNAL', 'the result cannot be printed as JSON', {
              hint: 'this is a bug: please report it',
            });
      this.#answerError(id, failure);
    }
  }

  #answerError(id: RequestId, error: AipassError): void {
    this.#deps.wire.send({ type: 'error', data: { id, error: error.toWire() } });
  }

  #refuse(error: AipassError): void {
    this.#deps.wire.send({ type: 'error', data: { error: error.toWire() } });
  }
}

function isRequestId(id: unknown): id is RequestId {
  return typeof id === 'string' ? id.length <= MAX_ID_LENGTH : typeof id === 'number' && Number.isFinite(id);
}

/** Returns a name that a peer gave itself, as plain text of bounded length, or null without one. */
function label(value: unknown, maxLength = MAX_CALLER_LENGTH): string | null {
  return typeof value === 'string' && value.trim() !== '' ? plainText(value, maxLength) : null;
}
