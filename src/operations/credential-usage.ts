/**
 * Asks a provider how a credential is: is its key accepted, which models it may use, and how much
 * of its limits is left.
 *
 * The free endpoints are asked (model list, key check). Their answers rarely carry limits, so what
 * real traffic taught the pool fills the gaps, with its age. A paid sample is taken only on
 * request. The key goes to the credential's own base URL and nowhere else. What is unknown is null,
 * never 0.
 */

import { AipassError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import { readField, readNumber, readString, toRecord } from '../base/json.ts';
import type { Secret } from '../base/secret.ts';
import { classifyFailure, isLimit } from '../providers/classify-failure.ts';
import { readWindows } from '../providers/limit-windows.ts';
import type { LimitUnit, LimitWindow } from '../protocol/pool.ts';
import type {
  CredentialCredits,
  CredentialUsage,
  NamedUsageWindow,
  TokenUsageWindow,
  UsageWindow,
} from '../protocol/credential.ts';
import type { ModelInfo } from '../protocol/provider.ts';
import { askJson, type JsonAnswer } from '../providers/http.ts';
import { judgeKeyAnswer } from '../providers/key-check.ts';
import { readModelPage } from '../providers/models.ts';
import type { Provider } from '../providers/provider.ts';
import { redactWith } from '../providers/error-reason.ts';
import { describeRefusal } from '../providers/refusal.ts';
import type { RawEvent } from '../usage/event.ts';

export interface UsageQuestion {
  readonly accountKey: string;
  /** The provider, with the credential's base URL in its addresses. */
  readonly provider: Provider;
  readonly key: Secret | null;
  /** Variable of the key, or null for a key that is not saved. */
  readonly keyId: string | null;
  /** Windows that earlier traffic with this key taught the pool. */
  readonly seenWindows: readonly LimitWindow[];
}

/** Result of asking: the report, and what the pool should learn of it. */
export interface UsageFinding {
  readonly usage: CredentialUsage;
  /** Status with which the provider refused the key, or null. */
  readonly refusedStatus: number | null;
  readonly accepted: boolean;
}

/** A paid sample: one completion of at most 16 tokens. */
interface UsageSample {
  readonly model: string;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
  readonly latencyMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Takes a paid sample with the cheapest of these models.
 *
 * @throws AipassError when no model is known or the provider refuses.
 */
export type TakeSample = (
  subject: UsageQuestion,
  models: readonly ModelInfo[],
  signal: AbortSignal,
) => Promise<UsageSample>;

/** Header names that speak of limits, in any provider's spelling. */
const LIMIT_HEADER = /rate-?limit|token-?limit|call-(?:limit|remaining)|^retry-after/;

/**
 * Asks the provider. A refusal or a failure is part of the report; only an aborted signal throws.
 *
 * @throws AipassError CANCELLED when the signal aborts.
 */
export async function fetchCredentialUsage(
  subject: UsageQuestion,
  { clock, signal, takeSample }: { clock: Clock; signal: AbortSignal; takeSample?: TakeSample | undefined },
): Promise<UsageFinding> {
  const { provider, key } = subject;
  const found: Findings = {
    answers: [],
    models: null,
    error: null,
    refusedStatus: null,
    accepted: false,
    sample: null,
  };
  if (key === null && provider.needsKey) found.error = 'no api key';
  else {
    const { keyCheck, modelsUrl } = provider;
    if (keyCheck !== null) await ask(found, keyCheck, subject, { clock, signal, provesKey: true });
    if (modelsUrl !== null && found.refusedStatus === null) {
      const provesKey = keyCheck === null && !provider.modelsArePublic;
      const answer = await ask(found, { method: 'GET', url: modelsUrl }, subject, { clock, signal, provesKey });
      const page = answer && isOk(answer.status) ? readModelPage(answer.body, redactWith(key)) : undefined;
      if (page) found.models = page.models;
    }
    if (takeSample && found.refusedStatus === null) await sample(found, subject, takeSample, signal);
    if (!found.accepted) found.error ??= `${provider.name} has no free endpoint that proves a key`;
  }
  return { usage: describe(found, subject, clock.now()), refusedStatus: found.refusedStatus, accepted: found.accepted };
}

/** Rules for an answer of which only a document is expected, whatever is in it. */
const ANY_DOCUMENT = { invalidStatuses: [], mustBeTrue: [], mustNotBeTrue: [] } as const;

interface Findings {
  answers: JsonAnswer[];
  models: readonly ModelInfo[] | null;
  error: string | null;
  refusedStatus: number | null;
  accepted: boolean;
  sample: UsageSample | null;
}

async function ask(
  found: Findings,
  request: { readonly method: 'GET' | 'POST'; readonly url: string },
  { provider, key }: UsageQuestion,
  { clock, signal, provesKey }: { clock: Clock; signal: AbortSignal; provesKey: boolean },
): Promise<JsonAnswer | undefined> {
  try {
    const answer = await askJson(provider, key, request, signal, clock);
    found.answers.push(answer);
    if (isOk(answer.status)) {
      const check = provider.keyCheck?.url === request.url ? provider.keyCheck : { ...request, ...ANY_DOCUMENT };
      const context = { provider: provider.name, keyId: null, redact: redactWith(key) };
      const judged = judgeKeyAnswer(answer, check, context, clock.now());
      if (judged.kind === 'valid') found.accepted ||= provesKey || !provider.needsKey;
      else if (judged.kind === 'unknown') found.error ??= judged.reason;
      else {
        found.refusedStatus = answer.status;
        found.error = `the key is not accepted (${judged.reason})`;
      }
    } else if (isRefusalOfKey(answer, provider, clock.now())) {
      found.refusedStatus = answer.status;
      found.error = `the key is not accepted (${answer.status})`;
    } else found.error ??= `the provider answered ${answer.status}`;
    return answer;
  } catch (error) {
    if (!(error instanceof AipassError) || error.code === 'CANCELLED') throw error;
    found.error ??= error.message;
    return undefined;
  }
}

async function sample(found: Findings, subject: UsageQuestion, take: TakeSample, signal: AbortSignal): Promise<void> {
  const models = found.models ?? subject.provider.models.map((id) => ({ id }));
  try {
    found.sample = await take(subject, models, signal);
    found.accepted = true;
  } catch (error) {
    if (!(error instanceof AipassError) || error.code === 'CANCELLED') throw error;
    found.error ??= error.message;
  }
}

function isOk(status: number): boolean {
  return status >= 200 && status <= 299;
}

/** Returns whether a refusal is that of a key, or one whose cause is unknown. */
function isRefusalOfKey(answer: JsonAnswer, { name, keyCheck }: Provider, now: number): boolean {
  const { reason } = classifyFailure(name, { ...answer, invalidStatuses: keyCheck?.invalidStatuses }, now);
  return reason === 'invalid-key' || reason === 'unexplained';
}

function describe(found: Findings, { accountKey, provider, seenWindows }: UsageQuestion, now: number): CredentialUsage {
  const headers = [...found.answers.map((answer) => answer.headers), ...(found.sample ? [found.sample.headers] : [])];
  const fresh = headers.flatMap((one) => [...readWindows(provider.name, one, now)]);
  const windows = [...fresh, ...seenWindows.filter(({ name }) => !fresh.some((window) => window.name === name))];
  const limitHeaders = headers.flatMap((one) => Object.keys(one)).filter((name) => LIMIT_HEADER.test(name));
  return {
    provider: provider.name,
    account_key: accountKey,
    checked_at: new Date(now).toISOString(),
    reachable: found.accepted && found.refusedStatus === null,
    error: found.accepted && found.refusedStatus === null ? null : found.error,
    tokens: tokenWindow(windows, 'tokens', now),
    input_tokens: tokenWindow(windows, 'input-tokens', now),
    output_tokens: tokenWindow(windows, 'output-tokens', now),
    requests: requestWindow(windows, now),
    windows: windows.map((window) => namedWindow(window, now)),
    credits: found.answers.map((answer) => readCredits(answer.body)).find((credits) => credits !== null) ?? null,
    models: found.models?.map(({ id }) => id) ?? (provider.models.length > 0 ? provider.models : null),
    sample_model: found.sample?.model ?? null,
    sample_input_tokens: found.sample?.inputTokens ?? null,
    sample_output_tokens: found.sample?.outputTokens ?? null,
    sample_latency_ms: found.sample?.latencyMs ?? null,
    debug_rate_limit_headers: limitHeaders.length === 0 ? null : [...new Set(limitHeaders)].toSorted(),
  };
}

/** Returns the share of a limit that is left, 0 to 1; 1 where that is unknown. */
function shareLeft({ limit, remaining }: LimitWindow): number {
  return limit === null || remaining === null || limit === 0 ? 1 : remaining / limit;
}

/** Returns the window with the smallest share left, which stops the calls first. */
function tightest(windows: readonly LimitWindow[], unit: LimitUnit): LimitWindow | undefined {
  return windows.filter((window) => window.unit === unit).toSorted((a, b) => shareLeft(a) - shareLeft(b))[0];
}

function tokenWindow(windows: readonly LimitWindow[], unit: LimitUnit, now: number): TokenUsageWindow | null {
  const window = tightest(windows, unit);
  return window ? describeWindow(window, now) : null;
}

function requestWindow(windows: readonly LimitWindow[], now: number): UsageWindow | null {
  const window = tightest(windows, 'requests');
  if (!window) return null;
  const { limit, remaining, reset_at, reset_in_ms } = describeWindow(window, now);
  return { limit, remaining, reset_at, reset_in_ms };
}

function namedWindow(window: LimitWindow, now: number): NamedUsageWindow {
  const { name, unit, per, seenAt } = window;
  return { name, unit, per, ...describeWindow(window, now), seen_at: new Date(seenAt).toISOString() };
}

function describeWindow({ limit, remaining, used, percent, resetAt }: LimitWindow, now: number): TokenUsageWindow {
  // A window that has been reset since then does not show what is left now.
  const isPast = resetAt !== null && resetAt <= now;
  return {
    limit,
    remaining: isPast ? null : remaining,
    used: isPast ? null : used,
    pct_used: isPast ? null : percent,
    reset_at: resetAt === null || isPast ? null : new Date(resetAt).toISOString(),
    reset_in_ms: resetAt === null || isPast ? null : resetAt - now,
  };
}

/**
 * Returns the money that a key check reports: OpenRouter's `GET /key`, DeepSeek's `GET
 * /user/balance`, Moonshot's `GET /users/me/balance`. Null for any other document.
 */
function readCredits(body: unknown): CredentialCredits | null {
  const data = toRecord(readField(body, 'data'));
  if ('limit_remaining' in data) {
    return {
      limit: readNumber(data, 'limit') ?? null,
      remaining: readNumber(data, 'limit_remaining') ?? null,
      used: readNumber(data, 'usage') ?? null,
      currency: 'USD',
    };
  }
  if ('available_balance' in data) {
    return { limit: null, remaining: readNumber(data, 'available_balance') ?? null, used: null, currency: 'CNY' };
  }
  const balances = readField(body, 'balance_infos');
  const [balance]: unknown[] = Array.isArray(balances) ? balances : [];
  const total = readString(balance, 'total_balance');
  if (total === undefined || !/^-?\d+(?:\.\d+)?$/.test(total)) return null;
  return { limit: null, remaining: Number(total), used: null, currency: readString(balance, 'currency') ?? 'CNY' };
}

const SAMPLE_OPERATION = 'credential.sample';

/** Most tokens of a sample's answer: the least that every provider accepts. */
const MAX_TOKENS = 16;

/** Pattern of the names of small models, for providers that list no prices. */
const SMALL_MODEL = /mini|nano|small|haiku|flash|lite|instant|8b|7b/i;

/** Models that do not chat. */
const OTHER_MODEL = /embed|whisper|tts|image|moderation|rerank|audio|dall-e|transcri/i;

/** Returns the price of a token in and a token out, in US dollars; infinite where unknown. */
function priceOf({ promptPrice, completionPrice }: ModelInfo): number {
  return promptPrice === undefined
    ? Number.POSITIVE_INFINITY
    : Number(promptPrice) + Number(completionPrice ?? promptPrice);
}

/** Returns the model that costs least by its price, else a small one by its name. */
function cheapestModel(models: readonly ModelInfo[]): string | undefined {
  const chats = models.filter(({ id }) => !OTHER_MODEL.test(id));
  const [cheapest] = chats.toSorted((a, b) => priceOf(a) - priceOf(b));
  if (cheapest && Number.isFinite(priceOf(cheapest))) return cheapest.id;
  return (chats.find(({ id }) => SMALL_MODEL.test(id)) ?? chats[0])?.id;
}

/**
 * Makes the function that takes samples. A sample is one completion of at most 16 tokens, to prove
 * a key that no free endpoint proves. It also brings the limits that only real answers carry. Each
 * is recorded as a call.
 */
export function createSampler(record: (event: RawEvent) => void, clock: Clock): TakeSample {
  return async ({ provider, key, keyId }, models, signal) => {
    const model = cheapestModel(models);
    if (model === undefined) {
      throw new AipassError('NOT_FOUND', `${provider.name} lists no model for a sample`, {
        hint: `name one in the configuration: providers.${provider.name}.models`,
      });
    }
    const body = JSON.stringify({
      model,
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: MAX_TOKENS,
      stream: false,
    });
    const began = clock.monotonic();
    const request = { method: 'POST', url: `${provider.baseUrl}/chat/completions`, body } as const;
    const answer = await askJson(provider, key, request, signal, clock);
    const latencyMs = Math.round(clock.monotonic() - began);
    const failure = isOk(answer.status) ? null : classifyFailure(provider.name, answer, clock.now());
    const usage = readField(answer.body, 'usage');
    const inputTokens = readNumber(usage, 'prompt_tokens') ?? null;
    const outputTokens = readNumber(usage, 'completion_tokens') ?? null;
    record({
      operation: SAMPLE_OPERATION,
      provider: provider.name,
      keyId,
      model,
      status: failure === null ? 'success' : isLimit(failure) ? 'reach_limit' : 'failed',
      httpStatus: answer.status,
      latencyMs,
      promptTokens: inputTokens,
      completionTokens: outputTokens,
    });
    if (failure) {
      throw describeRefusal(answer, { provider: provider.name, keyId: null, redact: redactWith(key) }, failure);
    }
    return { model, inputTokens, outputTokens, latencyMs, headers: answer.headers };
  };
}
