/**
 * Completes chats: builds the request and reads the answer; everything between is the forwarder's.
 */

import { attachSplices } from '../base/spliced-json.ts';
import { requestHeaders } from '../providers/provider.ts';
import type { CompletionFallback, CompletionParams, CompletionResult } from '../protocol/completion.ts';
import type { EventCaller } from '../usage/event.ts';
import { ChatReader, type DeltaReceiver } from './chat-reader.ts';
import { buildRequestBody, printBody, routesOf, type Route } from './chat-request.ts';
import type { Forwarder, ForwardRoute } from './forwarder.ts';

/** Longest answer that is not streamed, in bytes. */
const MAX_WHOLE_BYTES = 64 * 1024 * 1024;

/**
 * Longest stream as a whole, in bytes: a hundred thousand tokens with probabilities are a fifth of
 * it.
 */
const MAX_STREAM_BYTES = 256 * 1024 * 1024;

/** The operation under which completions are recorded. */
const OPERATION = 'completion.create';

export interface CompleterDeps {
  readonly forwarder: Forwarder;
  /** Asked where the parameters name no provider. */
  readonly defaultProvider: string;
  /** Whom to ask where a request names no fallbacks. */
  readonly fallbacks?: readonly CompletionFallback[];
}

export interface CompleteOptions {
  /** Ends the request, and the provider's connection with it, at once. */
  readonly signal: AbortSignal;
  /** Receives the deltas of a streamed completion; a promise holds the next one back. */
  readonly onDelta?: DeltaReceiver | undefined;
  /** Who asks, for the records; without it nobody is named. */
  readonly caller?: EventCaller | undefined;
  /** Organization whose keys are used; the default one without it. */
  readonly organization?: string | undefined;
}

export class Completer {
  readonly #deps: CompleterDeps;

  constructor(deps: CompleterDeps) {
    this.#deps = deps;
  }

  /**
   * Completes one chat. Long texts of the result are tokens (base/spliced-json.ts), for the socket
   * to put back. Every healthy key is tried once; a failing provider is asked again within its time
   * limit.
   *
   * @throws AipassError NOT_FOUND for an unknown provider or one without a key. POOL_EXHAUSTED
   * where no key is free. PROVIDER_REJECTED with the provider's status, PROVIDER_UNAVAILABLE,
   * TIMED_OUT, CANCELLED. With fallbacks that failed too, the error of the first route.
   */
  async complete(params: CompletionParams, options: CompleteOptions): Promise<CompletionResult> {
    const { forwarder, defaultProvider, fallbacks } = this.#deps;
    const [first, ...others] = routesOf(params, defaultProvider, fallbacks ?? []);
    const { caller, session, maxWaitMs } = params;
    // Attempts follow one another, so that the last reader is the one of the answer.
    let reader: ChatReader | undefined;
    const plan = (route: Route): ForwardRoute => ({
      ...route,
      models: params.models ?? undefined,
      plan: (provider) => ({
        request: {
          method: 'POST',
          url: `${provider.dialects.openai.baseUrl}/chat/completions`,
          headers: { ...requestHeaders(provider, null), 'content-type': 'application/json' },
          body: printBody(buildRequestBody({ ...params, ...route }, provider)),
        },
        authHeader: provider.dialects.openai.authHeader,
        isStreamed: params.stream === true,
        asksForUsage: params.stream === true && provider.streamUsageOption && params['stream_options'] === undefined,
        maxBytes: params.stream === true ? MAX_STREAM_BYTES : MAX_WHOLE_BYTES,
        createConsumer: () => {
          reader = new ChatReader({
            model: route.model,
            onDelta: params.stream === true ? options.onDelta : undefined,
          });
          return reader;
        },
      }),
    });
    const end = await forwarder.exchange(
      {
        caller: {
          ...options.caller,
          ...(caller === undefined ? {} : { caller }),
          ...(session === undefined ? {} : { session }),
        },
        operation: OPERATION,
        organization: options.organization,
        routes: [plan(first), ...others.map(plan)],
        maxWaitMs,
      },
      options.signal,
    );
    if (end.kind === 'failed') throw end.error;
    if (!reader) throw new Error('an answer that nobody read');
    const { provider, model } = end.route;
    const isFallback = provider !== first.provider || model !== first.model;
    const result = {
      ...reader.result,
      provider,
      keyId: end.keyId,
      ...(isFallback ? { fallback: { provider, model: model ?? '' } } : {}),
    };
    attachSplices(result, reader.splices);
    return result;
  }
}
