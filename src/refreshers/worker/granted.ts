/**
 * Turns the facts of an exchange into tokens or a failure: the one way out of both library files, so that nothing of a
 * library's error, whose fields can hold tokens, gets past them.
 */

import { Secret } from '../../base/secret.ts';
import type { GrantedTokens } from '../account-document.ts';
import { splitScopes } from '../json-fields.ts';
import { judgeFailure, type AnswerFacts, type Failure, type Judging } from './judge.ts';
import { normalizeTokenAnswer } from './token-answer.ts';

/** Is how a request for tokens ended. */
export type GrantAnswer = { readonly kind: 'granted'; readonly tokens: GrantedTokens } | Failure;

/** Returns the tokens of an answer, or what its lack of them means. */
export function grantAnswer(facts: AnswerFacts, judging: Judging): GrantAnswer {
  const tokens = grantedTokens(facts, judging.nestedAnswer);
  return tokens === undefined ? judgeFailure(judging, facts) : { kind: 'granted', tokens };
}

function grantedTokens(facts: AnswerFacts, nested: string | undefined): GrantedTokens | undefined {
  if (facts.kind !== 'answer' || facts.document === null || facts.status < 200 || facts.status > 299) return undefined;
  const answer = normalizeTokenAnswer(facts.document, nested);
  const accessToken = answer?.['access_token'];
  if (answer === undefined || typeof accessToken !== 'string') return undefined;
  const { refresh_token: refreshToken, expires_in: expiresIn, scope } = answer;
  return {
    accessToken: new Secret(accessToken),
    tokenType: 'Bearer',
    ...(typeof refreshToken === 'string' ? { refreshToken: new Secret(refreshToken) } : {}),
    ...(typeof expiresIn === 'number' ? { expiresIn } : {}),
    ...(typeof scope === 'string' && scope !== '' ? { scopes: splitScopes(scope) } : {}),
  };
}
