/**
 * The meaning of failures, as data: the one table that classify-failure.ts reads. A row has what
 * was seen and the reason that it stands for; a reason has its consequences.
 *
 * A provider's message can quote the caller's own words. A message pattern is therefore anchored at
 * the start, and each row names the statuses that it holds for. The first row that matches decides:
 * rows for wordings come first, rows for a status alone after them.
 */

import { isTransientStatus } from '../base/retry-after.ts';
import type { LIMIT_REASONS } from '../protocol/pool.ts';
import type { ExchangeFailureKind } from './http-exchange.ts';
import type { RefusalDetails } from './refusal-details.ts';

/**
 * The party that a failure is blamed on. `model` is the model for the billing account of the key,
 * `billing-account` all keys of that account, `provider` the provider whichever key is used.
 */
export type Blame = 'request' | 'model' | 'key' | 'billing-account' | 'provider';

/**
 * The next step. `stop`: nothing would do better. `another-key`: the same request with the next
 * key. `again`: the same after a pause. `another-route`: a fallback provider or model.
 */
export type NextStep = 'stop' | 'another-key' | 'again' | 'another-route';

/** When a key is checked for free: at once, or when its cooldown ends, before the next call. */
export type CheckTime = 'never' | 'now' | 'after-cooldown';

export type FailureReason =
  // What is blamed cools down.
  | (typeof LIMIT_REASONS)[number]
  // The key is out until its file changes or a check passes.
  | 'invalid-key'
  | 'unsendable-key'
  // The request is refused, and nobody else concerned.
  | 'bad-request'
  | 'unaffordable'
  /**
   * A refusal whose cause is unknown: the key is checked, and another key may be asked, but no
   * third.
   */
  | 'unexplained'
  | 'misconfigured'
  /** The address of one credential may not be asked; its key is not to blame. */
  | 'not-public'
  | 'cancelled'
  // The provider failed, whichever key was used.
  | 'server-error'
  | 'timeout'
  | 'network'
  | 'unreachable'
  | 'garbage'
  | 'redirect'
  | 'blocked-on-the-way';

/** Usual consequences of a reason. */
export const CONSEQUENCES: Readonly<
  Record<FailureReason, { readonly blame: Blame; readonly next: NextStep; readonly check?: CheckTime }>
> = {
  'rate-limit': { blame: 'billing-account', next: 'another-key' },
  'daily-limit': { blame: 'billing-account', next: 'another-key' },
  'no-credit': { blame: 'billing-account', next: 'another-key', check: 'after-cooldown' },
  'busy-budget': { blame: 'billing-account', next: 'another-key' },
  'no-access': { blame: 'model', next: 'another-key' },
  'billing-account-blocked': { blame: 'billing-account', next: 'another-key', check: 'after-cooldown' },
  'invalid-key': { blame: 'key', next: 'another-key' },
  'unsendable-key': { blame: 'key', next: 'another-key' },
  'bad-request': { blame: 'request', next: 'stop' },
  unaffordable: { blame: 'request', next: 'another-key' },
  unexplained: { blame: 'request', next: 'another-key', check: 'now' },
  // A configuration with which nothing can be sent fails for good, and another provider has its
  // own.
  misconfigured: { blame: 'request', next: 'another-route' },
  'not-public': { blame: 'request', next: 'another-key' },
  cancelled: { blame: 'request', next: 'stop' },
  'server-error': { blame: 'provider', next: 'again' },
  // A time limit took so long that asking again would double the wait; another provider may be
  // faster.
  timeout: { blame: 'provider', next: 'another-route' },
  network: { blame: 'provider', next: 'again' },
  unreachable: { blame: 'provider', next: 'again' },
  garbage: { blame: 'provider', next: 'again' },
  redirect: { blame: 'provider', next: 'another-route' },
  'blocked-on-the-way': { blame: 'provider', next: 'another-route' },
};

/** Reason of each way in which there is no whole answer. */
export const REASON_WITHOUT_ANSWER: Readonly<Record<ExchangeFailureKind, FailureReason>> = {
  timeout: 'timeout',
  network: 'network',
  unreachable: 'unreachable',
  garbage: 'garbage',
  unsendable: 'misconfigured',
  'unsendable-key': 'unsendable-key',
  'not-public': 'not-public',
  aborted: 'cancelled',
};

