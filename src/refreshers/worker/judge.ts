/**
 * Judges what became of a request to a token endpoint. Pure: sending is exchange-fetch.ts's.
 */

import type { Redactor } from '../../base/redactor.ts';
import { explainRefusal } from '../remedy.ts';
import type { RefreshOutcome } from '../outcome.ts';
import { spokenError, UNKNOWN_ERROR } from './token-answer.ts';
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

/** Is why an account cannot talk to its provider as it is. */
export type Unusable = Extract<RefreshOutcome, { kind: 'unusable' }>;

/** Names the refusals that say nothing of the grant: request time-out, too early, too many (RFC 9110, 8470, 6585). */
const PATIENT_STATUS = new Set([408, 425, 429]);

/** Names the statuses of a refusal (RFC 6749 §5.2), also where its document has a shape of its own. */
const REFUSING_STATUS = new Set([400, 401]);

/** Says what is needed to judge an exchange besides its facts. */
export interface Judging {
  readonly account: string;
  /** Tells whether a user can consent anew; a service account and a client on its own behalf have none. */
  readonly consentable: boolean;
  readonly redactor: Redactor;
  readonly nestedAnswer?: string | undefined;
}

/**
 * Judges an exchange that brought no token. A refusal is what says so in the provider's own format, or comes with a status
 * that RFC 6749 §5.2 has for refusals; all else, such as a gateway's 403, says nothing of the grant and is tried again.
 */
export function judgeFailure(judging: Judging, facts: AnswerFacts): Failure {
  if (facts.kind === 'none') return { kind: 'transient', cause: 'network', reason: facts.reason };
  const { status, document, retryAfterMs } = facts;
  const again = (cause: 'network' | 'server', reason: string): Failure => ({
    kind: 'transient',
    cause,
    reason,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  if (status >= 500 || PATIENT_STATUS.has(status))
    return again('server', `the provider answered with status ${status}`);
  // A captive portal or a proxy, not the provider: being really online is what mends it.
  if (document === null) return again('network', `the answer (status ${status}) is not an OAuth answer`);
  const spoken = spokenError(document);
  if (spoken?.transient === true) return again('server', `the provider said ${spoken.code}`);
  if (spoken === undefined && status < 400) {
    return again('server', `the answer (status ${status}) holds no access token`);
  }
  const isRefusal =
    status < 400 || REFUSING_STATUS.has(status) || (spoken !== undefined && spoken.code !== UNKNOWN_ERROR);
  if (!isRefusal) return again('server', `the answer (status ${status}) names no OAuth error`);
  const code = spoken?.code ?? `http_${status}`;
  const description = spoken?.description === undefined ? undefined : judging.redactor.redact(spoken.description);
  return { kind: 'rejected', error: code, ...explainRefusal(judging, code, description) };
}
