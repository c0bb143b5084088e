/**
 * The one way to a provider. Leases a key and sends the request's bytes. As long as nothing of an
 * answer was passed on, goes on with the next key, after a pause, or with another provider. Then
 * passes the answer, reads its usage on the side, settles the key and records what happened.
 *
 * Two callers: the HTTP gateway passes a client's request through (`forward`), and
 * `completion.create` sends chats that it builds and reads itself (`exchange`).
 *
 * The contract is forwarding.ts. Every lease is settled exactly once, and every attempt is recorded
 * before the end of its answer leaves.
 */

import type { LookupFunction } from 'node:net';
import { BoundedMap } from '../base/bounded-map.ts';
import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { delay } from '../base/timers.ts';
import type { Redactor } from '../base/redactor.ts';
import { backoffMs, type Backoff, type Random } from '../base/backoff.ts';
import { askedBy, type KeyLease, type LeaseOutcome } from '../pools/lease.ts';
import type { Pools } from '../pools/pools.ts';
import { isLimit, type FailureClass, type Refusal } from '../providers/classify-failure.ts';
import { isPassable } from '../providers/failure-table.ts';
import { microDollars } from '../usage/micro-dollars.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import { TOKEN_COLUMNS, type UsageStatus } from '../protocol/usage.ts';
import { withBaseUrl } from '../providers/credential-url.ts';
import { isPage, quotesWith, redactWith, type Redact } from '../providers/error-reason.ts';
import { assertSendable, readBytes } from '../providers/http.ts';
import { ExchangeFailure, openExchange, UNREADABLE_PACKING, type HttpAnswer } from '../providers/http-exchange.ts';
import { parseJson } from '../base/json.ts';
import { authValue, type Dialect, type Provider } from '../providers/provider.ts';
import { unknownProvider, type Providers } from '../providers/registry.ts';
import { describeFailedExchange } from '../providers/refusal.ts';
import { draftEvent, type EventCaller, type EventDraft, type RawEvent } from '../usage/event.ts';
import { isModelPath, kindOf, type RequestKind } from './dialects.ts';
import { effectsOf, ErrorInAnswer, ReceiverFailure, type FailureEffects } from './failure.ts';
import { answeredHeaders, passedHeaders, passedQuery, readRequest, withModel } from './forward-request.ts';
import {
  fallbackRoutes,
  NOT_AGAIN,
  type AnswerConsumer,
  type ForwardOutcome,
  type ForwardRequest,
  type ForwardSink,
  type PlannedRequest,
} from './forwarding.ts';
import { PassThrough } from './pass-through.ts';

/** Number and pace of sends to failing providers. */
export interface RetryPolicy {
  /** Most sends in all, over all routes; a route that comes later has one in any case. */
  readonly attempts: number;
  readonly backoff: Backoff;
  readonly random: Random;
}

type Keys = Pick<Pools, 'lease' | 'acquire'>;

export interface ForwarderDeps {
  readonly providers: Providers;
  /** Returns the keys of an organization. Throws NOT_FOUND for one that does not exist. */
  readonly keysOf: (organization: string) => Keys;
  readonly redactor: Redactor;
  readonly clock: Clock;
  /** The provider whose name comes from the configuration, for the message where it is unknown. */
  readonly defaultProvider: string;
  readonly retry: RetryPolicy;
  /** Resolves the names in base URLs of credentials, and refuses private addresses. */
  readonly guardedLookup?: LookupFunction | undefined;
  /** Keeps what happened; it is on disk before the caller has its answer. */
  readonly record: (event: RawEvent) => void;
}

export interface ForwardRoute {
  readonly provider: string;
  readonly model: string | undefined;
  /**
   * Further models that the provider may answer with (OpenRouter's `models`): the key has to be
   * allowed for each.
   */
  readonly models?: readonly string[] | undefined;
  /** Plans the request; may throw an AipassError. */
  readonly plan: (provider: Provider) => PlannedRequest;
}

export interface ExchangeJob {
  readonly caller: EventCaller;
  /** The operation under which it is recorded. */
  readonly operation: string;
  /** Organization whose keys are used; the default one without it. */
  readonly organization?: string | undefined;
  readonly routes: readonly [ForwardRoute, ...ForwardRoute[]];
  readonly maxWaitMs?: number | undefined;
}