/**
 * Status that the codes and types of an error inside a 2xx stand for: OpenAI's, Anthropic's and
 * MiniMax's lists of error codes. OpenRouter writes the status itself as the code.
 */
export const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  context_length_exceeded: 400,
  content_filter: 400,
  authentication_error: 401,
  invalid_api_key: 401,
  permission_error: 403,
  not_found_error: 404,
  model_not_found: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
  api_error: 500,
  server_error: 500,
  internal_server_error: 500,
  overloaded_error: 529,
  base_resp_1002: 429,
  base_resp_1004: 401,
  base_resp_1008: 402,
  base_resp_1039: 429,
  base_resp_2013: 400,
  base_resp_2049: 401,
};

/** Status of a refusal that a program reports by what it was, and without a status of its own. */
export const STATUS_OF_REPORT = { limited: 429, rejected: 401 } as const;

/**
 * Returns whether the same request may succeed later: after a transient status, and after an error
 * inside a 2xx without further detail.
 */
export function isTransient(status: number): boolean {
  return status < 300 || isTransientStatus(status);
}

/**
 * Returns whether the client of the gateway may see a refusal as its provider wrote it. It may not
 * see a redirect, nor what concerns our keys.
 */
export function isPassable({ status, blame }: { readonly status: number | null; readonly blame: Blame }): boolean {
  // A client takes a 401 for a refusal of its own credential.
  return status !== null && status >= 400 && status !== 401 && blame !== 'key' && blame !== 'billing-account';
}

/** Returns the reason of a status that no row is about. */
export function reasonOfOther(status: number): FailureReason {
  if (status < 300 || status >= 500) return 'server-error';
  return status < 400 ? 'redirect' : 'bad-request';
}

/** A refusal, and the reason that it stands for. */
export interface FailureRule {
  /**
   * Names of the providers that word it so; absent where the code is understood from any provider.
   */
  readonly providers?: readonly string[];
  /** Statuses that the rule holds for; absent for every 4xx but 408. */
  readonly statuses?: readonly number[];
  /**
   * Pattern of one of the codes: `code`, `type` or `status` of the error, or `reason` of a Google
   * error detail.
   */
  readonly code?: RegExp;
  /** Pattern of the message, anchored at its start. */
  readonly message?: RegExp;
  /** Conditions on the rest of the document and the head of the answer. */
  readonly detail?: (details: RefusalDetails, isPage: boolean) => boolean;
  readonly reason: FailureReason;
  /** Blame, where it differs from the usual one of the reason. */
  readonly blame?: Blame;
  readonly source: string;
}

