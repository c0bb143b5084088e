/**
 * Messages about accounts that end with an action: what `status`, alerts and callers get of a
 * failure, whoever met it. The errors that end a consent or a revocation stand here, too.
 *
 * Nothing here decides: providers change their texts, so control flow depends on error codes alone
 * (token-answer.ts).
 */

import { dirname } from 'node:path';
import { AipassError, systemErrorCode, type ErrorCode } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { plainText } from '../base/plain-text.ts';
import type { Warning } from '../base/warning.ts';
import { DEFAULT_ACCOUNT, GOOGLE, providerOf, splitAccountName } from './account-name.ts';
import { PRESETS } from './provider-presets.ts';

/** Reason of a failure, and the action that helps. */
export interface Explanation {
  readonly reason: string;
  readonly remedy: string;
}

/** Longest quotation of a provider's own words, in characters. */
const MAX_QUOTE = 300;

/** Returns the command line that asks an account's user for consent. */
export function reauthCommand(account: string, scopes: readonly string[] = []): string {
  const name = splitAccountName(account);
  const words = name.account === DEFAULT_ACCOUNT ? account : `${name.provider} --account ${name.account}`;
  return `aipassd reauth ${words}${scopes.length === 0 ? '' : ` --scopes ${scopes.join(',')}`}`;
}

/** Error of a provider: its code, and its own words, redacted. */
export interface ProviderError {
  readonly code: string;
  readonly description?: string | undefined;
}

/** Formats a provider's error: the code, and its own words in quotation marks. */
export function formatProviderError({ code, description }: ProviderError): string {
  return description === undefined || description === '' ? code : `${code} ("${plainText(description, MAX_QUOTE)}")`;
}

/** Words by which providers refuse a refresh token, under codes of all kinds. */
export const DEAD_TOKEN_WORDS =
  /(?:invalid|expired|revoked|unknown|incorrect|bad)\W?.{0,16}refresh.?token|refresh.?token.{0,40}(?:invalid|expired|revoked|incorrect|not found)/i;

/** Remedies for errors that a new consent alone cannot cure; the first that matches is used. */
const SPECIAL: readonly {
  readonly pattern: RegExp;
  readonly google?: true;
  readonly cause?: string;
  readonly remedy: (reauth: string) => string;
}[] = [
  {
    pattern: /invalid_rapt|rapt_required/,
    google: true,
    cause: "the organization's session control ends consents after some hours",
    remedy: (reauth) =>
      `${reauth}; to be asked less often, have the Workspace administrator trust the app or exempt it from Google Cloud session control`,
  },
  {
    pattern: /AADSTS7000222|client secret.{0,30}expired/i,
    cause: 'the client secret has expired',
    remedy: (reauth) =>
      `make a new client secret at the provider's console, and write it into the account's file; no consent is needed (else ${reauth})`,
  },
  {
    pattern: /deleted_client|disabled_client/,
    cause: 'the OAuth client was deleted or disabled',
    remedy: (reauth) =>
      `create a new OAuth client at the provider's console, save it in place of the old one, then ${reauth}`,
  },
  {
    pattern: /org_internal/,
    cause: 'the app is for members of one organization only',
    remedy: (reauth) =>
      `consent with an account of that organization, or make the app external on its consent screen page, then ${reauth}`,
  },
  {
    pattern:
      /admin_policy_enforced|Account restricted|AADSTS(?:90094|65001|90093|50105)|admin(?:istrator)? (?:consent|approval|must|has to)|requires admin/i,
    cause: "the organization's administrator does not allow it",
    remedy: (reauth) => `have the administrator of the organization allow the app and its scopes, then ${reauth}`,
  },
  {
    pattern: /user account is disabled|AADSTS50057|account has been (?:deleted|disabled)/i,
    cause: 'the user account was disabled or deleted',
    remedy: (reauth) => `have the account restored at the provider, or consent with another: ${reauth}`,
  },
];