/**
 * The end of an exchange: the consumer of the answer that succeeded and the key that paid, or the
 * error.
 */
export type ExchangeEnd =
  | {
      readonly kind: 'succeeded';
      readonly consumer: AnswerConsumer;
      readonly status: number;
      readonly route: ForwardRoute;
      readonly keyId: string | null;
    }
  | {
      readonly kind: 'failed';
      readonly error: AipassError;
      readonly begun: boolean;
      /** True where failing providers were asked again: the client need not do it once more. */
      readonly isRepeated: boolean;
      /** The last refusal, where it helps the client more than our own error. */
      readonly refusal?: PassableRefusal | undefined;
    };

/** A refusal as the provider worded it, secrets masked. */
interface PassableRefusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Whether it is a page for people, of which only the status is passed on. */
  readonly isPage: boolean;
  readonly provider: string;
  readonly keyId: string | null;
}

type RouteEnd =
  | Extract<ExchangeEnd, { kind: 'succeeded' }>
  | (Omit<Extract<ExchangeEnd, { kind: 'failed' }>, 'isRepeated'> & {
      /** No other route may be tried. */
      readonly isFinal: boolean;
    });

/** Parts of a request that another model changes. */
type Changeable = Pick<ForwardRequest, 'path' | 'body'>;

/**
 * Kinds of request that another provider or model may answer as well. Vectors of another model do
 * not count as an answer.
 */
const COMPLETING_KINDS: ReadonlySet<RequestKind> = new Set(['chat', 'responses', 'messages', 'generate']);

/** Longest answer that is passed through, in bytes. */
const MAX_PASSED_BYTES = 4 * 1024 * 1024 * 1024;

/** Longest error document that is read, in bytes. */
const MAX_REFUSAL_BYTES = 1024 * 1024;

/**
 * Ratio of the longest wait for content to that for a byte: keep-alives show that the provider is
 * at work.
 */
const CONTENT_WAITS = 3;

/** Most endpoints that are remembered for refusing `stream_options`. */
const MAX_REFUSING = 1000;

export class Forwarder {
  readonly #deps: ForwarderDeps;
  readonly #stopping = new AbortController();
  /** Endpoints that refused a request with `stream_options` in this run, and answered without. */
  readonly #refusingUsage = new BoundedMap<string, true>(MAX_REFUSING);

  constructor(deps: ForwarderDeps) {
    this.#deps = deps;
  }

