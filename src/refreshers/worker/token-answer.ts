/**
 * Judges what a provider's endpoints sent: pure, and prepared for anything. Sending is
 * exchange.ts's.
 *
 * Tokens are read whatever habits the provider has. A refusal is one in the provider's own format,
 * or comes with a status that RFC 6749 §5.2 has for refusals. All else is a transient failure.
 */

import { isRecord, readString, type JsonObject } from '../../base/json.ts';
import type { Redactor } from '../../base/redactor.ts';
import { isTransientStatus } from '../../base/retry-after.ts';
import { Secret } from '../../base/secret.ts';
import { splitList } from '../../base/split-list.ts';
import { jwtTimes, parseTime, type GrantedTokens } from '../account-file.ts';
import { DEAD_TOKEN_WORDS, explainRefusal, explainUnfitAnswer, formatProviderError } from '../messages.ts';
import type { RefreshOutcome } from './job.ts';

/** Answer of the last request of an exchange, or why none came. */
export type ExchangeAnswer =
  | { readonly kind: 'none'; readonly reason: string }
  | {
      readonly kind: 'answer';
      readonly status: number;
      /** Address that was asked, without its query. */
      readonly address: string;
      /** The answer's document, or null where it is not one. */
      readonly document: JsonObject | null;
      readonly retryAfterMs: number | undefined;
      /** When it came, in epoch milliseconds. */
      readonly at: number;
    };

/** Judgement other than success. */
export type Failure = Extract<RefreshOutcome, { kind: 'transient' | 'rejected' }>;

/** Why an account cannot talk to its provider as it is. */
export type Unusable = Extract<RefreshOutcome, { kind: 'unusable' }>;

/** Answer whose tokens cannot be handed out; its refresh token must not be lost. */
interface UnfitAnswer {
  readonly kind: 'unfit';
  readonly reason: string;
  readonly remedy: string;
  readonly refreshToken: Secret | null;
}

/** Result of a request for tokens. */
export type GrantAnswer =
  { readonly kind: 'granted'; readonly tokens: GrantedTokens } | UnfitAnswer | Failure | Unusable;

/** Result of a revocation: null when the provider took it, `none` where it has no way to. */
export type RevocationAnswer = Failure | Unusable | { readonly kind: 'none' } | null;

/** Context for judging an exchange. */
export interface JudgeOptions {
  readonly account: string;
  /** Whether a user can consent anew. */
  readonly isConsentable: boolean;
  readonly redactor: Redactor;
  /** Texts that the caller sent: a mask on one would reveal whether it is part of a secret. */
  readonly sent?: string[];
  readonly nestedAnswer?: string | undefined;
}

/** Longest lifetime that is believed, in seconds (ten years). */
const MAX_LIFETIME_S = 315_360_000;

/** Pattern of an access token that a header can have (RFC 6749 appendix A.12). */
const ACCESS_TOKEN = /^[\x20-\x7e]{1,131072}$/;

/** Token types that need a proof with each request (RFC 9449, the MAC draft). */
const UNSUPPORTED_TYPE = /^(?:dpop|mac|pop)$/i;

/** Pattern of an error code that may be shown to people (RFC 6749 §5.2, shorter). */
export const ERROR_CODE = /^[A-Za-z0-9_.:-]{1,64}$/;

/** Stands for an error that has no code. */
export const UNKNOWN_ERROR = 'unknown_error';

/** Errors that ask for patience, by RFC 6749, RFC 8628, Slack and others. */
const PATIENCE = new Set([
  'temporarily_unavailable',
  'server_error',
  'slow_down',
  'ratelimited',
  'rate_limited',
  'internal_error',
  'fatal_error',
  'request_timeout',
  'service_unavailable',
  'rate_limit_exceeded',
  'request_limit_exceeded',
  'too_many_requests',
  'internal_failure',
  'internalerrorexception',
  'internal_server_error',
  'backend_error',
  'unavailable',
  'resource_exhausted',
]);

/** Codes of RFC 6749 and RFC 8628, whose meaning only the words for a limit of requests change. */
const STANDARD_CODES = new Set([
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'authorization_pending',
  'expired_token',
]);

/** Words for a limit under another code (Zoho, AWS). */
const LIMIT_WORDS =
  /too.?many|rate.?(?:limit|exceeded)|limit (?:has been |was |is )?(?:exceeded|reached)|reached your .*limit|throttl|quota.?exceeded/i;

/**
 * Words for a limit of requests. They count under a standard code too, because some providers limit
 * refreshes with one (Exact Online: invalid_grant, "Rate limit exceeded: access_token not expired";
 * Salesforce: "login rate exceeded", "token request is already being processed"; Microsoft:
 * AADSTS50196, "client request loop").
 */