function specialOf(error: ProviderError, google: boolean): (typeof SPECIAL)[number] | undefined {
  const words = `${error.code} ${error.description ?? ''}`;
  return SPECIAL.find((one) => (one.google !== true || google) && one.pattern.test(words));
}

const CHECK_CLIENT =
  'check client_id and client_secret, and "token_endpoint_auth_method" (client_secret_post, client_secret_basic or none)';

/** Explains the refusal of an account's grant at the token endpoint. */
export function explainRefusal(account: string, isConsentable: boolean, error: ProviderError): Explanation {
  const shown = formatProviderError(error);
  if (!isConsentable) return explainOwnRefusal(account, error.code, shown);
  const reauth = `run: ${reauthCommand(account)}`;
  const google = providerOf(account) === GOOGLE;
  const special = specialOf(error, google);
  if (special !== undefined) {
    return { reason: `the provider refused: ${shown}: ${special.cause ?? ''}`, remedy: special.remedy(reauth) };
  }
  const isDead = !google && DEAD_TOKEN_WORDS.test(`${error.code} ${error.description ?? ''}`);
  switch (isDead ? 'invalid_grant' : error.code) {
    case 'invalid_grant':
      return google
        ? {
            reason:
              `Google refused the refresh token: ${shown}. Usual causes: the app is "in testing" (its tokens end ` +
              'after seven days), six months without use, a changed password with Gmail scopes, or access withdrawn at ' +
              'myaccount.google.com/permissions',
            remedy: `${reauth}; if it happens every seven days, publish the app on the consent screen page of Google's console`,
          }
        : {
            reason: `the provider refused the refresh token: ${shown}. It has expired, was revoked, or another program used it up`,
            remedy: `${reauth}; make sure that no other program refreshes this account`,
          };
    case 'invalid_client':
    case 'unauthorized_client':
      return {
        reason: `the provider does not accept the client: ${shown}`,
        remedy: google
          ? `check client_id and client_secret in google_client_secret.json at the provider's console, then ${reauth}`
          : `${CHECK_CLIENT} against the provider's console, then ${reauth}`,
      };
    case 'invalid_scope':
      return {
        reason: `the provider does not grant these scopes any more: ${shown}`,
        remedy: `${reauth} --scopes <scopes that the app may ask for>`,
      };
    default:
      return { reason: `the provider refused: ${shown}`, remedy: reauth };
  }
}

/** Explains the refusal of a client on its own behalf: there is nobody who could consent. */
function explainOwnRefusal(account: string, code: string, shown: string): Explanation {
  const again = `aipassd tries again every few minutes; to try at once: aipassd refresh ${account}`;
  return code === 'invalid_grant'
    ? {
        reason: `the provider refused the key: ${shown}. Usual causes: this machine's clock is wrong, or the key or its account was disabled or deleted`,
        remedy: `check this machine's clock, then the account and its keys at the provider's console; ${again}`,
      }
    : {
        reason: `the provider refused: ${shown}`,
        remedy: `check id, secret and scopes in the account's file against the provider's console; ${again}`,
      };
}

/** Returns the action after a consent that the provider did not grant. */
function consentRemedy(account: string, error: ProviderError): string {
  const again = `run: ${reauthCommand(account)}`;
  const special = specialOf(error, providerOf(account) === GOOGLE);
  if (special !== undefined) return special.remedy(again);
  switch (error.code) {
    case 'access_denied':
      return 'start again and allow the access';
    case 'invalid_client':
    case 'unauthorized_client':
      return `${CHECK_CLIENT}, and which flows the client may use, at the provider's console`;
    case 'invalid_scope':
      return 'ask for scopes that the client may have: --scopes …';
    case 'invalid_request':
      return "compare what was sent with the provider's words, and the client's settings at its console";
    case 'redirect_uri_mismatch':
      return 'register the redirect address at the provider\'s console, or write the registered one as "redirect_uri"';
    default:
      return 'start again';
  }
}