  /** Passes a client's request through. Never rejects but for a defect. */
  async forward(request: ForwardRequest, sink: ForwardSink, signal: AbortSignal): Promise<ForwardOutcome> {
    const { clock } = this.#deps;
    const kind = kindOf(request.dialect, request.method, request.path);
    const { dialect, method } = request;
    const headers = passedHeaders(request.headers);
    const query = passedQuery(request.query);
    const routeTo = (name: string, { path, body }: Changeable = request): ForwardRoute => {
      const { model, models, isStreamed, askingBody } = readRequest({
        dialect,
        kind,
        path,
        body,
        contentType: request.headers['content-type'],
      });
      const plan = (provider: Provider): PlannedRequest => {
        const endpoint = provider.dialects[dialect];
        if (!endpoint) throw unspokenDialect(provider, dialect);
        const { baseUrl, authHeader } = endpoint;
        const asksForUsage = provider.streamUsageOption && askingBody !== undefined;
        const options = { dialect, kind, stripUsage: asksForUsage, isHeadOnly: method === 'HEAD' };
        return {
          request: {
            method,
            url: `${baseUrl}${path}${query}`,
            headers: { ...provider.headers, ...endpoint.headers, ...headers, 'accept-encoding': 'identity' },
            body: asksForUsage ? askingBody : (body ?? undefined),
          },
          authHeader,
          isStreamed,
          asksForUsage,
          maxBytes: MAX_PASSED_BYTES,
          isOwnPath: !isModelPath(dialect, request.path),
          createConsumer: () => new PassThrough(sink, options, clock),
        };
      };
      return { provider: name, model, models, plan };
    };
    const first = routeTo(request.provider);
    const operation = kind === 'other' ? 'provider.request' : `${kind}.create`;
    const end = await this.exchange(
      {
        caller: request.caller,
        operation,
        organization: request.organization,
        routes: [first, ...this.#fallbacksOf(request, kind, first, routeTo)],
      },
      signal,
    );
    if (end.kind === 'succeeded') {
      return { kind: 'answered', status: end.status, provider: end.route.provider, keyId: end.keyId };
    }
    const { error, begun, refusal, isRepeated } = end;
    if (begun || !refusal || signal.aborted) return { kind: 'failed', error, begun, isRepeated };
    if (refusal.isPage) return { kind: 'failed', error, begun, isRepeated, status: refusal.status };
    try {
      sink.head(refusal.status, isRepeated ? { ...refusal.headers, ...NOT_AGAIN } : refusal.headers);
      await sink.end(method === 'HEAD' ? Buffer.alloc(0) : refusal.body);
    } catch {
      // Whoever was to have the refusal is gone.
      return { kind: 'failed', error, begun: true, isRepeated };
    }
    return { kind: 'answered', status: refusal.status, provider: refusal.provider, keyId: refusal.keyId };
  }

  /** Returns the routes to what may answer instead: completions of the same dialect, each once. */
  #fallbacksOf(
    request: ForwardRequest,
    kind: RequestKind,
    first: ForwardRoute,
    routeTo: (provider: string, changed?: Changeable) => ForwardRoute,
  ): readonly ForwardRoute[] {
    const { dialect, fallbacks = [] } = request;
    if (fallbacks.length === 0 || !COMPLETING_KINDS.has(kind)) return [];
    return [...fallbackRoutes(first, fallbacks)]
      .filter(({ provider }) => this.#deps.providers.find(provider)?.dialects[dialect] !== undefined)
      .map(({ provider, model }) =>
        model === undefined || model === first.model
          ? { ...first, provider }
          : routeTo(provider, withModel(request, model)),
      );
  }

  /**
   * Asks the routes in turn until one answers. Never rejects but for a defect.
   *
   * An aborted request ends at once for its caller, also where its answer is read on for the bill.
   */
  exchange(job: ExchangeJob, signal: AbortSignal): Promise<ExchangeEnd> {
    const work = this.#tryRoutes(job, signal);
    const isDrained = job.routes.some(({ provider }) => this.#deps.providers.find(provider)?.onAbort === 'drain');
    return isDrained ? Promise.race([work, whenAborted(signal, job)]) : work;
  }

  /** Stops reading answers that only the usage still needs. */
  stop(): void {
    this.#stopping.abort();
  }

  async #tryRoutes(job: ExchangeJob, signal: AbortSignal): Promise<ExchangeEnd> {
    const { record } = this.#deps;
    const progress = new Progress(record);
    const [first, ...others] = job.routes;
    const end = await this.#tryRoute(first, job, signal, progress);
    if (end.kind === 'succeeded') return end;
    let shown = end;
    for (const route of end.isFinal ? [] : others) {
      const other = await this.#tryRoute(route, job, signal, progress);
      if (other.kind === 'succeeded') return other;
      if (!signal.aborted && !other.isFinal) continue;
      // What was begun cannot be taken back: its end is the caller's.
      shown = other;
      break;
    }
    progress.release(false);
    if (!progress.wasAsked) {
      const { code } = end.error;
      const status = code === 'POOL_EXHAUSTED' ? 'reach_limit' : 'failed';
      const event = draftOf(job, first, null, status);
      event.errorCode = code;
      record(event);
    }
    return { ...shown, isRepeated: progress.failures > 0 };
  }

  async #tryRoute(route: ForwardRoute, job: ExchangeJob, signal: AbortSignal, progress: Progress): Promise<RouteEnd> {
    const { providers, clock, retry, defaultProvider } = this.#deps;
    const tried = new Set<string>();
    let last: FailedAttempt | undefined;
    let lastRefusal: PassableRefusal | undefined;
    let heard: Map<string, number> | undefined;
    const call = {};
    // Endpoints whose refusal of this request names the wish for usage: they are asked without it.
    let suspected: Set<string> | undefined;
    try {
      const provider = providers.find(route.provider);
      if (!provider) throw unknownProvider(route.provider, providers.names(), defaultProvider);
      const usual = route.plan(provider);
      const start = clock.monotonic();
      for (;;) {
        const leased = this.#lease(route, job, { tried, start, call }, signal);
        const lease = leased instanceof Promise ? await leased : leased;
        progress.release(true);
        const { keyId } = lease;
        let settlement: LeaseOutcome = { kind: 'cancelled' };
        let pauseMs = 0;
        try {
          // A key of a credential with an address of its own is sent there, and nowhere else.
          const target = withBaseUrl(provider, lease.baseUrl);
          const wanted = target === provider ? usual : route.plan(target);
          const endpoint = wanted.asksForUsage ? nameOfEndpoint(target, job) : '';
          const isRefusing = suspected?.has(endpoint) === true || this.#refusingUsage.get(endpoint) === true;
          const plan = isRefusing ? route.plan({ ...target, streamUsageOption: false }) : wanted;
          const attempt = new Attempt(this.#deps, {
            job,
            route,
            provider,
            plan,
            lease,
            signal,
            progress,
            stopping: this.#stopping.signal,
          });
          const outcome = await attempt.run();
          settlement = outcome.settlement;
          // A refusal may merely quote `stream_options`; only an answer without the option proves
          // that it was the cause.
          if (isRefusing && (outcome.kind === 'succeeded' || outcome.begun)) {
            this.#refusingUsage.set(endpoint, true);
          }
          if (outcome.kind === 'succeeded') {
            return { kind: 'succeeded', consumer: outcome.consumer, status: outcome.status, route, keyId };
          }
          last = outcome;
          const { error, begun, failure } = outcome;
          const refusal = outcome.refusal && { ...outcome.refusal, provider: provider.name, keyId };
          lastRefusal = refusal;
          // What was begun cannot be repeated, and what its caller ended is not.
          const step = begun || failure.reason === 'cancelled' ? 'stop' : failure.next;
          if (step === 'again') progress.failures += 1;
          const isUsedUp = progress.failures >= retry.attempts;
          if (plan.asksForUsage && outcome.refusesUsageOption === true && !begun && !isUsedUp) {
            (suspected ??= new Set()).add(endpoint);
            continue;
          }
          if (step === 'another-key' && keyId !== null && !isOldNews(failure, (heard ??= new Map()))) {
            tried.add(keyId);
            continue;
          }
          if (step !== 'again') {
            return { kind: 'failed', error, begun, refusal, isFinal: step === 'stop' };
          }
          const ownMs = backoffMs(retry.backoff, progress.failures, retry.random);
          const waitMs = Math.max(ownMs, failure.retryAfterMs ?? 0);
          const isLate = clock.monotonic() - start + waitMs > provider.timeoutMs;
          if (isUsedUp || isLate) {
            return { kind: 'failed', error, begun, refusal, isFinal: false };
          }
          pauseMs = waitMs;
        } finally {
          lease.settle(settlement);
        }
        await delay(clock, pauseMs, signal);
      }
    } catch (error) {
      if (!(error instanceof AipassError)) throw error;
      return {
        kind: 'failed',
        error: last ? joinErrors(error, last.error) : error,
        begun: false,
        // The last refusal is more helpful than "none is left", unless a key will be free.
        refusal: error.retryAfterMs === undefined ? lastRefusal : undefined,
        isFinal: error.code === 'CANCELLED',
      };
    }
  }

  /**
   * Leases a key that was not tried yet; where none is left, waits for any as long as the caller
   * has time.
   */
  #lease(
    { provider, model, models }: ForwardRoute,
    { maxWaitMs, caller, organization = DEFAULT_ORGANIZATION }: ExchangeJob,
    { tried, start, call }: { readonly tried: Set<string>; readonly start: number; readonly call: object },
    signal: AbortSignal,
  ): Promise<KeyLease> | KeyLease {
    const { clock, keysOf } = this.#deps;
    const keys = keysOf(organization);
    const request = { provider, model, models, exclude: tried, call, ...askedBy(caller.uid, caller.caller) };
    try {
      return keys.lease(request);
    } catch {
      // Every key that was tried cools down now; when that is over, which may be already, it may
      // serve again.
      if (maxWaitMs !== undefined && maxWaitMs > 0) tried.clear();
      const wait = { maxWaitMs, spentMs: clock.monotonic() - start, signal };
      return keys.acquire(request, wait).then((lease) => {
        tried.clear();
        return lease;
      });
    }
  }
}

