/**
 * From a provider's refusal, or from the lack of an answer, to the error that the caller gets.
 * Pure: sending is elsewhere.
 */

import { AipassError, type ErrorCode } from '../base/errors.ts';
import { classifyFailure, type FailureClass } from './classify-failure.ts';
import { readError, safeReason, type Redact } from './error-reason.ts';
import { describeCertificateFailure } from '../base/network.ts';
import type { ExchangeFailure } from './http-exchange.ts';

/** A refusal: a status that is not 2xx, or an error inside a 2xx. Header names are lower-case. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed error document, or undefined where there was none. */
  readonly body: unknown;
}

/** The request, as far as its error message needs it. */
export interface RefusalContext {
  readonly provider: string;
  /** Name of the key's variable, where a key was used. */
  readonly keyId: string | null;
  readonly redact: Redact;
  /** Epoch milliseconds. */
  readonly now: number;
}

/**
 * Returns the error for a refusal: PROVIDER_UNAVAILABLE where it may pass, PROVIDER_REJECTED where
 * not; the status is in its message.
 */
export function describeRefusal(
  refusal: Refusal,
  context: RefusalContext,
  failure: FailureClass = classifyFailure(context.provider, refusal, context.now),
): AipassError {
  const { status, body } = refusal;
  const code: ErrorCode = failure.transient ? 'PROVIDER_UNAVAILABLE' : 'PROVIDER_REJECTED';
  const reason = safeReason(body, context.redact) ?? describeStatus(refusal);
  const answered = status < 300 ? `${status} with an error` : String(status);
  return new AipassError(code, `${context.provider} answered ${answered}: ${reason}`, {
    hint: hintFor(refusal, context, failure),
    retryAfterMs: failure.retryAfterMs,
  });
}

/** Returns the error for an exchange that gave no answer. */
export function describeFailedExchange(failure: ExchangeFailure, provider: string): AipassError {
  switch (failure.kind) {
    case 'timeout':
      return new AipassError('TIMED_OUT', `${provider} sent ${failure.detail}`, {
        hint: `try again, or raise "providers.${provider}.timeoutMs" in the configuration`,
        cause: failure,
      });
    case 'network':
    case 'unreachable': {
      const certificate = describeCertificateFailure(failure.detail, failure.host ?? provider);
      const problem = `${provider} ${describeNetwork(failure.detail)} (${failure.detail})`;
      return new AipassError('PROVIDER_UNAVAILABLE', certificate ? `${provider}: ${certificate.problem}` : problem, {
        hint: certificate?.hint ?? NETWORK_HINTS[failure.detail] ?? 'check the network, then try again',
        cause: failure,
      });
    }
    case 'garbage':
      return describeGarbage(failure.detail, provider);
    case 'unsendable':
    case 'unsendable-key':
      return new AipassError('BAD_REQUEST', `${provider}: ${failure.detail}`, {
        hint: `check "providers.${provider}" in the configuration, and the key for blanks and quotes`,
        cause: failure,
      });
    case 'aborted':
      break;
  }
  return new AipassError('CANCELLED', `the request to ${provider} was ${failure.detail}`, { cause: failure });
}

/** Returns the error for an answer that makes no sense; `what` completes "answered with". */
export function describeGarbage(what: string, provider: string): AipassError {
  return new AipassError('PROVIDER_UNAVAILABLE', `${provider} answered with ${what}`, {
    hint: `try again; if it stays, check "providers.${provider}.baseUrl" in the configuration`,
  });
}

function describeStatus({ status, headers }: Refusal): string {
  if (status >= 300 && status < 400) return 'a redirect, which is not followed because the key would go along';
  return headers['content-type']?.includes('text/html') === true ? 'a web page, no reason' : 'no reason given';
}

const NETWORK_HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'start the service, or correct its address in the configuration',
  ENOTFOUND: 'check the network and the address in the configuration',
  ERR_PROXY_TUNNEL: 'ask whoever runs the proxy, or correct "network.proxy" and "network.noProxy" in the configuration',
};

function describeNetwork(code: string): string {
  switch (code) {
    case 'ECONNREFUSED':
      return 'cannot be reached: the connection was refused';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'cannot be reached: its name is not known';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'broke the connection off';
    case 'ERR_PROXY_TUNNEL':
      return 'cannot be reached: the proxy refused the way to it';
    default:
      return 'cannot be reached';
  }
}

function hintFor(refusal: Refusal, { provider, keyId }: RefusalContext, { reason, transient }: FailureClass): string {
  const { status } = refusal;
  if (status >= 300 && status < 400) return `set "providers.${provider}.baseUrl" to the address it moved to`;
  // Waiting does not help an empty account, whatever its status.
  if (reason === 'no-credit') return `add credit to the account at ${provider}`;
  if (reason === 'unaffordable' && (status === 413 || status === 429))
    return 'shorten the messages, or ask for fewer tokens';
  if (reason === 'unaffordable') return `ask for fewer tokens, or add credit to the account at ${provider}`;
  if (reason === 'account-blocked') return `ask ${provider} about the account: it is blocked`;
  if (/stream_options/.test(readError(refusal.body).message ?? ''))
    return `set "providers.${provider}.streamUsageOption" to false in the configuration`;
  switch (status) {
    case 401:
      return keyId === null
        ? `add a key for ${provider} to the .env file`
        : `check ${keyId} in the .env file, then: aipassd validate ${provider} --online`;
    case 403:
      return `check what ${keyId ?? 'the account'} may do at ${provider}, and the model's terms`;
    case 404:
      return `check the name of the model (aipassd models --all), or "providers.${provider}.baseUrl"`;
    case 413:
      return 'shorten the messages';
    case 429:
      return 'wait, or add another key';
    default:
      return transient ? 'try again later' : 'check the parameters of the request';
  }
}