const REQUEST_LIMIT_WORDS =
  /rate.?(?:limit|exceeded)|too.?many.?(?:\w+.?)?(?:requests|calls|attempts)|(?:request|call)s?.(?:limit|quota|rate|loop)|throttl|already being processed|retry your request|temporarily unavailable/i;

/** Words for a passing trouble where there is no code at all. */
const TROUBLE_WORDS = /try again (?:later|after|in)|retry|temporar(?:y|ily)|overload|unavailable/i;

/** Statuses of a refusal (RFC 6749 §5.2), also where its document has a shape of its own. */
const REFUSING_STATUS = new Set([400, 401]);

/** Error in a document: RFC 6749's `error`, or what some providers have instead. */
export interface SpokenError {
  readonly code: string;
  readonly description: string | undefined;
  /** Whether the error itself announces that trying again helps. */
  readonly transient: boolean;
}

/** Returns the error in a document, or undefined where there is none. */
export function spokenError(document: JsonObject): SpokenError | undefined {
  const value =
    ['error', '__type', 'errorCode', 'error_code', 'errorType'].map((name) => document[name]).find(isMeaningful) ??
    listedCode(document);
  const words = wordsOf(document, value);
  // A gateway in front of the provider may have no codes at all.
  if (value === undefined && !(words !== undefined && LIMIT_WORDS.test(words))) return undefined;
  const candidates = isRecord(value) ? ['code', 'status', 'type', '.tag'].map((name) => value[name]) : [value];
  const inner = candidates.find(isMeaningful);
  const isCode = typeof inner === 'string' && ERROR_CODE.test(inner);
  const code = isCode ? inner : UNKNOWN_ERROR;
  const parts = [
    typeof inner === 'string' && !isCode ? inner : undefined,
    words,
    readString(document, 'error_subtype'),
  ];
  const description = parts.filter((part) => part !== undefined && part !== '').join('; ') || undefined;
  return { code, description, transient: candidates.some(isTrouble) || isTransient(code, description) };
}

function isTrouble(code: unknown): boolean {
  return typeof code === 'number'
    ? // A code of the provider's own may be any number above the statuses.
      code <= 599 && isTransientStatus(code)
    : typeof code === 'string' && PATIENCE.has(code.toLowerCase());
}

/** Returns the standard code in a list of errors (Fitbit); other codes mean other things. */
function listedCode(document: JsonObject): string | undefined {
  const code = readString(firstError(document), 'errorType') ?? readString(firstError(document), 'code');
  return code !== undefined && STANDARD_CODES.has(code) ? code : undefined;
}

function firstError({ errors }: JsonObject): unknown {
  return Array.isArray(errors) ? errors[0] : undefined;
}

/** Returns a document's description of its error, under the names that providers have for that. */
function wordsOf(document: JsonObject, error: unknown = document['error']): string | undefined {
  const places = [
    [document, ['error_description', 'message']],
    [error, ['message']],
    [document, ['error_message', 'msg', 'errmsg', 'errorSummary', 'error_summary', 'reason', 'detail']],
    [firstError(document), ['message']],
  ] as const;
  const words = places.flatMap(([source, names]) => names.map((name) => readString(source, name)));
  // TikTok has more beside "error".
  const inner = readString(document['data'], 'description');
  return (
    words.find((text) => text !== undefined && text !== '' && text !== 'error') ??
    inner ??
    readString(document, 'message')
  );
}

function isMeaningful(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== '' && value !== 0;
}

function isTransient(code: string, description = ''): boolean {
  if (STANDARD_CODES.has(code)) return REQUEST_LIMIT_WORDS.test(description);
  const words = `${code} ${description}`;
  return LIMIT_WORDS.test(words) || (code === UNKNOWN_ERROR && TROUBLE_WORDS.test(words));
}

/** Names of RFC 6749 by those of some providers (DingTalk, AWS Cognito), without regard to case. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  accesstoken: 'access_token',
  refreshtoken: 'refresh_token',
  tokentype: 'token_type',
  expiresin: 'expires_in',
  expirein: 'expires_in',
  expiresat: 'expires_at',
};

/** Returns a document with the names of RFC 6749; where it has those already, they count. */
function withUsualNames(document: JsonObject): JsonObject {
  const other = Object.keys(document).filter((name) => Object.hasOwn(OTHER_NAMES, name.toLowerCase()));
  return other.length === 0
    ? document
    : { ...Object.fromEntries(other.map((name) => [OTHER_NAMES[name.toLowerCase()], document[name]])), ...document };
}

/** Deepest object of an answer in which tokens are searched for. */
const MAX_DEPTH = 3;

