/**
 * Turns a provider's refusal into words: why it may have refused, and what to do. Never decides anything: providers
 * change their texts, so control flow depends on the error code of RFC 6749 alone.
 */

import { plainText } from '../base/plain-text.ts';
import { parseAccountName, GOOGLE } from './account-name.ts';

/** Is what people are told of a refusal. */
export interface Explanation {
  readonly reason: string;
  readonly remedy: string;
}

/** Is the longest piece of a provider's own words that is passed on, in characters. */
const MAX_QUOTE = 200;

/** Is whose grant was refused. */
export interface RefusedGrant {
  readonly account: string;
  /** Tells whether a user can consent anew. */
  readonly consentable: boolean;
}

/** Explains a refusal of an account's grant; `description` must have gone through a redactor already. */
export function explainRefusal(
  { account, consentable }: RefusedGrant,
  error: string,
  description: string | undefined,
): Explanation {
  const said = description === undefined ? '' : ` ("${plainText(description, MAX_QUOTE)}")`;
  if (!consentable) return explainOwnRefusal(account, error, said);
  const reauth = `run: aipassd reauth ${reauthArguments(account)}`;
  const google = parseAccountName(account)?.provider === GOOGLE;
  switch (error) {
    case 'invalid_grant':
      return {
        reason: google
          ? `Google refused the refresh token: invalid_grant${said}. Usual causes: the app is "in testing" (its tokens end ` +
            'after seven days), six months without use, a changed password with Gmail scopes, or access withdrawn at ' +
            'myaccount.google.com/permissions'
          : `the provider refused the refresh token: invalid_grant${said}. It has expired, was revoked, or another program used it up`,
        remedy: google
          ? `${reauth}; if it happens every seven days, publish the app on the consent screen page of Google's console`
          : `${reauth}; make sure that no other program refreshes this account`,
      };
    case 'invalid_client':
    case 'unauthorized_client':
      return {
        reason: `the provider does not accept the client: ${error}${said}`,
        remedy: `check client_id and client_secret${google ? ' in google_client_secret.json' : ''} at the provider's console, then ${reauth}`,
      };
    case 'invalid_scope':
      return {
        reason: `the provider does not grant these scopes any more: ${error}${said}`,
        remedy: `${reauth} --scopes <scopes that the app may ask for>`,
      };
    default:
      return { reason: `the provider refused: ${error}${said}`, remedy: reauth };
  }
}

/** Explains the refusal of a service account, or of a client on its own behalf: there is nobody who could consent. */
function explainOwnRefusal(account: string, error: string, said: string): Explanation {
  const again = `it is tried again every few minutes, and at once by: aipassd refresh ${account}`;
  return error === 'invalid_grant'
    ? {
        reason: `the provider refused the key: ${error}${said}. Usual causes: this machine's clock is wrong, or the key or its account was disabled or deleted`,
        remedy: `check this machine's clock, then the account and its keys at the provider's console; ${again}`,
      }
    : {
        reason: `the provider refused: ${error}${said}`,
        remedy: `check id, secret and scopes in the account's file against the provider's console; ${again}`,
      };
}

/** Prints an account as arguments of `aipassd reauth`. */
export function reauthArguments(account: string): string {
  const name = parseAccountName(account);
  return name === undefined || name.account === 'default' ? account : `${name.provider} --account ${name.account}`;
}
