/**
 * The client's face: one method for each thing that can be asked for.
 */

import { dirname, join } from 'node:path';
import { AipassError } from '../base/errors.ts';
import type { CompletionParams, CompletionResult, KnownCompletionParams } from '../protocol/completion.ts';
import type { OrganizationInfo } from '../protocol/credential.ts';
import type { EventName, Events } from '../protocol/events.ts';
import type { TokenValue } from '../protocol/oauth.ts';
import type { OperationName, Operations } from '../protocol/operations.ts';
import type { PoolCheckProgress, PoolExplanation, PoolInfo } from '../protocol/pool.ts';
import type { KeyVerdict, ModelInfo } from '../protocol/provider.ts';
import type { Status } from '../protocol/status.ts';
import type { UsageAnswer, UsageQuery } from '../protocol/usage.ts';
import type { AccountRequestInit } from './account-fetch.ts';
import { assertCallOptions, assertConnectOptions, fieldsOf } from './failures.ts';
import { CompletionStream } from './completion-stream.ts';
import { CredentialCalls, type OrganizationCallOptions } from './credential-calls.ts';
import type { ClientFactory, PooledOptions } from './pooled-caller.ts';
import { createPooled, type Pooled } from './pooled.ts';
import { createGatewayFetch } from './gateway-fetch.ts';
import type { GoogleOptions } from './google-services.ts';
import type { OpenaiOptions } from './openai.ts';
import { Session, type CallOptions, type ChunkOptions } from './session.ts';
import { Subscriptions } from './subscriptions.ts';
import { toQuery, UsageCalls, type WithMoments } from './usage-calls.ts';

/** Parameters of a completion, and options of its call. */
export type CompleteParams = Omit<KnownCompletionParams, 'stream'> &
  CallOptions & { readonly [parameter: string]: unknown };

/** Function with the shape of `fetch`; see Aipass.fetch. */
export type AipassFetch = (
  input: string | URL | Request,
  init?: RequestInit & Partial<Pick<AccountRequestInit, 'account'>>,
) => Promise<Response>;

/** Client of the daemon, made by connect(); safe for any number of calls at once. */
export class Aipass implements AsyncDisposable {
  readonly #session: Session;
  /** More about usage than its sums. */
  readonly usage: UsageCalls;
  /** Provider credentials. */
  readonly credentials: CredentialCalls;
  readonly #subscriptions: Subscriptions;
  readonly #gateway: ReturnType<typeof createGatewayFetch>;
  readonly #lostListeners = new Set<() => void>();