/** Returns the part with the tokens: the top, the provider's own field, or the only such object. */
function tokenSource(answer: JsonObject, nested: string | undefined): JsonObject {
  const document = withUsualNames(answer);
  if (typeof document['access_token'] === 'string') return document;
  const named = nested === undefined ? undefined : toTokens(document[nested]);
  if (named) return { ...document, ...named };
  const [inner, ...more] = tokensWithin(document, MAX_DEPTH);
  return inner === undefined || more.length > 0 ? document : { ...document, ...inner };
}

function tokensWithin(document: JsonObject, depth: number): readonly JsonObject[] {
  return Object.values(document).flatMap((value) => {
    const tokens = toTokens(value);
    if (tokens !== undefined) return [tokens];
    return isRecord(value) && depth > 1 ? tokensWithin(value, depth - 1) : [];
  });
}

function toTokens(value: unknown): JsonObject | undefined {
  const fields = isRecord(value) ? withUsualNames(value) : undefined;
  return typeof fields?.['access_token'] === 'string' ? fields : undefined;
}

/** Reads the tokens of an answer; one that cannot be handed out was refused before. */
function readTokens(source: JsonObject, now: number): GrantedTokens {
  const accessToken = String(source['access_token']).trim();
  const refreshToken = refreshTokenOf(source);
  const expiresIn = lifetimeSeconds(source, accessToken, now);
  const refreshExpiresIn = refreshLifetimeSeconds(source, now);
  const scopes = splitList(readString(source, 'scope') ?? '');
  return {
    accessToken: new Secret(accessToken),
    ...(refreshToken === null ? {} : { refreshToken }),
    ...(expiresIn === undefined ? {} : { expiresIn }),
    ...(refreshExpiresIn === undefined ? {} : { refreshExpiresIn }),
    ...(scopes.length === 0 ? {} : { scopes }),
  };
}

function refreshTokenOf(source: JsonObject): Secret | null {
  const token = readString(source, 'refresh_token') ?? '';
  return token === '' ? null : new Secret(token);
}

/** Returns why an access token in an answer cannot be handed out, or undefined. */
function accessProblem(source: JsonObject): string | undefined {
  const token = source['access_token'];
  const type = source['token_type'];
  if (typeof type === 'string' && UNSUPPORTED_TYPE.test(type.trim())) {
    return `tokens of type ${type.trim()}, which need a proof of possession with each request, are not supported`;
  }
  if (typeof token !== 'string' || token.trim() === '') return 'it holds no access token';
  if (ACCESS_TOKEN.test(token.trim())) return undefined;
  return token.length > 131_072
    ? `its access token is too long (${token.length} characters)`
    : 'its access token holds characters that a header cannot have';
}

/**
 * Returns the lifetime in seconds: as answered, by its end, or by its own claim; 0 when it is over.
 */
function lifetimeSeconds(source: JsonObject, accessToken: string, now: number): number | undefined {
  const answered = wholeSeconds(source['expires_in']);
  if (answered === MAX_LIFETIME_S) {
    // Some providers send the end of the token in place of its lifetime.
    const untilEnd = ((parseTime(source['expires_in']) ?? 0) - now) / 1000;
    return untilEnd > 0 && untilEnd < MAX_LIFETIME_S ? wholeSeconds(untilEnd) : answered;
  }
  if (answered !== undefined) return answered;
  const end = parseTime(source['expires_at']) ?? parseTime(source['expires_on']) ?? parseTime(source['expiry']);
  if (end !== undefined) return wholeSeconds((end - now) / 1000);
  const claims = jwtTimes(accessToken);
  if (claims === undefined) return undefined;
  // A clock that is behind would make the token live longer than it does.
  return wholeSeconds((claims.expiresAt - Math.max(now, claims.obtainedAt ?? 0)) / 1000);
}

/** Returns how long the refresh token lives, in seconds; Keycloak has 0 for one without an end. */
function refreshLifetimeSeconds(source: JsonObject, now: number): number | null | undefined {
  for (const name of ['refresh_expires_in', 'refresh_token_expires_in', 'x_refresh_token_expires_in']) {
    const seconds = wholeSeconds(source[name]);
    if (seconds !== undefined) return seconds === 0 ? null : seconds;
  }
  const end = parseTime(source['refresh_token_expires_at']);
  return end === undefined ? undefined : wholeSeconds((end - now) / 1000);
}

/** Parses a number of seconds, also as text; one below zero is 0. */
function wholeSeconds(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return undefined;
  return Math.min(MAX_LIFETIME_S, Math.max(0, Math.floor(seconds)));
}

/** Returns the tokens of an answer, or what its lack of them means. */
export function judgeAnswer(facts: ExchangeAnswer, judging: JudgeOptions): GrantAnswer {
  if (!isSuccess(facts) || facts.document === null) return judgeFailure(facts, judging);
  const source = tokenSource(facts.document, judging.nestedAnswer);
  const problem = accessProblem(source);
  if (problem === undefined) return { kind: 'granted', tokens: readTokens(source, facts.at) };
  if (typeof source['access_token'] !== 'string' && typeof source['refresh_token'] !== 'string') {
    return judgeFailure(facts, judging);
  }
  return { kind: 'unfit', ...explainUnfitAnswer(facts.address, problem), refreshToken: refreshTokenOf(source) };
}