/** The rules, in the order in which they are tried. */
export const FAILURE_RULES: readonly FailureRule[] = [
  {
    // Anthropic's words, which gateways pass on.
    statuses: [400, 403],
    message: /^Your credit balance is too low to access the (?:Anthropic|Claude) API/i,
    reason: 'no-credit',
    source: 'https://github.com/Wei-Shaw/sub2api/issues/1586',
  },
  {
    providers: ['anthropic'],
    statuses: [400, 403],
    message: /^You have reached your specified (?:workspace )?API usage limits/i,
    reason: 'no-credit',
    source: 'Anthropic documentation: spend limits',
  },
  {
    providers: ['anthropic'],
    statuses: [400, 401, 403],
    message: /^This organization has been disabled/i,
    reason: 'billing-account-blocked',
    source: 'https://github.com/Wei-Shaw/sub2api/issues/1586',
  },
  {
    code: /^(?:insufficient_quota|billing_hard_limit_reached|billing_not_active)$/,
    reason: 'no-credit',
    source: 'OpenAI documentation: error codes',
  },
  {
    // The same from other providers and gateways, whatever the status and the letter case.
    code: /^(?:insufficient_(?:balance|credits?|funds)(?:_error)?|(?:credits?|quota|balance)_(?:exhausted|depleted)|payment_required)$/i,
    reason: 'no-credit',
    source: 'Documentation of Vercel AI Gateway, Poe and MiniMax: errors',
  },
  {
    // Each key of Groq belongs to an organization with a spend limit of its own; the code differs
    // from the documented one.
    providers: ['groq'],
    statuses: [400, 403],
    code: /^(?:blocked_api_access|spend_\w{1,64})$/,
    reason: 'no-credit',
    source: 'https://console.groq.com/docs/spend-limits',
  },
  {
    providers: ['mistral'],
    statuses: [401, 403],
    message: /^Inactive subscription or usage limit reached/i,
    reason: 'no-credit',
    source: 'Mistral, as seen in answers of 2024 (403) and 2026 (401)',
  },
  {
    statuses: [403],
    code: /^customer_verification_required$/,
    reason: 'no-credit',
    source: 'https://github.com/0xzr/freellmpool/issues/68 (Vercel AI Gateway)',
  },
  {
    // Kimi's coding plans; the type of the error differs from one endpoint to the other.
    statuses: [403],
    message: /^You've reached your (?:\w+ (?:\([\w-]{1,16}\) )?)?usage limit\b/i,
    reason: 'no-credit',
    source: 'https://github.com/can1357/oh-my-pi/pull/11827 and https://github.com/NanmiCoder/cc-haha/issues/1208',
  },
  {
    // ElevenLabs: what is left would do for a smaller request.
    statuses: [401],
    message: /^This request exceeds your quota of/i,
    reason: 'unaffordable',
    source: 'https://github.com/home-assistant/core/issues/160414',
  },
  {
    statuses: [401, 402, 403],
    code: /^quota_exceeded$/i,
    reason: 'no-credit',
    source: 'https://github.com/elevenlabs/elevenlabs-docs/issues/301',
  },
  {
    // Tavily's statuses for the limit of the plan and for that of what is paid as used.
    statuses: [432, 433],
    message: /^This request exceeds (?:your plan's|the pay-as-you-go)/i,
    reason: 'no-credit',
    source: 'Tavily documentation: errors',
  },
  {
    // MiniMax answers an empty account with status 500, too.
    statuses: [400, 402, 403, 429, 500],
    message: /^insufficient balance \(1008\)/i,
    reason: 'no-credit',
    source: 'https://github.com/NousResearch/hermes-agent/issues/16680',
  },
  {
    code: /^(?:account_deactivated|organization_restricted|access_terminated)$/,
    reason: 'billing-account-blocked',
    source: 'OpenAI and Groq documentation: error codes',
  },
  {
    // OpenAI's and Groq's names; other models of the key are as good as before.
    statuses: [401, 403],
    code: /^model_(?:not_found|permission_)/,
    reason: 'no-access',
    source: 'OpenAI and Groq documentation: error codes',
  },
  {
    // LiteLLM refuses a model that is not the key's, its team's or its user's with 401.
    statuses: [401, 403],
    code: /^[a-z]+_model_access_denied$/,
    reason: 'no-access',
    source: 'https://github.com/winfunc/opcode/issues/358',
  },
  {
    statuses: [401, 403],
    message:
      /^(?:(?:Authentication Error, )?(?:API )?(?:key|token|team|user|project) not allowed to access|You do not have access to the|The project you are using does not have access to) model\b/i,
    reason: 'no-access',
    source: 'https://github.com/xenodium/chatgpt-shell/issues/254; OpenAI documentation: error codes',
  },
  {
    // A restricted key serves other endpoints as well as before.
    statuses: [401, 403],
    message: /^You have insufficient permissions for this operation/i,
    reason: 'unexplained',
    source: 'OpenAI documentation: API key permissions',
  },
  {
    providers: ['openrouter'],
    statuses: [402],
    message:
      /^(?:This request requires more credits|Prompt tokens limit exceeded)|^You requested up to .*can only afford/i,
    reason: 'unaffordable',
    source: 'OpenRouter, as seen in answers of 2026',
  },
  {
    providers: ['openrouter'],
    statuses: [403],
    message: /^Key limit exceeded/i,
    reason: 'no-credit',
    blame: 'key',
    source: 'OpenRouter documentation: limits of a key',
  },
  {
    // The status is that of the provider behind OpenRouter, which never saw this key.
    providers: ['openrouter'],
    statuses: [401, 402, 403],
    message: /^Provider returned error/i,
    reason: 'unexplained',
    source: 'OpenRouter documentation: errors',
  },
  {
    providers: ['google'],
    statuses: [400, 401, 403],
    code: /^API_KEY_(?:INVALID|SERVICE_BLOCKED|HTTP_REFERRER_BLOCKED|IP_ADDRESS_BLOCKED)$/,
    reason: 'invalid-key',
    source: 'google/api/error_reason.proto',
  },
  {
    // The same without the details, as gateways and the endpoint in OpenAI's dialect give it.
    providers: ['google'],
    statuses: [400],
    message: /^API key (?:not valid|expired|not found)/i,
    reason: 'invalid-key',
    source: 'Gemini API documentation: troubleshooting',
  },
  {
    providers: ['google'],
    statuses: [403],
    message: /^Your API key was reported as leaked/i,
    reason: 'invalid-key',
    source: 'Gemini API, as seen in answers of 2026',
  },
  {
    providers: ['google'],
    code: /^BILLING_DISABLED$/,
    reason: 'no-credit',
    source: 'google/api/error_reason.proto',
  },
  {
    providers: ['google'],
    statuses: [403],
    message: /^This API method requires billing to be enabled/i,
    reason: 'no-credit',
    source: 'Google Cloud documentation: errors about billing',
  },
  {
    providers: ['google'],
    statuses: [403],
    message: /^Your project has been denied access/i,
    reason: 'billing-account-blocked',
    source: 'Gemini API, as seen in answers of 2026',
  },
  {
    providers: ['google'],
    code: /^(?:SERVICE_DISABLED|CONSUMER_SUSPENDED|CONSUMER_INVALID)$/,
    reason: 'billing-account-blocked',
    source: 'google/api/error_reason.proto',
  },
  {
    // Accounts with billing may serve there, those without may not.
    providers: ['google'],
    statuses: [400],
    message: /^User location is not supported/i,
    reason: 'no-access',
    source: 'Gemini API documentation: troubleshooting',
  },
  {
    providers: ['xai'],
    statuses: [400],
    message: /^(?:Incorrect|Invalid) API key/i,
    reason: 'invalid-key',
    source: 'xAI documentation: error codes',
  },
  {
    providers: ['xai'],
    statuses: [403, 429],
    message: /^Your (?:newly created )?team\b.{0,200}\b(?:credits?|spending limit)\b/i,
    reason: 'no-credit',
    source: 'xAI, as seen in answers of 2026',
  },
  {
    code: /^exceeded_current_quota_error$/,
    reason: 'no-credit',
    source: 'https://github.com/MoonshotAI/kimi-code/pull/1857',
  },
  {
    providers: ['zhipu', 'zai', 'bigmodel'],
    code: /^1113$/,
    reason: 'no-credit',
    source: 'https://github.com/continuedev/continue/issues/11443',
  },
  {
    providers: ['zhipu', 'zai', 'bigmodel'],
    code: /^1112$/,
    reason: 'billing-account-blocked',
    source: 'Zhipu documentation: error codes',
  },
  {
    providers: ['zhipu', 'zai', 'bigmodel'],
    statuses: [429],
    code: /^1304$/,
    reason: 'daily-limit',
    source: 'Zhipu documentation: error codes',
  },
  {
    providers: ['fireworks'],
    statuses: [403, 412, 429],
    message: /^Account \S{1,128} is suspended/i,
    reason: 'no-credit',
    source: 'Fireworks, as seen in answers of 2026',
  },
  {
    providers: ['cohere'],
    statuses: [429],
    message: /^You are using a Trial key, which is limited to \d+ API calls \/ month/i,
    reason: 'no-credit',
    source: 'Cohere documentation: rate limits',
  },
  {
    statuses: [400, 403, 429],
    code: /^Arrearage$/,
    reason: 'no-credit',
    source: 'Alibaba Model Studio documentation: error codes',
  },
  {
    code: /^billing_error$/,
    reason: 'no-credit',
    source: 'Anthropic documentation: errors',
  },
  {
    // Other models of the account have free tiers of their own.
    code: /^AllocationQuota\.FreeTierOnly$/,
    reason: 'no-credit',
    blame: 'model',
    source: 'Alibaba Model Studio documentation: error codes',
  },
  {
    // The limit that the account's owner has set for one model.
    statuses: [429],
    code: /^SetLimitExceeded$/,
    reason: 'no-credit',
    blame: 'model',
    source: 'Volcengine Ark documentation: error codes',
  },
  {
    code: /^AccountOverdueError$/,
    reason: 'no-credit',
    source: 'Volcengine Ark documentation: error codes',
  },
  {
    code: /^NOT_ENOUGH_BALANCE$/,
    reason: 'no-credit',
    source: 'Novita documentation: error codes',
  },
  {
    code: /^insufficient_user_quota$/,
    reason: 'no-credit',
    source: 'https://github.com/QuantumNous/new-api: types/error.go',
  },
  {
    // One API's words for a key, and for its user, whose allowance is used up.
    statuses: [401, 403],
    message: /^(?:该令牌额度已用尽|用户额度不足)/,
    reason: 'no-credit',
    blame: 'key',
    source: 'https://github.com/songquanpeng/one-api: model/token.go',
  },
  {
    // The estimate for this one request is more than is left of the key's quota.
    code: /^pre_consume_token_quota_failed$/,
    reason: 'unaffordable',
    source: 'https://github.com/QuantumNous/new-api: types/error.go',
  },
  {
    // A budget can be that of the key, its user or its team; the others may have their own.
    code: /^budget_exceeded$/,
    reason: 'no-credit',
    blame: 'key',
    source: 'LiteLLM documentation: budgets and rate limits',
  },
  {
    providers: ['google'],
    statuses: [429],
    message: /^Your (?:prepayment credits are depleted|project has exceeded its (?:monthly )?spending cap)/i,
    reason: 'no-credit',
    source: 'Gemini API documentation: billing',
  },
  {
    // One request of more tokens than the account may use in a minute: waiting does not help, and a
    // key of a higher tier may. Groq answers 413, OpenAI 429.
    statuses: [413, 429],
    message: /^Request too large for /i,
    reason: 'unaffordable',
    source: 'OpenAI and Groq documentation: rate limits',
  },
  {
    statuses: [400, 403, 429],
    message:
      /^(?:(?:Insufficient|Not enough) (?:account )?(?:balance|credits?|funds)\b|(?:Sorry, )?(?:your )?account balance is (?:insufficient|not enough))/i,
    reason: 'no-credit',
    source: 'https://github.com/continuedev/continue/issues/11443 and SiliconFlow documentation: error codes',
  },
  // From here on the status alone decides.
  {
    // The status is that of a provider behind this one, which never saw this key.
    statuses: [401],
    detail: ({ upstream }) => upstream,
    reason: 'unexplained',
    source: 'OpenRouter documentation: errors',
  },
  { statuses: [401], reason: 'invalid-key', source: 'RFC 9110, 15.5.2' },
  {
    statuses: [402],
    detail: ({ creditLimit }) => creditLimit === 'in-flight',
    reason: 'busy-budget',
    source: 'OpenRouter documentation: limits of a key',
  },
  {
    statuses: [402],
    detail: ({ creditLimit }) => creditLimit === 'key',
    reason: 'no-credit',
    blame: 'key',
    source: 'OpenRouter documentation: limits of a key',
  },
  { statuses: [402], reason: 'no-credit', source: 'RFC 9110, 15.5.3' },
  {
    // A page for people is from something in between (a firewall, a proxy), which knows nothing of
    // the key.
    statuses: [403],
    detail: (_details, isPage) => isPage,
    reason: 'blocked-on-the-way',
    source: 'RFC 9110, 15.5.4',
  },
  {
    statuses: [403],
    detail: ({ moderated }) => moderated,
    reason: 'bad-request',
    source: 'OpenRouter documentation: errors',
  },
  { statuses: [403], reason: 'unexplained', source: 'RFC 9110, 15.5.4' },
  { statuses: [408], reason: 'server-error', source: 'RFC 9110, 15.5.9' },
  { statuses: [425], reason: 'server-error', blame: 'request', source: 'RFC 8470, 5.2' },
  { statuses: [429], reason: 'rate-limit', source: 'RFC 6585, 4' },
];