/** Explains why an account without any failure has no token. */
export function explainMissingToken(account: string, hadToken: boolean): Explanation {
  const remedy = `run: ${reauthCommand(account)}`;
  return hadToken
    ? { reason: `the token of ${account} has expired, and there is no refresh token`, remedy }
    : { reason: `nobody has consented to ${account} yet`, remedy };
}

/** Reason for which a token that could be renewed is kept. */
export const RENEWED_OFTEN = 'it was renewed several times within the last minutes; the token is kept';

/** Explains why a valid token is kept that cannot be renewed. */
export function explainKept(expiresAt: number | null): string {
  const end = expiresAt === null ? 'is not known to expire' : `is valid until ${new Date(expiresAt).toISOString()}`;
  return `its token ${end}, and there is no refresh token`;
}

/** Explains why an account's last refresh failed; without a remedy there is nothing to do. */
export function explainWaiting(reason: string | null | undefined, remedy: string | undefined): Explanation {
  return {
    reason: reason ?? 'its token could not be renewed yet',
    remedy: remedy ?? 'wait: aipassd tries again; aipassd status shows when',
  };
}

/** Explains that the consent of an account ends at a known time, which refreshing does not move. */
export function explainConsentEnd(account: string, endsAt: number): Explanation {
  return {
    reason: `the consent to ${account} ends on ${new Date(endsAt).toISOString().slice(0, 16).replace('T', ' ')} UTC, and refreshing does not extend it`,
    remedy: `run before that: ${reauthCommand(account)}`,
  };
}

export function explainFile(account: string, file: string, problem: string): Warning {
  return { subject: file, problem, hint: `fix ${file}, or delete it and run: ${reauthCommand(account)}` };
}

export function explainCopy(file: string, original: string): Warning {
  return {
    subject: file,
    problem: `is a copy of ${original}: it holds the same refresh token, and is not refreshed`,
    hint: `delete ${file}, or keep copies outside the secrets folder`,
  };
}

export function explainAccountName(file: string): Warning {
  return {
    subject: file,
    problem: 'has a name that no account can have, and is not used',
    hint: 'rename it to <provider>.json or <provider>.<account>.json, of letters, digits and "_.@+-"; google has files of its own',
  };
}

export function explainCopyName(file: string, original: string): Warning {
  return {
    subject: file,
    problem: `is named like a copy of ${original}, and is not used`,
    hint: `delete ${file}, or rename it if it is an account of its own`,
  };
}

/** Warning about Google's client file where nobody has consented yet. */
export function explainUnusedClient(file: string): Warning {
  const hint = `run: ${reauthCommand(GOOGLE, ['drive.file'])}`;
  return { subject: file, problem: 'nobody has consented to google yet', hint };
}

/** Error for a token that lacks wanted scopes; the hint asks for the earlier scopes, too. */
export function lacksScopes(
  account: { readonly name: string; readonly file: string },
  isConsentable: boolean,
  requested: readonly string[],
  missing: readonly string[],
): AipassError {
  return new AipassError('REAUTH_REQUIRED', `the token of ${account.name} lacks ${missing.join(', ')}`, {
    hint: isConsentable
      ? `run: ${reauthCommand(account.name, [...new Set([...requested, ...missing])])}`
      : `add them to "scopes" in ${account.file}`,
  });
}

export function invalidAccountName(text: string): AipassError {
  return new AipassError('BAD_REQUEST', `invalid account name (got "${plainText(text, 64)}")`, {
    hint: 'a name is a provider such as "google", or a provider and an account such as "google.work"',
  });
}

/** Purpose of asking for an account: its token, which a consent brings, or what an old one has. */
export type AccountPurpose = 'token' | 'existing';