  constructor(options: { readonly socket: string; readonly caller: string | undefined; readonly client: string }) {
    assertConnectOptions(options);
    this.#session = new Session({
      ...options,
      onEvent: (event, data) => this.#subscriptions.emit(event, data),
      onOpen: () => this.#subscriptions.renewNow(),
      onLost: () => {
        this.#subscriptions.renew();
        for (const listener of this.#lostListeners) listener();
      },
    });
    this.#subscriptions = new Subscriptions(this.#session);
    this.usage = new UsageCalls(this.#session);
    this.credentials = new CredentialCalls(this.#session);
    this.#gateway = createGatewayFetch({
      socket: join(dirname(options.socket), 'gateway.sock'),
      caller: options.caller,
      session: this.#session.id,
    });
  }

  /** Id of this client's session, under which its calls are recorded. */
  get sessionId(): string {
    return this.#session.id;
  }

  /** Connects now; without it the first call does. Throws as connect() does. */
  async open(): Promise<this> {
    await this.#session.open();
    return this;
  }

  /**
   * A `fetch` for any SDK that takes one. Its requests go through the daemon with a key of the
   * pool, and none is in this process. Give the SDK any text as its key, and
   * `http://aipassd/<provider>/v1` as its base URL where it is not for OpenAI, Anthropic, Google or
   * OpenRouter itself.
   *
   * With `account` in its options, such as `{ account: 'google.work' }`, a request goes straight to
   * its address with the token of that OAuth account. A token that is answered with 401 is renewed,
   * and the request repeated once.
   *
   * @throws TypeError as fetch does, with an AipassError as its cause where the daemon cannot be
   * reached; with `account` also AipassError as token() does.
   */
  readonly fetch: AipassFetch = async (input, init = {}) => {
    const { account, ...request } = init;
    if (account === undefined) return await this.#gateway.fetch(input, request);
    const { fetchAsAccount } = await import('./account-fetch.ts');
    return await fetchAsAccount(this, input, { ...request, account });
  };

  /**
   * Returns a client of the openai package, an optional peer dependency, whose requests go through
   * the daemon. `Client` is its type: `await aipass.openai<OpenAI>()`. Throws NOT_FOUND where the
   * package is not installed.
   */
  async openai<Client = unknown>(options: OpenaiOptions = {}): Promise<Client> {
    const { openOpenai } = await import('./openai.ts');
    return (await openOpenai(this.#gateway.fetch, options)) as Client;
  }

  /** Asks for an operation by its name; `onChunk` gets what a streaming one sends. */
  request<Name extends OperationName>(
    op: Name,
    params: Operations[Name]['params'],
    options?: ChunkOptions<Name>,
  ): Promise<Operations[Name]['result']> {
    return this.#session.request(op, params, options);
  }

  /** Returns a key of the provider (of the default one where none is named). Throws NOT_FOUND. */
  async key(provider?: string, options: CallOptions & { readonly keyId?: string } = {}): Promise<string> {
    const { keyId, ...call } = options;
    return (await this.#session.request('key.get', { provider, keyId }, call)).key;
  }

  /**
   * Returns an access token of an OAuth account (`google`, `spotify`, `google.work`), good for at
   * least `minValidSeconds` (60 without it) where the provider gives such tokens. Throws NOT_FOUND,
   * REAUTH_REQUIRED, PROVIDER_UNAVAILABLE.
   */
  async token(
    name: string,
    options: CallOptions & {
      readonly minValidSeconds?: number | undefined;
      readonly scopes?: readonly string[] | undefined;
      /**
       * Access token that an API has refused with 401, or its tag (see docs/protocol): it is
       * renewed first. Only the tag is sent.
       */
      readonly refused?: string | undefined;
    } = {},
  ): Promise<TokenValue> {
    const { minValidSeconds, scopes, refused, ...call } = options;
    if (refused === undefined) return this.#session.request('token.get', { name, minValidSeconds, scopes }, call);
    // It brings node:crypto, which few programs need.
    const { TOKEN_TAG, tokenTag } = await import('../protocol/token-tag.ts');
    const tag = TOKEN_TAG.test(refused) ? refused : tokenTag(refused);
    return this.#session.request('token.get', { name, minValidSeconds, scopes, refused: tag }, call);
  }

  /**
   * Returns a service of the googleapis package whose requests carry tokens from the daemon.
   * `Service` is its type, such as `drive_v3.Drive`. Throws NOT_FOUND where the package is not
   * installed or has no such service.
   */
  async google<Service = unknown>(service: string, version?: string, options: GoogleOptions = {}): Promise<Service> {
    const { openGoogleService } = await import('./google-services.ts');
    return (await openGoogleService(this, service, version, options)) as Service;
  }

  /** Returns Google Drive, as `google('drive')` does. */
  drive<Service = unknown>(version?: string, options?: GoogleOptions): Promise<Service> {
    return this.google<Service>('drive', version, options);
  }

  /** Returns Google Calendar, as `google('calendar')` does. */
  calendar<Service = unknown>(version?: string, options?: GoogleOptions): Promise<Service> {
    return this.google<Service>('calendar', version, options);
  }

  /** Returns Gmail, as `google('gmail')` does. */
  gmail<Service = unknown>(version?: string, options?: GoogleOptions): Promise<Service> {
    return this.google<Service>('gmail', version, options);
  }

  /** Returns Google Sheets, as `google('sheets')` does. */
  sheets<Service = unknown>(version?: string, options?: GoogleOptions): Promise<Service> {
    return this.google<Service>('sheets', version, options);
  }

  /** Returns Google Docs, as `google('docs')` does. */
  docs<Service = unknown>(version?: string, options?: GoogleOptions): Promise<Service> {
    return this.google<Service>('docs', version, options);
  }

  /** Returns YouTube, as `google('youtube')` does. */
  youtube<Service = unknown>(version?: string, options?: GoogleOptions): Promise<Service> {
    return this.google<Service>('youtube', version, options);
  }

  /**
   * Returns the opaque secret `<provider>/<slug>` as trimmed text, as the parsed document with
   * `json`, or with `bytes` exactly as it is stored. Throws NOT_FOUND, and BAD_REQUEST for content
   * that is not text where text is asked for.
   */
  secret(name: string, options?: CallOptions & { readonly json?: false; readonly bytes?: false }): Promise<string>;
  secret(name: string, options: CallOptions & { readonly bytes: true; readonly json?: boolean }): Promise<Uint8Array>;
  secret(name: string, options: CallOptions & { readonly json: boolean; readonly bytes?: false }): Promise<unknown>;
  async secret(
    name: string,
    options: CallOptions & { readonly json?: boolean; readonly bytes?: boolean } = {},
  ): Promise<unknown> {
    const { json, bytes, ...call } = options;
    const { value } = await this.#session.request('secret.get', { name, json, bytes }, call);
    return bytes === true ? Buffer.from(String(value), 'base64') : value;
  }

  /**
   * Asks a provider to complete a chat.
   *
   * @throws AipassError PROVIDER_REJECTED, PROVIDER_UNAVAILABLE, TIMED_OUT, NOT_FOUND, CANCELLED.
   */
  async complete(params: CompleteParams, options: CallOptions = {}): Promise<CompletionResult> {
    const chat = chatOf(params);
    const { signal, timeoutMs } = params;
    return this.#session.request('completion.create', { ...chat, stream: false }, { signal, timeoutMs, ...options });
  }

  /** Asks a provider to complete a chat, and yields the deltas as they come. */
  stream(params: CompleteParams, options: CallOptions = {}): CompletionStream {
    const chat = chatOf(params);
    const { signal, timeoutMs } = params;
    const call = { signal, timeoutMs, ...options };
    assertCallOptions(call);
    return new CompletionStream((onDelta, left) =>
      this.#session.request(
        'completion.create',
        { ...chat, stream: true },
        {
          timeoutMs: call.timeoutMs,
          signal: call.signal ? AbortSignal.any([call.signal, left]) : left,
          onChunk: onDelta,
        },
      ),
    );
  }

  /** Lists the models of a provider (of the default one where none is named). */
  async models(provider?: string, options?: CallOptions): Promise<readonly ModelInfo[]> {
    return (await this.#session.request('provider.models', { provider }, options)).models;
  }

  /** Checks a provider's keys by their shape and, with `online`, by asking the provider. */
  async validate(
    provider?: string,
    options: CallOptions & { readonly online?: boolean; readonly keyId?: string } = {},
  ): Promise<readonly KeyVerdict[]> {
    const { online, keyId, ...call } = options;
    return (await this.#session.request('provider.validate', { provider, online, keyId }, call)).keys;
  }

  /**
   * Returns an object that is used like the client that `factory` makes, while its calls take turns
   * with the provider's keys. Each call leases a key, and goes to another one where the error is a
   * limit.
   */
  pooled<Client extends object>(
    provider: string,
    factory: ClientFactory<Client>,
    options: PooledOptions = {},
  ): Pooled<Client> {
    return createPooled(provider, factory, options, {
      lease: (params) => this.#session.request('pool.lease', params),
      settle: (params) => this.#session.request('pool.settle', params),
    });
  }

  /** Describes the pool of a provider, or all: states, cooldowns, windows, quotas. */
  async pools(
    provider?: string,
    { organization, ...options }: OrganizationCallOptions = {},
  ): Promise<readonly PoolInfo[]> {
    return (await this.#session.request('pool.list', { organization, provider }, options)).pools;
  }

  /** Explains which key of a provider would serve next, and why each other one would not. */
  explainPool(
    provider?: string,
    options: OrganizationCallOptions & { readonly model?: string | undefined } = {},
  ): Promise<PoolExplanation> {
    const { model, organization, ...call } = options;
    return this.#session.request('pool.explain', { organization, provider, model }, call);
  }

  /** Asks providers about every key of a pool, or of all; `onProgress` gets each verdict. */
  async checkPool(
    provider?: string,
    options: OrganizationCallOptions & { readonly onProgress?: (progress: PoolCheckProgress) => void } = {},
  ): Promise<readonly KeyVerdict[]> {
    const { organization, onProgress, ...call } = options;
    const chunks = onProgress && { onChunk: onProgress };
    return (await this.#session.request('pool.check', { organization, provider }, { ...call, ...chunks })).keys;
  }

  /** Lists the organizations of this caller, with its role in each. */
  async organizations(options?: CallOptions): Promise<readonly OrganizationInfo[]> {
    return (await this.#session.request('organization.list', {}, options)).organizations;
  }

  /** Returns the state of the daemon: providers, pools, accounts, usage and warnings. */
  status(options?: CallOptions): Promise<Status> {
    return this.#session.request('status.get', {}, options);
  }

  /** Sums who used what over a range of time, such as `{ since: '7d' }`; in groups with `by`. */
  async stats(query: WithMoments<UsageQuery> = {}, options?: CallOptions): Promise<UsageAnswer> {
    return this.#session.request('usage.stats', toQuery(query), options);
  }

  /**
   * Listens to an event, through restarts of the daemon too, and keeps the process alive. The
   * returned function ends that.
   *
   * @throws AipassError BAD_REQUEST after close().
   */
  on<Name extends EventName>(event: Name, listener: (data: Events[Name]) => void): () => void {
    return this.#subscriptions.on(event, listener);
  }

  /**
   * Listens to losses of the connection. The next call makes another one, but what the daemon held
   * for the lost one is gone, such as the access of `gateway.open`. The returned function ends
   * that.
   */
  onLost(listener: () => void): () => void {
    this.#lostListeners.add(listener);
    return () => void this.#lostListeners.delete(listener);
  }

  /** Closes the connection; calls under way fail with CANCELLED. */
  async close(): Promise<void> {
    this.#subscriptions.close();
    this.#gateway.close();
    this.#session.close();
    await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Checks what the daemon would reject less clearly. */
function chatOf(params: CompleteParams): CompletionParams {
  fieldsOf(params, 'the parameters of a completion');
  const { signal: _signal, timeoutMs: _timeoutMs, ...chat } = params;
  if (typeof chat.model !== 'string' || chat.model === '') {
    throw new AipassError('BAD_REQUEST', 'a completion needs a model: there is no default', {
      hint: "pass { model: 'openai/gpt-5-mini', messages: [...] }; aipassd models lists what there is",
    });
  }
  return chat;
}
