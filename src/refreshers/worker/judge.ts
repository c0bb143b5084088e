/**
 * Judges what became of a request to a token endpoint. Pure: sending is exchange-fetch.ts's.
 */

import type { Redactor } from '../../base/redactor.ts';
import { explainRefusal } from '../remedy.ts';
import type { RefreshOutcome } from '../outcome.ts';
import { spokenError } from './token-answer.ts';
import type { JsonObject } from '../json-fields.ts';

/** Is what is known of an exchange from outside: whether an answer came, and which. */
export type AnswerFacts =
  | { readonly kind: 'none'; readonly reason: string }
  | {
      readonly kind: 'answer';
      readonly status: number;
      /** Is the answer's document, or null where it is no JSON object. */
      readonly document: JsonObject | null;
      readonly retryAfterMs: number | undefined;
    };

/** Is a judgement that is not success. */
export type Failure = Extract<RefreshOutcome, { kind: 'transient' | 'rejected' }>;

/** Names the refusals that say nothing of the grant: request time-out, too early, too many (RFC 9110, 8470, 6585). */
const PATIENT_STATUS = new Set([408, 425, 429]);

/** Judges an exchange that brought no token. Whatever is no clear refusal in the provider's own format is to be tried again. */
export function judgeFailure(account: string, facts: AnswerFacts, redactor: Redactor): Failure {
  if (facts.kind === 'none') return { kind: 'transient', cause: 'network', reason: facts.reason };
  const { status, document, retryAfterMs } = facts;
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (status >= 500 || PATIENT_STATUS.has(status)) {
    return { kind: 'transient', cause: 'server', reason: `the provider answered with status ${status}`, ...retry };
  }
  if (document === null) {
    // A captive portal or a proxy, not the provider: being really online is what mends it.
    return {
      kind: 'transient',
      cause: 'network',
      reason: `the answer (status ${status}) is not an OAuth answer`,
      ...retry,
    };
  }
  const spoken = spokenError(document);
  if (spoken?.transient === true) {
    return { kind: 'transient', cause: 'server', reason: `the provider said ${spoken.code}`, ...retry };
  }
  if (spoken === undefined && status < 400) {
    return {
      kind: 'transient',
      cause: 'server',
      reason: `the answer (status ${status}) holds no access token`,
      ...retry,
    };
  }
  const code = spoken?.code ?? `http_${status}`;
  const description = spoken?.description === undefined ? undefined : redactor.redact(spoken.description);
  return { kind: 'rejected', error: code, ...explainRefusal(account, code, description) };
}