/** Error for an account that does not exist; `configured` are the configuration's providers. */
export function unknownAccount(
  name: string,
  purpose: AccountPurpose,
  accounts: readonly string[],
  configured: readonly string[],
): AipassError {
  return new AipassError('NOT_FOUND', `there is no OAuth account ${name}`, {
    hint: purpose === 'token' ? consentHint(name, accounts, configured) : existingHint(name, accounts),
  });
}

/** Returns the provider that a name may be a typing error of. */
export function nearProvider(name: string, others: readonly string[] = []): string | undefined {
  const known = [...Object.keys(PRESETS), ...others];
  const provider = providerOf(name);
  return known.includes(provider) ? undefined : nearest(name, known);
}

function consentHint(name: string, accounts: readonly string[], configured: readonly string[]): string {
  const near = nearest(name, accounts) ?? nearProvider(name, configured);
  const meant = near === undefined ? '' : ` (or did you mean "${near}"?)`;
  // Google gives a token for named scopes only; the others have some of their own.
  const scopes = providerOf(name) === GOOGLE ? ['drive.file'] : [];
  return `run: ${reauthCommand(name, scopes)}${meant}`;
}

function existingHint(name: string, accounts: readonly string[]): string {
  const near = nearest(name, accounts);
  if (near !== undefined) return `did you mean "${near}"?`;
  return accounts.length === 0 ? 'make one first: aipassd reauth <name>' : 'see: aipassd status';
}

/** Errors that end a consent, by what happened. */
export const consentErrors = {
  underWay: (account: string) =>
    badRequest(
      `a consent for ${account} is already under way`,
      'finish it in the browser, or end it with Ctrl-C where it was started',
    ),
  over: () => notFound('that consent is over', 'start again: aipassd reauth …'),
  ended: () =>
    new AipassError('CANCELLED', 'the consent was ended before it was given', {
      hint: 'start again: aipassd reauth …',
    }),
  timedOut: () => timedOut('nobody consented in time', 'start again'),
  codeExpired: () => timedOut('the code expired before it was entered', 'start again'),
  noDeviceFlow: (account: string) =>
    badRequest(
      `no device flow is known for ${account}`,
      'leave out --device and use --no-browser: it prints an address, and takes the address you end up at',
    ),
  noAuthorizationEndpoint: ({ name, file }: NamedFile) =>
    badRequest(
      `no authorization endpoint with https is known for ${name}`,
      `write "issuer", or "authorization_endpoint" and "token_endpoint", into ${file}`,
    ),
  foreignRedirect: () =>
    badRequest(
      'the redirect does not belong to this consent (wrong state)',
      'start again, and use the newest address only',
    ),
  otherAddress: (redirectUri: string) =>
    badRequest(
      `the pasted address is not the one that the browser was sent to (${redirectUri}…)`,
      'start again, and paste the whole address from the address bar after you have consented',
    ),
  invalidRedirectUri: () =>
    badRequest(
      '"redirect_uri" is not an address',
      'write the address that is registered for the client, such as http://127.0.0.1:8123/callback',
    ),
  portTaken: (port: number, cause: unknown) =>
    badRequest(`port ${port} of 127.0.0.1 is not available`, 'name another: --port 8123 (0 takes any free one)', cause),
  unreachable: (reason: string, isNetwork: boolean, retryAfterMs: number | undefined) =>
    unavailable(reason, isNetwork ? 'check the network and start again' : 'try again later', retryAfterMs),
  rejected: (account: string, error: ProviderError) =>
    refused(`the provider did not grant it: ${formatProviderError(error)}`, consentRemedy(account, error)),
  needless: (account: string, kind: string) =>
    badRequest(`${account} ${kind} and needs nobody's consent`, `refresh its token: aipassd refresh ${account}`),
  noScopes: () =>
    badRequest(
      'no scopes are named, and none are remembered for this account',
      'name them: --scopes drive.file,calendar.readonly',
    ),
  held: () =>
    new AipassError('INTERNAL', 'another process holds this account and does not finish', {
      hint: 'wait a minute, then start again: aipassd reauth …',
    }),
  unwritable: (file: string, cause: unknown, wereGranted = true) => {
    const { reason, remedy } = wereGranted ? explainUnsaved(file, cause) : explainWriteFailure(file, cause);
    return errorFrom('INTERNAL', { reason, remedy: `${remedy}, then start again` }, cause);
  },
} as const;