type AttemptOutcome =
  | {
      readonly kind: 'succeeded';
      readonly consumer: AnswerConsumer;
      readonly status: number;
      readonly settlement: LeaseOutcome;
    }
  | FailedAttempt;

/** The end of an attempt without an answer. */
interface FailedAttempt extends FailureEffects {
  readonly kind: 'failed';
  /** Whether the caller was given any part of the answer: then a second attempt would repeat it. */
  readonly begun: boolean;
  /** Whether the refusal is about the wish for usage. */
  readonly refusesUsageOption?: boolean;
  /** The refusal as the provider worded it, where it may be passed on. */
  readonly refusal?: Omit<PassableRefusal, 'provider' | 'keyId'>;
}

interface AttemptOptions {
  readonly job: ExchangeJob;
  readonly route: ForwardRoute;
  readonly provider: Provider;
  readonly plan: PlannedRequest;
  readonly lease: KeyLease;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Aborts when the daemon stops. */
  readonly stopping: AbortSignal;
}

/** Longest reading for the bill after the caller went away, in milliseconds. */
const MAX_DRAIN_MS = 600_000;

/**
 * Progress of a request over all of its routes. Holds the event of an attempt that failed until it
 * is known whether another attempt follows.
 */
class Progress {
  /** Number of failures of providers. */
  failures = 0;
  wasAsked = false;
  readonly #record: (event: RawEvent) => void;
  #event: RawEvent | undefined;

