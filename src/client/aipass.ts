/**
 * The client's face: one method for each thing that can be asked for.
 */

import { AipassError } from '../base/errors.ts';
import type {
  CompletionDelta,
  CompletionParams,
  CompletionResult,
  KnownCompletionParams,
} from '../protocol/completion.ts';
import type { EventName, Events } from '../protocol/events.ts';
import type { OperationName, Operations } from '../protocol/operations.ts';
import type { KeyVerdict, ModelInfo } from '../protocol/provider.ts';
import type { Status } from '../protocol/status.ts';
import type { UsageAnswer, UsageQuery } from '../protocol/usage.ts';
import { CompletionStream } from './completion-stream.ts';
import { Session, type CallOptions } from './session.ts';
import { UsageCalls } from './usage-calls.ts';

/** Is the parameters of a completion, and of its call. */
export type CompleteParams = Omit<KnownCompletionParams, 'stream'> &
  CallOptions & { readonly [parameter: string]: unknown };

/** Is how long after a lost connection events are waited for again; doubles up to the second number. Milliseconds. */
const RESUBSCRIBE_MS = [250, 30_000] as const;

/** Asks the daemon. Made by connect(); safe for any number of calls at once. Every failure is an AipassError. */
export class Aipass implements AsyncDisposable {
  readonly #session: Session;
  /** Asks for more about usage than its sums. */
  readonly usage: UsageCalls;
  readonly #listeners = new Map<string, Set<(data: never) => void>>();
  #resubscribeMs: number = RESUBSCRIBE_MS[0];
  #resubscribe: NodeJS.Timeout | undefined;

  constructor(options: { readonly socket: string; readonly caller: string | undefined; readonly client: string }) {
    this.#session = new Session({
      ...options,
      onEvent: (event, data) => this.#emit(event, data),
      onLost: () => this.#scheduleResubscribe(),
    });
    this.usage = new UsageCalls(this.#session);
  }

  /** Names this client's session, under which its calls are recorded. */
  get sessionId(): string {
    return this.#session.id;
  }

  /** Connects now; without it the first call does. Throws DAEMON_UNREACHABLE, VERSION_MISMATCH or FORBIDDEN. */
  async open(): Promise<this> {
    await this.#session.open();
    return this;
  }

  /** Asks for any operation by its name. */
  request<Name extends OperationName>(
    op: Name,
    params: Operations[Name]['params'],
    options?: CallOptions,
  ): Promise<Operations[Name]['result']> {
    return this.#session.request(op, params, options);
  }

  /** Returns a key of the provider (of the default one where none is named). Throws NOT_FOUND. */
  async key(provider?: string, options: CallOptions & { readonly keyId?: string } = {}): Promise<string> {
    const { keyId, ...call } = options;
    return (await this.#session.request('key.get', { provider, keyId }, call)).key;
  }

  /** Returns the opaque secret `<provider>/<slug>` as text, or as the parsed document. Throws NOT_FOUND. */
  secret(name: string, options?: CallOptions & { readonly json?: false }): Promise<string>;
  secret(name: string, options: CallOptions & { readonly json: boolean }): Promise<unknown>;
  async secret(name: string, options: CallOptions & { readonly json?: boolean } = {}): Promise<unknown> {
    const { json, ...call } = options;
    return (await this.#session.request('secret.get', { name, json }, call)).value;
  }

  /**
   * Has a provider complete a chat.
   *
   * @throws AipassError PROVIDER_REJECTED, PROVIDER_UNAVAILABLE, TIMED_OUT, NOT_FOUND, CANCELLED.
   */
  async complete(params: CompleteParams, options: CallOptions = {}): Promise<CompletionResult> {
    const { signal, timeoutMs } = params;
    return this.#session.request(
      'completion.create',
      { ...chatOf(params), stream: false },
      { signal, timeoutMs, ...options },
    );
  }

  /** Has a provider complete a chat, and yields the deltas as they come. */
  stream(params: CompleteParams, options: CallOptions = {}): CompletionStream {
    const { signal, timeoutMs } = params;
    const chat = chatOf(params);
    const call = { signal, timeoutMs, ...options };
    return new CompletionStream((onDelta, left) =>
      this.#session.request(
        'completion.create',
        { ...chat, stream: true },
        {
          timeoutMs: call.timeoutMs,
          signal: call.signal ? AbortSignal.any([call.signal, left]) : left,
          // The daemon is of this protocol version, and so its chunks have this shape.
          onChunk: (data) => onDelta(data as CompletionDelta),
        },
      ),
    );
  }

  /** Lists the models of a provider (of the default one where none is named). */
  async models(provider?: string, options?: CallOptions): Promise<readonly ModelInfo[]> {
    return (await this.#session.request('provider.models', { provider }, options)).models;
  }

  /** Judges a provider's keys by their shape and, with `online`, by asking the provider. */
  async validate(
    provider?: string,
    options: CallOptions & { readonly online?: boolean; readonly keyId?: string } = {},
  ): Promise<readonly KeyVerdict[]> {
    const { online, keyId, ...call } = options;
    return (await this.#session.request('provider.validate', { provider, online, keyId }, call)).keys;
  }

  /** Tells how the daemon is. */
  status(options?: CallOptions): Promise<Status> {
    return this.#session.request('status.get', {}, options);
  }

  /** Sums who used what over a range of time; in groups with `by`. */
  stats(query: UsageQuery = {}, options?: CallOptions): Promise<UsageAnswer> {
    return this.#session.request('usage.stats', query, options);
  }

  /** Listens to an event, through restarts of the daemon too; the returned function takes that back. Keeps the process alive until then. */
  on<Name extends EventName>(event: Name, listener: (data: Events[Name]) => void): () => void {
    const set = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, set);
    set.add(listener);
    this.#session.hold(true);
    this.#subscribe();
    return () => {
      set.delete(listener);
      if (set.size === 0 && this.#listeners.get(event) === set) this.#listeners.delete(event);
      if (this.#listeners.size > 0) return;
      clearTimeout(this.#resubscribe);
      this.#session.hold(false);
    };
  }

  /** Closes the connection; calls under way fail with CANCELLED. */
  async close(): Promise<void> {
    clearTimeout(this.#resubscribe);
    this.#listeners.clear();
    this.#session.close();
    await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #emit(event: string, data: unknown): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(data as never);
      } catch (error) {
        // As with any emitter, the failure is the program's; but the line and the other listeners are not to suffer.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #subscribe(): void {
    const events = [...this.#listeners.keys()] as EventName[];
    this.#session.request('event.subscribe', { events }).then(
      () => {
        this.#resubscribeMs = RESUBSCRIBE_MS[0];
      },
      () => this.#scheduleResubscribe(),
    );
  }

  #scheduleResubscribe(): void {
    if (this.#listeners.size === 0) return;
    clearTimeout(this.#resubscribe);
    this.#resubscribe = setTimeout(() => this.#subscribe(), this.#resubscribeMs);
    this.#resubscribeMs = Math.min(this.#resubscribeMs * 2, RESUBSCRIBE_MS[1]);
  }
}

/** Checks at the door what would be an unclear error behind it. */
function chatOf(params: CompleteParams): CompletionParams {
  const { signal: _signal, timeoutMs: _timeoutMs, ...chat } = params;
  if (typeof chat.model !== 'string' || chat.model === '') {
    throw new AipassError('BAD_REQUEST', 'a completion needs a model: there is no default', {
      hint: "pass { model: 'openai/gpt-5-mini', messages: [...] }; aipassd models lists what there is",
    });
  }
  return chat;
}