/** Errors that end a consent to an MCP server, by what its metadata or its registration lacks. */
export const mcpErrors = {
  noAnswer: (reason: string | undefined) =>
    unavailable(reason ?? 'the server did not answer', 'check the address and the network, then start again'),
  otherResource: (place: string, resource: string) =>
    refused(
      `${place} describes another resource (${resource})`,
      `give the address that the server has for itself: aipassd reauth ${resource}`,
    ),
  unprotected: (address: string) =>
    refused(
      `${address} does not ask for a token, and describes no way to get one`,
      'check the address; a server that needs no token needs no account',
    ),
  noPkce: (issuer: string) =>
    refused(
      `${issuer} does not support PKCE with S256`,
      "ask the server's operator: the Model Context Protocol demands it",
    ),
  silentIssuer: (issuer: string, other: string, why: string) =>
    refused(
      `the authorization server ${issuer} names ${other}, which has to publish its endpoints itself (${why})`,
      "ask the server's operator",
    ),
  noMetadata: (issuer: string, why: string) =>
    refused(`the authorization server ${issuer} does not publish its endpoints: ${why}`, "ask the server's operator"),
  issuerUnreachable: (reason: string) => unavailable(reason, 'check the network, then start again'),
  registrationFailed: (endpoint: string, shown: string, account: string) =>
    refused(
      `no client could be registered at ${endpoint} (${shown})`,
      `register one by hand, write its client_id into the account's file, then run: ${reauthCommand(account)}`,
    ),
  noRegistration: (issuer: string, { file }: NamedFile) =>
    badRequest(
      `${issuer} does not register clients by itself`,
      `register one by hand, write {"client_id": "…"} into ${file} (mode 600), then start again`,
    ),
} as const;

/** Errors that end a revocation. Nothing was revoked then, but for `leftBehind`. */
export const revocationErrors = {
  inRefresh: (account: string) => timedOut(`${account} is being refreshed`, 'try again in a minute'),
  noAccount: (account: string) => notFound(`there is no account ${account}`, 'see: aipassd status'),
  noToken: (account: string) =>
    notFound(`${account} holds no token`, `there is nothing to revoke; for a token: ${reauthCommand(account)}`),
  serviceAccount: ({ name, file }: NamedFile) =>
    badRequest(
      `${name} is a service account: its tokens end by themselves`,
      `to end its access, delete the key in Google Cloud console, then ${file}`,
    ),
  unreachable: (reason: string, retryAfterMs: number | undefined) =>
    unavailable(`${reason}; nothing was revoked`, 'try again when the provider can be reached', retryAfterMs),
  rejected: (error: ProviderError, { file }: NamedFile) =>
    refused(
      `the provider refused: ${formatProviderError(error)}; nothing was revoked`,
      `check client_id and client_secret, or end the access in your account settings there and delete ${file}`,
    ),
  unwritable: (file: string, cause: unknown) => errorFrom('INTERNAL', explainWriteFailure(file, cause), cause),
  leftBehind: (file: string, cause: unknown) => {
    const code = systemErrorCode(cause) ?? 'unknown reason';
    const reason = `the provider has ended the grant, but the tokens in ${file} could not be deleted (${code})`;
    return errorFrom('INTERNAL', { reason, remedy: `delete ${file}` }, cause);
  },
} as const;

interface NamedFile {
  readonly name: string;
  readonly file: string;
}