/** Returns null where a provider took a revocation. */
export function judgeRevocation(facts: ExchangeAnswer, judging: JudgeOptions): Failure | null {
  const isTaken = isSuccess(facts) && (facts.document === null || spokenError(facts.document) === undefined);
  return isTaken ? null : judgeFailure(facts, judging);
}

/** Start of a device flow (RFC 8628 §3.2). */
export interface DeviceAnswer {
  readonly kind: 'started';
  readonly deviceCode: Secret;
  readonly userCode: string;
  readonly verificationUri: string;
  readonly verificationUriComplete: string | undefined;
  readonly expiresInS: number;
  readonly intervalS: number;
}

/** Lifetime of a device code where the answer has none, in seconds: that of most providers. */
const USUAL_CODE_LIFETIME_S = 900;

/** Interval of the requests of a device flow where the answer has none, in seconds (§3.2). */
const USUAL_INTERVAL_S = 5;

/**
 * Reads the answer of a device endpoint: Google has `verification_url`, Microsoft's first version
 * numbers as texts, and others leave out what is required.
 */
export function judgeDeviceAnswer(facts: ExchangeAnswer, judging: JudgeOptions): DeviceAnswer | Failure {
  const document = isSuccess(facts) ? facts.document : null;
  const deviceCode = readString(document, 'device_code');
  const userCode = readString(document, 'user_code');
  const verificationUri = readString(document, 'verification_uri') ?? readString(document, 'verification_url');
  if (deviceCode === undefined || userCode === undefined || verificationUri === undefined) {
    return judgeFailure(facts, judging);
  }
  return {
    kind: 'started',
    deviceCode: new Secret(deviceCode),
    userCode,
    verificationUri,
    verificationUriComplete: readString(document, 'verification_uri_complete'),
    expiresInS: wholeSeconds(document?.['expires_in']) ?? USUAL_CODE_LIFETIME_S,
    intervalS: wholeSeconds(document?.['interval']) || USUAL_INTERVAL_S,
  };
}

function isSuccess(facts: ExchangeAnswer): facts is Extract<ExchangeAnswer, { kind: 'answer' }> {
  return facts.kind === 'answer' && facts.status >= 200 && facts.status <= 299;
}

/** Judges an exchange that brought no token. */
export function judgeFailure(facts: ExchangeAnswer, judging: JudgeOptions): Failure {
  if (facts.kind === 'none') return { kind: 'transient', cause: 'network', reason: facts.reason };
  const { status, document, retryAfterMs, address } = facts;
  const spoken = document === null ? undefined : spokenError(document);
  const said = spoken?.description ?? (document === null ? undefined : wordsOf(document));
  const { redactor, sent } = judging;
  const description = said === undefined ? undefined : redactor.redact(said, sent && (() => sent.join('\n')));
  const shown = spoken === undefined ? '' : `: ${formatProviderError({ code: spoken.code, description })}`;
  const again = (cause: 'network' | 'server', reason: string): Failure => ({
    kind: 'transient',
    cause,
    reason,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  if (isTransientStatus(status)) {
    return again('server', `the provider answered with status ${status}${shown}`);
  }
  // A captive portal or a proxy, not the provider: being really online is what helps.
  if (document === null) {
    const found = status >= 300 && status < 400 ? 'a redirect, which is not followed' : 'not an OAuth answer';
    return again('network', `the answer of ${address} (status ${status}) is ${found}`);
  }
  if (spoken?.transient === true) return again('server', `the provider asked to slow down${shown}`);
  // Some providers have numbers in place of codes, whatever the status (WeChat, Feishu, TikTok).
  const isDead = said !== undefined && DEAD_TOKEN_WORDS.test(said);
  if (spoken === undefined && status < 400 && !isDead) {
    return again('server', `the answer of ${address} (status ${status}) holds no access token`);
  }
  const isRefusal =
    status < 400 || REFUSING_STATUS.has(status) || isDead || (spoken !== undefined && spoken.code !== UNKNOWN_ERROR);
  if (!isRefusal) return again('server', `the answer of ${address} (status ${status}) has no OAuth error${shown}`);
  const error = { code: spoken?.code ?? (status < 400 ? UNKNOWN_ERROR : `http_${status}`), description };
  return {
    kind: 'rejected',
    error: error.code,
    ...(description === undefined ? {} : { description }),
    ...explainRefusal(judging.account, judging.isConsentable, error),
  };
}
