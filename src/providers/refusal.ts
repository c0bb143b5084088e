/**
 * From a provider's refusal, or from the lack of an answer, to the error that the caller gets.
 * Pure: sending is elsewhere.
 */

import { AipassError, type ErrorCode } from '../base/errors.ts';
import { CATALOGUE } from './catalogue.ts';
import type { FailureClass, Refusal } from './classify-failure.ts';
import { isPage, readError, safeReason, type Redact } from './error-reason.ts';
import { describeCertificateFailure } from '../base/network.ts';
import type { ExchangeFailure } from './http-exchange.ts';

/** The request, as far as its error message needs it. */
export interface RefusalContext {
  readonly provider: string;
  /** Name of the key's variable, where a key was used. */
  readonly keyId: string | null;
  readonly redact: Redact;
}

/**
 * Returns the error for a refusal of this class: PROVIDER_UNAVAILABLE where it may pass,
 * PROVIDER_REJECTED where not; the status is in its message.
 */
export function describeRefusal(refusal: Refusal, context: RefusalContext, failure: FailureClass): AipassError {
  const code: ErrorCode = failure.transient ? 'PROVIDER_UNAVAILABLE' : 'PROVIDER_REJECTED';
  const reason = safeReason(refusal.body, context.redact) ?? describeSilence(refusal, failure);
  const status = failure.status ?? refusal.status;
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
      const known = NETWORK_FAILURES[failure.detail];
      // The name in a built-in address is right.
      const isBuiltIn = known === NAME_UNKNOWN && isBuiltInHost(provider, failure.host);
      const hint = isBuiltIn ? undefined : known?.hint;
      const problem = `${provider} ${known?.problem ?? 'cannot be reached'} (${failure.detail})`;
      return new AipassError('PROVIDER_UNAVAILABLE', certificate ? `${provider}: ${certificate.problem}` : problem, {
        hint: certificate?.hint ?? hint ?? 'check the network, then try again',
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
    case 'not-public':
      return new AipassError('BAD_REQUEST', `${provider}: ${failure.detail}`, {
        hint: 'correct the base URL of the credential, or list its host in network.allowedHosts of the configuration',
        cause: failure,
      });
    case 'aborted':
      if (failure.cause instanceof AipassError) return failure.cause;
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

/** Returns what stands for the reason of a refusal that gave none. */
function describeSilence({ headers }: Refusal, { reason }: FailureClass): string {
  if (reason === 'redirect') return 'a redirect, which is not followed because the key would go along';
  return isPage(headers) ? 'a web page, no reason' : 'no reason given';
}

const NAME_UNKNOWN = {
  problem: 'cannot be reached: its name is not known',
  hint: 'check the network and the address in the configuration',
};

/** Returns whether a host is the one of the provider's address in the catalogue. */
function isBuiltInHost(provider: string, host: string | undefined): boolean {
  const baseUrl = Object.hasOwn(CATALOGUE, provider) ? CATALOGUE[provider]?.baseUrl : undefined;
  return baseUrl !== undefined && (host === undefined || new URL(baseUrl).hostname === host);
}

const BROKEN = { problem: 'broke the connection off' };

/** Problem and hint by the code of a failed connection. */
const NETWORK_FAILURES: Readonly<Record<string, { readonly problem: string; readonly hint?: string }>> = {
  ECONNREFUSED: {
    problem: 'cannot be reached: the connection was refused',
    hint: 'start the service, or correct its address in the configuration',
  },
  ENOTFOUND: NAME_UNKNOWN,
  EAI_AGAIN: NAME_UNKNOWN,
  ECONNRESET: BROKEN,
  EPIPE: BROKEN,
  ERR_PROXY_TUNNEL: {
    problem: 'cannot be reached: the proxy refused the way to it',
    hint: 'ask whoever runs the proxy, or correct "network.proxy" and "network.noProxy" in the configuration',
  },
};

function hintFor({ body }: Refusal, { provider, keyId }: RefusalContext, failure: FailureClass): string {
  switch (failure.reason) {
    case 'redirect':
      return `set "providers.${provider}.baseUrl" to the address it moved to`;
    case 'no-credit':
      // Waiting does not help an empty account, whatever its status.
      return `add credit to the account at ${provider}`;
    case 'unaffordable':
      return `shorten the messages, ask for fewer tokens, or raise credit and limits of the account at ${provider}`;
    case 'billing-account-blocked':
      return `ask ${provider} about the account: it is blocked`;
    case 'invalid-key':
      return keyId === null
        ? `add a key for ${provider} to the .env file`
        : `check ${keyId} in the .env file, then: aipassd validate ${provider} --online`;
    case 'no-access':
    case 'unexplained':
    case 'blocked-on-the-way':
      return `check what ${keyId ?? 'the account'} may do at ${provider}, and the model's terms`;
    case 'rate-limit':
    case 'daily-limit':
    case 'busy-budget':
      return 'wait, or add another key';
    default:
      break;
  }
  if (/stream_options/.test(readError(body).message ?? ''))
    return `set "providers.${provider}.streamUsageOption" to false in the configuration`;
  switch (failure.status) {
    case 404:
      return `check the name of the model (aipassd models --all), or "providers.${provider}.baseUrl"`;
    case 413:
      return 'shorten the messages';
    default:
      return failure.transient ? 'try again later' : 'check the parameters of the request';
  }
}