export function errorFrom(code: ErrorCode, { reason, remedy }: Explanation, cause?: unknown): AipassError {
  return new AipassError(code, reason, { hint: remedy, cause });
}

function badRequest(message: string, hint: string, cause?: unknown): AipassError {
  return new AipassError('BAD_REQUEST', message, { hint, cause });
}

function notFound(message: string, hint: string): AipassError {
  return new AipassError('NOT_FOUND', message, { hint });
}

function timedOut(message: string, hint: string): AipassError {
  return new AipassError('TIMED_OUT', message, { hint });
}

function refused(message: string, hint: string): AipassError {
  return new AipassError('PROVIDER_REJECTED', message, { hint });
}

function unavailable(message: string, hint: string, retryAfterMs?: number): AipassError {
  return new AipassError('PROVIDER_UNAVAILABLE', message, { hint, retryAfterMs });
}

export function explainWriteFailure(file: string, error: unknown): Explanation {
  const code = systemErrorCode(error) ?? 'unknown reason';
  const folder = dirname(file);
  const remedy =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? `free space on the disk of ${folder}`
      : `make ${folder} writable for this user`;
  return { reason: `${file} cannot be written (${code})`, remedy };
}

/** Error for a failure that nobody foresaw; its text can hold a secret, its name not. */
export function workerFailed(error: unknown): AipassError {
  const name = error instanceof Error ? error.name : 'unknown';
  return new AipassError('INTERNAL', `the worker failed: ${name}`, {
    hint: 'this is a bug: please report it, with this message',
  });
}

export function explainUnsaved(file: string, error: unknown): Explanation {
  const { reason, remedy } = explainWriteFailure(file, error);
  return { reason: `new tokens were granted, but ${reason}`, remedy };
}

/** Explains that an account has no client; `isUnknown` where its provider is not known either. */
export function explainMissingClient(
  { name, file, clientFile }: NamedFile & { readonly clientFile: string | null },
  isUnknown: boolean,
): Explanation {
  const near = isUnknown ? nearProvider(name) : undefined;
  const meant = near === undefined ? '' : `did you mean "${near}"? Else `;
  return {
    reason: `there is no client_id for ${name}`,
    remedy:
      providerOf(name) === GOOGLE
        ? `create an OAuth client of type "Desktop app" (for --device: "TVs and Limited Input devices") in Google's console and save its file as ${clientFile}`
        : `${meant}write {"client_id": "…", "client_secret": "…"} into ${clientFile ?? file} (mode 600)`,
  };
}

export function explainUnusableKey({ file }: NamedFile, reason: string): Explanation {
  return { reason, remedy: `write the client's key as "private_key" (PKCS #8 PEM, or a JWK) into ${file}` };
}

export function explainInvalidKey(): Explanation {
  return {
    reason: 'the private_key of the service account cannot be used to sign',
    remedy: 'create a new key for it in Google Cloud console and save it in place of this file',
  };
}

export function explainMissingEndpoint({ name, file }: NamedFile): Explanation {
  return {
    reason: `no token endpoint is known for ${name}`,
    remedy: `write "issuer", or "token_endpoint", into ${file}`,
  };
}

export function explainIssuer({ file }: NamedFile, reason: string): Explanation {
  return {
    reason,
    remedy: `write "issuer" into ${file} exactly as the provider names itself, or "token_endpoint" in its place`,
  };
}

/** Explains that a redirect does not come from the provider that was asked (RFC 9207). */
export function explainForeignIssuer(issuer: string): Explanation {
  return {
    reason: `the redirect does not come from ${issuer}: its parameter "iss" is missing or another's (RFC 9207)`,
    remedy: 'start again; if it happens again, report it to the provider',
  };
}

export function explainUnfitAnswer(address: string, problem: string): Explanation {
  return {
    reason: `the answer of ${address} cannot be used: ${problem}`,
    remedy: 'report it to the provider; if the tokens need a proof of possession, use a client that gets bearer tokens',
  };
}
