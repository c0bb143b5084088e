/**
 * One attempt at a completion: one provider, one key, one request. Nothing is retried here; whoever wants a second
 * attempt makes one.
 *
 * The caller's signal closes the connection to the provider at once, in whatever state it is.
 */

import type { Clock } from '../base/clock.ts';
import type { Redactor } from '../base/redactor.ts';
import type { KeyLease, LeaseOutcome } from '../pools/lease.ts';
import type { CompletionDelta, CompletionParams } from '../protocol/completion.ts';
import { redactWith } from '../providers/error-reason.ts';
import { ExchangeFailure } from '../providers/http-exchange.ts';
import type { Provider } from '../providers/provider.ts';
import { Assembly, type AssembledCompletion } from './assemble.ts';
import { ErrorInAnswer, GarbageAnswer, ReceiverFailure, type AttemptFailure } from './failure.ts';
import { judgeFailure } from './judge.ts';
import { requestChat, type ChatAnswer } from './openai-client.ts';
import type { AttemptTrace, CompletionOutcome } from './outcome.ts';
import { buildRequestBody } from './request-body.ts';
import { StallGuard } from './stall-guard.ts';

/** Receives deltas; a promise holds the next one back until it resolves. */
export type DeltaReceiver = (delta: CompletionDelta) => Promise<void> | void;

/** Is what an attempt is made with. */
export interface AttemptOptions {
  readonly provider: Provider;
  readonly lease: Pick<KeyLease, 'keyId' | 'value'>;
  readonly params: CompletionParams;
  readonly signal: AbortSignal;
  /** Is called for each delta of a streamed answer. */
  readonly onDelta?: DeltaReceiver | undefined;
  readonly redactor: Redactor;
  readonly clock: Clock;
}

/** Makes one attempt. Never rejects but for a defect. */
export async function attemptCompletion(options: AttemptOptions): Promise<CompletionOutcome> {
  const { provider, lease, params, signal, clock } = options;
  const stream = params.stream === true;
  const guard = new StallGuard({ provider, key: lease.value, stream, clock, signal });
  const assembly = new Assembly();
  const startedAt = clock.monotonic();
  let firstTokenMs: number | null = null;
  let begun = false;
  const deliver = async (delta: CompletionDelta | undefined): Promise<void> => {
    if (stream && delta) firstTokenMs ??= clock.monotonic() - startedAt;
    if (!stream || !delta || !options.onDelta) return;
    begun = true;
    await hand(delta, options.onDelta, signal);
  };

  const trace = (): AttemptTrace => {
    const { id, model, usage } = assembly.seen;
    const latencyMs = clock.monotonic() - startedAt;
    return { latencyMs, firstTokenMs, httpStatus: guard.answer?.status ?? null, generationId: id, model, usage };
  };

  try {
    const body = buildRequestBody(params, provider);
    const answer = await requestChat({ baseUrl: provider.baseUrl, body, stream, fetch: guard.fetch });
    const completion = await collect(assembly, answer, params.model, guard, deliver);
    return {
      kind: 'succeeded',
      result: { ...completion, provider: provider.name, keyId: lease.keyId },
      settlement: settlementFor(completion, guard),
      trace: trace(),
    };
  } catch (error) {
    guard.close();
    const failure = identify(error, guard, signal);
    if (!failure) throw error;
    const context = {
      provider: provider.name,
      keyId: lease.keyId,
      redact: redactWith(lease.value, options.redactor, () => JSON.stringify(params)),
      now: clock.now(),
    };
    return { ...judgeFailure(failure, context), begun, trace: trace() };
  }
}

async function collect(
  assembly: Assembly,
  answer: ChatAnswer,
  model: string,
  guard: StallGuard,
  deliver: (delta: CompletionDelta | undefined) => Promise<void>,
): Promise<AssembledCompletion> {
  if (answer.kind === 'whole') {
    await deliver(assembly.addWhole(answer.document));
    return assembly.finish(model, true);
  }
  try {
    for await (const chunk of answer.chunks) await deliver(assembly.addChunk(chunk));
  } catch (error) {
    // All of the content is there and paid for: a connection that breaks behind it costs the usage at most.
    const isBroken = error instanceof ExchangeFailure && (error.kind === 'network' || error.kind === 'timeout');
    if (!isBroken || !assembly.isFinished) throw error;
  }
  return assembly.finish(model, guard.sawEnd);
}

function settlementFor({ usage }: AssembledCompletion, guard: StallGuard): LeaseOutcome {
  return {
    kind: 'succeeded',
    headers: guard.answer?.headers ?? {},
    ...(usage?.totalTokens === undefined ? {} : { tokens: usage.totalTokens }),
    ...(usage?.costUsd === undefined ? {} : { costUsd: usage.costUsd }),
  };
}

/** Hands over a delta and waits for room, but no longer than the caller is there. */
async function hand(delta: CompletionDelta, receive: DeltaReceiver, signal: AbortSignal): Promise<void> {
  try {
    const room = receive(delta);
    if (room) await untilAborted(room, signal);
  } catch (error) {
    throw new ReceiverFailure('the receiver of deltas failed', { cause: error });
  }
}

function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = (): void => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  return promise;
}

/** Says what an exception of an attempt means, or undefined for a defect. What the guard saw goes before what the SDK made of it. */
function identify(error: unknown, guard: StallGuard, signal: AbortSignal): AttemptFailure | undefined {
  if (signal.aborted) return { kind: 'cancelled', reason: signal.reason };
  if (error instanceof ReceiverFailure) return { kind: 'cancelled', reason: error.cause };
  if (error instanceof ErrorInAnswer) {
    return { kind: 'error-inside', error: error.error, headers: guard.answer?.headers ?? {} };
  }
  if (guard.failure) return { kind: 'exchange', failure: guard.failure };
  if (error instanceof GarbageAnswer) return { kind: 'garbage', what: error.message };
  const answer = guard.answer;
  if (answer && (answer.status < 200 || answer.status > 299)) return { kind: 'refusal', ...answer };
  return undefined;
}
