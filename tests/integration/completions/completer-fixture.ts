/**
 * A completer over one loopback provider, and what its lease was settled with.
 */

import { systemClock, type Clock } from '../../../src/base/clock.ts';
import type { ProviderConfig } from '../../../src/base/config-schema.ts';
import { AipassError } from '../../../src/base/errors.ts';
import { Redactor } from '../../../src/base/redactor.ts';
import { Secret } from '../../../src/base/secret.ts';
import { Completer } from '../../../src/completions/completer.ts';
import { Forwarder } from '../../../src/completions/forwarder.ts';
import type { DeltaReceiver } from '../../../src/completions/chat-reader.ts';
import type { LeaseOutcome } from '../../../src/pools/lease.ts';
import type { CompletionDelta, CompletionResult } from '../../../src/protocol/completion.ts';
import { createProviders } from '../../../src/providers/registry.ts';
import type { RawEvent } from '../../../src/usage/event.ts';
import { startLoopbackProvider, type LoopbackProvider } from '../../support/loopback-provider.ts';

/** The key of the fixture; it may show up at the provider only. */
export const CANARY = `sk-or-v1-${'canary0123456789'.repeat(4)}`;

/** A completer with its surroundings. `await using` closes the provider. */
export interface Fixture extends AsyncDisposable {
  readonly upstream: LoopbackProvider;
  readonly completer: Completer;
  /** Lists what was recorded, in order. */
  readonly recorded: RawEvent[];
  /** Lists what leases were settled with, in order. */
  readonly settled: LeaseOutcome[];
  readonly redactor: Redactor;
  /** Completes a chat with one message, and any other parameters. */
  ask(
    params?: Readonly<Record<string, unknown>>,
    control?: { signal?: AbortSignal; onDelta?: DeltaReceiver },
  ): Promise<CompletionResult>;
  /** Does so as a stream, and returns the deltas too. */
  stream(params?: Readonly<Record<string, unknown>>): Promise<{ result: CompletionResult; deltas: CompletionDelta[] }>;
  /** Returns the error with which a chat fails. */
  failure(
    params?: Readonly<Record<string, unknown>>,
    control?: { signal?: AbortSignal; onDelta?: DeltaReceiver },
  ): Promise<AipassError>;
}

/**
 * Starts one; `openrouter` is where the loopback provider stands, described further by `config`.
 */
export async function startFixture(
  options: {
    readonly config?: Partial<ProviderConfig>;
    readonly clock?: Clock;
    readonly key?: string | null;
    readonly defaultProvider?: string;
  } = {},
): Promise<Fixture> {
  const upstream = await startLoopbackProvider();
  const settled: LeaseOutcome[] = [];
  const recorded: RawEvent[] = [];
  const redactor = new Redactor();
  const key = options.key === undefined ? CANARY : options.key;
  const defaultProvider = options.defaultProvider ?? 'openrouter';
  const forwarder = new Forwarder({
    providers: createProviders({ providers: { openrouter: { baseUrl: upstream.baseUrl, ...options.config } } }),
    keysOf: () => ({
      lease({ provider, exclude }) {
        if (exclude?.has('OPENROUTER_API_KEY')) throw new AipassError('POOL_EXHAUSTED', 'the one key was tried');
        return {
          provider,
          keyId: key === null ? null : 'OPENROUTER_API_KEY',
          value: key === null ? null : new Secret(key),
          settle: (outcome) => settled.push(outcome),
        };
      },
      acquire(request) {
        return Promise.try(() => this.lease(request));
      },
    }),
    redactor,
    clock: options.clock ?? systemClock,
    defaultProvider,
    retry: { attempts: 1, backoff: { firstMs: 1, maxMs: 2, jitter: 0 }, random: () => 0 },
    record: (event) => recorded.push(event),
  });
  const completer = new Completer({ forwarder, defaultProvider });
  const ask: Fixture['ask'] = (params = {}, control = {}) =>
    completer.complete(
      { model: 'test/small', messages: [{ role: 'user', content: 'ping' }], ...params },
      { signal: control.signal ?? new AbortController().signal, onDelta: control.onDelta },
    );
  return {
    upstream,
    completer,
    settled,
    recorded,
    redactor,
    ask,
    async stream(params = {}) {
      const deltas: CompletionDelta[] = [];
      const result = await ask({ stream: true, ...params }, { onDelta: (delta) => void deltas.push(delta) });
      return { result, deltas };
    },
    async failure(params, control) {
      try {
        await ask(params, control);
      } catch (error) {
        if (error instanceof AipassError) return error;
        throw error;
      }
      throw new Error('the completion did not fail');
    },
    [Symbol.asyncDispose]: () => upstream.close(),
  };
}