  constructor(record: (event: RawEvent) => void) {
    this.#record = record;
  }

  hold(event: RawEvent): void {
    this.wasAsked = true;
    this.#event = event;
  }

  release(retried: boolean): void {
    const event = this.#event;
    this.#event = undefined;
    if (event) this.#record(retried ? { ...event, retried } : event);
  }
}

/** Resolves when the caller has ended the request. */
function whenAborted(signal: AbortSignal, job: ExchangeJob): Promise<ExchangeEnd> {
  return new Promise((resolve) => {
    const end = (): void => {
      const [{ provider }] = job.routes;
      resolve({
        kind: 'failed',
        error: describeFailedExchange(endedBy(signal.reason), provider),
        begun: true,
        isRepeated: false,
      });
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

/** One request with one key. */
class Attempt {
  readonly #deps: ForwarderDeps;
  readonly #options: AttemptOptions;
  readonly #consumer: AnswerConsumer;
  readonly #startedAt: number;
  #answer: HttpAnswer | undefined;
  #firstAt: number | null = null;
  /** What the provider had to read, and the masking of what it answers; made where it fails. */
  #sentText: string | undefined;
  #masking: Redact | undefined;
  #isDraining = false;
  /**
   * Resolves when the caller of an answer that is read on is gone: then nobody holds bytes back any
   * more.
   */
  #gone: Promise<void> | undefined;

  constructor(deps: ForwarderDeps, options: AttemptOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#consumer = options.plan.createConsumer();
    this.#startedAt = deps.clock.monotonic();
  }

  /**
   * Makes the attempt and records it; the lease is the caller's to settle. Never rejects but for a
   * defect.
   */
  async run(): Promise<AttemptOutcome> {
    const { provider, signal } = this.#options;
    const outcome = await (provider.onAbort === 'drain' ? this.#sendAndDrain() : this.#send(signal));
    const { progress } = this.#options;
    progress.hold(this.#describe(outcome));
    try {
      if (outcome.kind === 'succeeded') {
        progress.release(false);
        await this.#consumer.close?.();
      } else if (outcome.begun) {
        progress.release(false);
        await this.#consumer.break?.();
      }
      return outcome;
    } catch (error) {
      // The answer is paid for and recorded; whoever was to have it is gone.
      if (error instanceof ReceiverFailure) {
        return { ...this.#failed(endedBy(error.cause)), settlement: outcome.settlement };
      }
      throw error;
    }
  }

  /**
   * Sends the request, and reads the answer on where the caller goes away: providers that bill it
   * all the same say what.
   */
  async #sendAndDrain(): Promise<AttemptOutcome> {
    const { signal, stopping } = this.#options;
    const ended = new AbortController();
    const { promise, resolve: letGo } = Promise.withResolvers<void>();
    this.#gone = promise;
    let disarm: (() => void) | undefined;
    const drain = (): void => {
      this.#isDraining = true;
      this.#consumer.cut();
      letGo();
      disarm = this.#deps.clock.after(MAX_DRAIN_MS, () => ended.abort(signal.reason));
      if (stopping.aborted) ended.abort(signal.reason);
      else stopping.addEventListener('abort', () => ended.abort(signal.reason), { once: true, signal: ended.signal });
    };
    if (signal.aborted) return this.#send(signal);
    signal.addEventListener('abort', drain, { once: true });
    try {
      const outcome = await this.#send(ended.signal);
      if (!this.#isDraining || outcome.kind !== 'succeeded') return outcome;
      return { ...this.#failed(endedBy(signal.reason)), settlement: outcome.settlement };
    } finally {
      disarm?.();
      signal.removeEventListener('abort', drain);
    }
  }

  async #send(signal: AbortSignal): Promise<AttemptOutcome> {
    const { plan, lease, provider } = this.#options;
    const { clock, guardedLookup } = this.#deps;
    const consumer = this.#consumer;
    try {
      const { request, authHeader } = plan;
      const headers = { ...request.headers };
      if (lease.value !== null) {
        assertSendable(lease.value);
        headers[authHeader] = authValue(authHeader, lease.value);
      }
      const limits = { waitMs: provider.timeoutMs, maxBytes: plan.maxBytes };
      const lookup = lease.baseUrl ? guardedLookup : undefined;
      const answer = await openExchange({ ...request, headers, lookup }, limits, { clock, signal });
      this.#answer = answer;
      if (isRefusal(answer.status)) return await this.#refused(answer);
      consumer.head(answer.status, this.#withoutKey(answer.headers));
      try {
        await this.#read(answer);
      } catch (error) {
        // All of the content is there and paid for: a connection or a packing that breaks behind it
        // costs the usage at most.
        if (!consumer.isWhole || !(error instanceof ExchangeFailure) || !breaksBehind(error)) throw error;
      }
      consumer.finish();
      const { totalTokens: tokens, costUsd } = consumer.seen.usage ?? {};
      const settlement: LeaseOutcome = { kind: 'succeeded', headers: answer.headers, tokens, costUsd };
      return { kind: 'succeeded', consumer, status: answer.status, settlement };
    } catch (error) {
      this.#answer?.close();
      const failure = this.#identify(error);
      if (!failure) throw error;
      return this.#failed(failure);
    }
  }

  /**
   * Reads the answer to its end. Content has a time limit of its own: keep-alives alone do not keep
   * a request alive for ever.
   */
  #read(answer: HttpAnswer): Promise<void> {
    const { clock } = this.#deps;
    const consumer = this.#consumer;
    const take = (chunk: Buffer): Promise<void> | void => {
      const room = consumer.take(chunk);
      if (this.#firstAt === null && consumer.contents > 0) this.#firstAt = clock.monotonic();
      return room && this.#gone ? Promise.race([room, this.#gone]) : room;
    };
    const contentWaitMs = this.#options.provider.timeoutMs * CONTENT_WAITS;
    return answer.each(take, { isDone: () => consumer.isDone, contents: () => consumer.contents, contentWaitMs });
  }

  async #refused(answer: HttpAnswer): Promise<FailedAttempt> {
    const { status, headers } = answer;
    const bytes = await readRefusal(answer, this.#options.provider.timeoutMs);
    const text = bytes.toString();
    const document = parseJson(text);
    const failed = this.#failed({ status, headers, body: document });
    const { reason } = failed.failure;
    const mayConcernOption = reason === 'bad-request' || reason === 'server-error';
    const outcome = { ...failed, refusesUsageOption: mayConcernOption && /stream_options|include_usage/.test(text) };
    if (!isPassable(outcome.failure)) return outcome;
    const masked = this.#redact(text);
    const { 'content-length': _length, ...fields } = answeredHeaders(this.#withoutSecrets(headers));
    const isDocument = typeof document === 'object' && document !== null;
    const isCalledPage = isPage(headers);
    const refusal = {
      status,
      headers: isCalledPage && isDocument ? { ...fields, 'content-type': 'application/json' } : fields,
      body: masked === text ? bytes : Buffer.from(masked),
      isPage: !isDocument && (isCalledPage || PAGE.test(text)),
    };
    return { ...outcome, refusal };
  }

  /** Leaves out the fields of an answer that quote the key: its caller may use it, not see it. */
  #withoutKey(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    const key = this.#options.lease.value?.reveal();
    if (key === undefined || key.length < MIN_QUOTED_KEY) return headers;
    for (const name in headers) {
      if (headers[name]?.includes(key) !== true) continue;
      return Object.fromEntries(Object.entries(headers).filter(([, value]) => !value.includes(key)));
    }
    return headers;
  }

  /** Leaves out the fields of a refusal that quote a secret, or a part of one, in any encoding. */
  #withoutSecrets(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    // Names are in lower case; one that the client sent itself tells it nothing.
    const { lease, plan } = this.#options;
    const key = lease.value?.reveal().toLowerCase() ?? '';
    const inValue = quotesWith(lease.value, this.#deps.redactor, () => this.#sent());
    const quotes = (name: string, value: string): boolean =>
      (holdsPiece(name, key) && plan.request.headers[name] === undefined) || inValue(value);
    return Object.fromEntries(Object.entries(headers).filter(([name, value]) => !quotes(name, value)));
  }

  /**
   * Masks secrets in a text of the provider, but for what the caller sent itself: a mask there
   * would confirm a guess.
   */
  #redact(text: string): string {
    const { lease } = this.#options;
    this.#masking ??= redactWith(lease.value, this.#deps.redactor, () => this.#sent());
    return this.#masking(text);
  }

  /** Returns what the provider had to read, as one text. */
  #sent(): string {
    const { url, headers, body } = this.#options.plan.request;
    return (this.#sentText ??= `${url} ${JSON.stringify(headers)} ${String(body ?? '')}`);
  }

  #failed(seen: Refusal | ExchangeFailure): FailedAttempt {
    const { provider, lease } = this.#options;
    const { clock } = this.#deps;
    const context = {
      provider: provider.name,
      keyId: lease.keyId,
      redact: (text: string) => this.#redact(text),
      now: clock.now(),
      isOwnPath: this.#options.plan.isOwnPath,
    };
    return {
      kind: 'failed',
      ...effectsOf(seen, context),
      begun: this.#consumer.begun,
    };
  }

  /** Returns what an exception of an attempt means, or undefined for a defect. */
  #identify(error: unknown): Refusal | ExchangeFailure | undefined {
    const { signal } = this.#options;
    if (signal.aborted) return endedBy(signal.reason);
    if (error instanceof ReceiverFailure) return endedBy(error.cause);
    if (error instanceof ErrorInAnswer) {
      const { status = 200, headers = {} } = this.#answer ?? {};
      return { status, headers, body: { error: error.error } };
    }
    return error instanceof ExchangeFailure ? error : undefined;
  }

  /**
   * Masks secrets in a name that the provider chose. One that is too short for the key, and holds
   * no piece of it, stays: this is done for each answer.
   */
  #recordable(name: string): string {
    const { lease, route } = this.#options;
    if (name === route.model) return name;
    const key = lease.value?.reveal();
    if (key === undefined || (name.length < key.length && !holdsPiece(name, key))) return name;
    return this.#redact(name);
  }

  /** Returns what is recorded of the attempt, finished or broken off. */
  #describe(outcome: AttemptOutcome): RawEvent {
    const { kind, settlement } = outcome;
    const { job, route, lease, plan } = this.#options;
    const { clock } = this.#deps;
    const { id, model, usage } = this.#consumer.seen;
    const failure = settlement.kind === 'failed' ? settlement.failure : null;
    const isTimed = plan.isStreamed && this.#firstAt !== null;
    // A limit is kept apart from other failures, as apipool does.
    const status = kind === 'succeeded' ? 'success' : failure && isLimit(failure) ? 'reach_limit' : 'failed';
    const event = draftOf(job, route, lease.keyId, status);
    event.at = clock.now();
    event.model = model === null ? route.model : this.#recordable(model);
    if ('error' in outcome) event.errorCode = outcome.error.code;
    event.latencyMs = clock.monotonic() - this.#startedAt;
    if (isTimed) event.firstTokenMs = (this.#firstAt ?? 0) - this.#startedAt;
    // An error inside an answer stands for another status than the answer has.
    event.httpStatus = failure?.status ?? this.#answer?.status ?? null;
    event.generationId = id === null ? null : this.#recordable(id);
    if (usage?.costUsd !== undefined) event.costMicros = microDollars(usage.costUsd);
    for (const { field } of TOKEN_COLUMNS) event[field] = usage?.[field];
    return event;
  }
}

/** Returns the report of who asked for what, and with which key. */
function draftOf(
  { caller, operation, organization }: ExchangeJob,
  { provider, model }: ForwardRoute,
  keyId: string | null,
  status: UsageStatus,
): EventDraft {
  const event = Object.assign(draftEvent(operation, status), caller);
  if (organization !== undefined) event.organization = organization;
  event.provider = provider;
  event.keyId = keyId;
  event.model = model;
  return event;
}

function unspokenDialect(provider: Provider, dialect: Dialect): AipassError {
  return new AipassError('BAD_REQUEST', `${provider.name} has no endpoint for the dialect "${dialect}"`, {
    hint: `use a provider that has one, or set "providers.${provider.name}.dialects.${dialect}.baseUrl" in the configuration`,
  });
}

/** Returns the name under which it is remembered that an endpoint refuses the wish for usage. */
function nameOfEndpoint({ name, baseUrl }: Provider, { organization = DEFAULT_ORGANIZATION }: ExchangeJob): string {
  return JSON.stringify([name, baseUrl, organization]);
}

/** Length from which a key is searched for in header fields, in characters. */
const MIN_QUOTED_KEY = 8;

/** Length of the pieces of a text that are searched for in a key, in characters. */
const PIECE = 12;

/** Returns whether a text holds a piece of a key; one of twice that length is found for sure. */
function holdsPiece(text: string, key: string): boolean {
  for (let at = 0; at + PIECE <= text.length; at += PIECE) {
    if (key.includes(text.slice(at, at + PIECE))) return true;
  }
  return false;
}

/** Beginning of a page, whatever its type is called. */
const PAGE = /^\uFEFF?\s*<(?:!doctype html|html)\b/i;

/** Most keys that are asked where each was refused in the same words. */
const SAME_WORDS = 2;

/** Most different wordings that are taken for news within one request. */
const MAX_WORDINGS = 8;

/**
 * Returns whether a refusal that may be the request's own fault came in the same words before: then
 * no third key is asked. Limits and refused keys are each key's own, whatever their words.
 */
function isOldNews({ blame, likeness }: FailureClass, heard: Map<string, number>): boolean {
  if (blame !== 'request') return false;
  const times = (heard.get(likeness) ?? 0) + 1;
  heard.set(likeness, times);
  return times >= SAME_WORDS || heard.size > MAX_WORDINGS;
}

/**
 * Returns whether a status does not answer the request; a redirect is one, and is never followed
 * nor passed on.
 */
function isRefusal(status: number): boolean {
  return status < 200 || (status >= 300 && status !== 304);
}

/** Returns whether a failure is one of the connection or the packing, not of the content. */
function breaksBehind({ kind, detail }: ExchangeFailure): boolean {
  return kind === 'network' || kind === 'timeout' || detail === UNREADABLE_PACKING;
}

/** Returns the failure of an attempt that its caller ended, or whose receiver failed. */
function endedBy(reason: unknown): ExchangeFailure {
  return new ExchangeFailure('aborted', 'ended by its caller', reason);
}

/** Returns the error document, or nothing where it cannot be read: the status is enough then. */
async function readRefusal(answer: HttpAnswer, totalMs: number): Promise<Buffer> {
  try {
    return await readBytes(answer, MAX_REFUSAL_BYTES, totalMs);
  } catch (error) {
    if (error instanceof ExchangeFailure && error.kind !== 'aborted') return Buffer.alloc(0);
    throw error;
  }
}

/**
 * Returns the error of a route whose keys ran out after some were refused. It reports that none is
 * free, and when the first will be. Where that is not known, it is the last refusal.
 */
function joinErrors(noKey: AipassError, last: AipassError): AipassError {
  if (noKey.code === 'CANCELLED') return noKey;
  if (noKey.retryAfterMs === undefined) return last;
  return new AipassError(noKey.code, `${noKey.message}; the last answer: ${last.message}`, {
    hint: last.hint ?? noKey.hint,
    retryAfterMs: noKey.retryAfterMs,
  });
}
