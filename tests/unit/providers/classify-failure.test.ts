import { describe, expect, test } from 'vitest';
import {
  classifyFailure,
  MAX_COOLDOWN_MS,
  MAX_DAILY_COOLDOWN_MS,
  type FailureClass,
} from '../../../src/providers/classify-failure.ts';
import { FAILURE_RULES } from '../../../src/providers/failure-table.ts';

const NOW = Date.parse('2026-06-15T12:00:10Z');
const HOUR = 3_600_000;
const NO_CREDIT = { blame: 'billing-account', reason: 'no-credit', next: 'another-key', cooldownMs: HOUR };

function classify(
  status: number,
  headers: Record<string, string> = {},
  body: unknown = null,
  provider = 'openai',
): FailureClass {
  return classifyFailure(provider, { status, headers, body }, NOW);
}

/** Classifies an error document with a message. */
function worded(provider: string, status: number, message: string, fields: object = {}): FailureClass {
  return classify(status, {}, { error: { message, ...fields } }, provider);
}

describe('who is blamed', () => {
  test.each([400, 404, 405, 409, 410, 413, 415, 422, 451])('by a %i is the request', (status) => {
    expect(classify(status, { 'retry-after': '60' })).toMatchObject({ blame: 'request', next: 'stop' });
  });

  test.each([408, 500, 502, 503, 504, 529, 599])('by a %i is the provider, not the key', (status) => {
    expect(classify(status)).toMatchObject({ blame: 'provider', next: 'again', transient: true });
  });

  test.each([
    ['network', 'provider', 'again'],
    ['unreachable', 'provider', 'again'],
    ['garbage', 'provider', 'again'],
    ['timeout', 'provider', 'another-route'],
    ['unsendable', 'request', 'another-route'],
    ['unsendable-key', 'key', 'another-key'],
    ['aborted', 'request', 'stop'],
  ] as const)('without an answer (%s) is the %s', (transport, blame, next) => {
    expect(classifyFailure('openai', { transport }, NOW)).toMatchObject({ blame, next, status: null });
  });

  test('by a 401 is the key alone', () => {
    expect(classify(401)).toMatchObject({ blame: 'key', reason: 'invalid-key', next: 'another-key', status: 401 });
  });

  test('by a 403 in unknown words is the request: the key is checked, and another one may be asked', () => {
    const unknown = { blame: 'request', reason: 'unexplained', next: 'another-key', check: 'now', cooldownMs: null };
    expect(worded('openrouter', 403, 'This model is not available in your region')).toMatchObject(unknown);
    expect(classify(403)).toMatchObject(unknown);
    expect(classify(403, { 'content-type': 'application/json' }, { message: 'Forbidden' })).toMatchObject(unknown);
    expect(worded('openai', 403, 'x', { code: 'unsupported_country_region_territory' })).toMatchObject(unknown);
  });

  test.each([401, 403])('by a %i of a provider behind OpenRouter is the request', (status) => {
    const error = { message: 'Provider returned error', metadata: { provider_name: 'Chutes' } };
    expect(classify(status, {}, { error }, 'openrouter')).toMatchObject({ blame: 'request', reason: 'unexplained' });
  });

  test('by a 403 that is a page for people is who put it there, not the key', () => {
    expect(classify(403, { 'content-type': 'text/html; charset=UTF-8' })).toMatchObject({
      blame: 'provider',
      next: 'another-route',
    });
  });

  test('by a redirect is the address, and no key does better', () => {
    expect(classify(308)).toMatchObject({ blame: 'provider', reason: 'redirect', next: 'another-route' });
  });

  test('by a 413 that calls itself a rate limit (Groq) is the request, which is too big', () => {
    expect(classify(413, {}, { error: { code: 'rate_limit_exceeded' } }, 'groq')).toMatchObject({ blame: 'request' });
  });

  test('by a 400 that reports a wrong key (xAI, Gemini) is the key', () => {
    const rejected = { blame: 'key', reason: 'invalid-key', status: 400 };
    expect(classify(400, {}, { code: 'x', error: 'Incorrect API key provided: xa***' }, 'xai')).toMatchObject(rejected);
    const gemini = { error: { code: 400, details: [{ reason: 'API_KEY_INVALID' }] } };
    expect(classify(400, {}, gemini, 'google')).toMatchObject(rejected);
    expect(classify(400, {}, [gemini], 'google')).toMatchObject(rejected);
    expect(worded('google', 403, 'Your API key was reported as leaked. Please use another API key.')).toMatchObject({
      reason: 'invalid-key',
    });
    expect(worded('google', 400, 'API key not valid. Please pass a valid API key.')).toMatchObject(rejected);
    expect(worded('google', 400, 'API key expired. Please renew the API key.')).toMatchObject(rejected);
    expect(classify(400, {}, { error: 'model is wrong' }, 'xai')).toMatchObject({ blame: 'request' });
  });

  test('by an error inside a 200 that does not say more is the provider', () => {
    expect(classify(200, {}, { error: 'the answer broke off' }, 'openrouter')).toMatchObject({
      blame: 'provider',
      status: 200,
    });
  });

  test.each([
    [{ code: 402 }, 402, 'no-credit'],
    [{ code: '403' }, 403, 'unexplained'],
    [{ type: 'overloaded_error' }, 529, 'server-error'],
    [{ type: 'invalid_request_error', code: 'strange' }, 400, 'bad-request'],
    [{ code: 'rate_limit_exceeded' }, 429, 'rate-limit'],
    [{ code: 'base_resp_1008' }, 402, 'no-credit'],
    [{ code: 'base_resp_2049' }, 401, 'invalid-key'],
    [{ code: 'constructor' }, 200, 'server-error'],
  ])('by the error %j inside a 200 is as by status %i', (fields, status, reason) => {
    expect(classify(200, {}, { error: { message: 'x', ...fields } })).toMatchObject({ status, reason });
  });

  test('by a moderated prompt (OpenRouter 403) is the request', () => {
    const body = { error: { code: 403, metadata: { reasons: ['violence'], flagged_input: '…' } } };
    expect(classify(403, {}, body, 'openrouter')).toMatchObject({ blame: 'request', next: 'stop' });
  });

  test.each([
    ['key not allowed to access model. This key can only access models=[]', { type: 'key_model_access_denied' }],
    ['refused', { type: 'team_model_access_denied' }],
    ['Authentication Error, API Key not allowed to access model. Tried to access x', {}],
    ['You do not have access to the model x', {}],
    ['x', { code: 'model_not_found' }],
  ])('by a 401 that is about the model (%s) does not take the key', (message, fields) => {
    expect(worded('acme', 401, message, fields)).toMatchObject({ blame: 'model', reason: 'no-access' });
  });

  test('by a 401 for an endpoint that a restricted key may not use does not take the key', () => {
    const message = 'You have insufficient permissions for this operation. Missing scopes: api.responses.write.';
    expect(worded('openai', 401, message, {})).toMatchObject({ blame: 'request', reason: 'unexplained', check: 'now' });
    expect(worded('openai', 401, 'Incorrect API key provided', {})).toMatchObject({ blame: 'key' });
  });

  test('by a model that the key may not use is the model for its account', () => {
    expect(worded('groq', 403, 'x', { code: 'model_permission_blocked_org' })).toMatchObject({
      blame: 'model',
      reason: 'no-access',
      cooldownMs: HOUR,
    });
  });
});

describe('an account without money, or one that is blocked', () => {
  test.each([
    ['anthropic', 400, 'Your credit balance is too low to access the Anthropic API.', {}],
    ['openai', 429, 'You exceeded your current quota', { code: 'insufficient_quota' }],
    ['openai', 401, 'Your account is not active', { code: 'billing_not_active' }],
    ['openai', 400, 'Billing hard limit has been reached', { code: 'billing_hard_limit_reached' }],
    [
      'moonshot',
      429,
      'Your account is suspended due to insufficient balance',
      { type: 'exceeded_current_quota_error' },
    ],
    ['zhipu', 429, 'Insufficient balance or no resource package. Please recharge.', { code: '1113' }],
    ['acme', 429, 'Insufficient balance or no resource package. Please recharge.', { code: '1113' }],
    ['zai', 429, 'Balance is insufficient', { code: 1113 }],
    ['deepseek', 402, 'Insufficient Balance', { code: 'invalid_request_error' }],
    ['fireworks', 412, 'Account acme is suspended, possibly due to reaching the monthly spending limit', {}],
    ['siliconflow', 403, 'Sorry, your account balance is insufficient', { code: 30001 }],
    [
      'volcengine',
      403,
      'The request failed because your account has an overdue balance.',
      { code: 'AccountOverdueError' },
    ],
    ['relay', 403, 'user quota is not enough', { type: 'new_api_error', code: 'insufficient_user_quota' }],
    ['anthropic', 400, 'x', { type: 'billing_error' }],
    ['google', 429, 'Your prepayment credits are depleted. Please go to AI Studio.', { code: 429 }],
    ['google', 429, 'Your project has exceeded its monthly spending cap.', { code: 429 }],
    ['gateway', 400, 'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing', {}],
    ['groq', 400, 'x', { code: 'blocked_api_access' }],
    ['groq', 400, 'x', { code: 'spend_limit_reached', type: 'invalid_request_error' }],
    ['mistral', 401, 'Inactive subscription or usage limit reached', {}],
    ['mistral', 403, 'Inactive subscription or usage limit reached', {}],
    ['vercel', 403, 'AI Gateway requires a valid credit card on file', { type: 'customer_verification_required' }],
    ['moonshot', 403, "You've reached your usage limit for this billing cycle.", { type: 'access_terminated_error' }],
    ['kimi', 403, "You've reached your weekly (7-day) usage limit. Your quota", { type: 'permission_error' }],
    ['minimax', 429, 'insufficient balance (1008)', { type: 'insufficient_balance_error' }],
    ['minimax', 500, 'insufficient balance (1008)', {}],
    ['acme', 403, 'x', { code: 'INSUFFICIENT_CREDITS' }],
    ['acme', 429, 'x', { type: 'credits_exhausted' }],
    ['acme', 403, 'x', { code: 'quota_exceeded' }],
    ['acme', 400, 'Not enough credits', {}],
    ['google', 403, 'This API method requires billing to be enabled. Please enable billing on project #1', {}],
  ])('is known of %s by a %i "%s"', (provider, status, message, fields) => {
    expect(worded(provider, status, message, fields)).toMatchObject({ ...NO_CREDIT, check: 'after-cooldown' });
  });

  test.each([
    ['anthropic', 400, 'This organization has been disabled.', {}],
    ['groq', 400, 'Organization has been restricted.', { code: 'organization_restricted' }],
    ['openai', 403, 'Your access was terminated', { type: 'access_terminated' }],
    ['google', 403, 'Your project has been denied access. Please contact support.', {}],
  ])('is known of %s by a %i "%s" as blocked', (provider, status, message, fields) => {
    expect(worded(provider, status, message, fields)).toMatchObject({
      blame: 'billing-account',
      reason: 'billing-account-blocked',
    });
  });

  test('is known of xAI, whose error is a text', () => {
    const body = { code: 'x', error: "Your newly created team doesn't have any credits yet." };
    expect(classify(403, {}, body, 'xai')).toMatchObject(NO_CREDIT);
  });

  test('is known of a reason beside the message', () => {
    const body = { code: 403, reason: 'NOT_ENOUGH_BALANCE', message: 'not enough balance' };
    expect(classify(403, {}, body, 'novita')).toMatchObject(NO_CREDIT);
  });

  test.each([
    ['key', 'litellm', 400, { type: 'budget_exceeded', code: '400' }],
    ['model', 'dashscope', 403, { code: 'AllocationQuota.FreeTierOnly' }],
    ['model', 'volcengine', 429, { code: 'SetLimitExceeded' }],
  ])('blames only the %s where %s says so', (blame, provider, status, fields) => {
    expect(worded(provider, status, 'x', fields)).toMatchObject({ blame, reason: 'no-credit', next: 'another-key' });
  });

  test.each([
    ['tavily', 432, { error: "This request exceeds your plan's set usage limit." }],
    ['elevenlabs', 401, { status: 'quota_exceeded', message: 'You have reached the limit' }],
  ])('is known of %s by a %i with its reason in "detail"', (provider, status, detail) => {
    expect(classify(status, {}, { detail }, provider)).toMatchObject(NO_CREDIT);
  });

  test('that has something left for a smaller request (ElevenLabs) is not one, and its key is not wrong', () => {
    const message =
      'This request exceeds your quota of 10000. You have 5 credits remaining, while 91 credits are required';
    const detail = { status: 'quota_exceeded', message };
    expect(classify(401, {}, { detail }, 'elevenlabs')).toMatchObject({ blame: 'request', reason: 'unaffordable' });
  });

  test('is not believed of a message that only quotes the words', () => {
    const quoting = 'messages.0: unexpected text "Your credit balance is too low"';
    expect(worded('anthropic', 400, quoting)).toMatchObject({ blame: 'request', next: 'stop' });
  });

  test('has nothing to do with a 402 about the size of one request', () => {
    const message =
      'This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 4705.';
    expect(worded('openrouter', 402, message)).toMatchObject({
      blame: 'request',
      reason: 'unaffordable',
      cooldownMs: null,
    });
  });

  test.each([
    ['groq', 413, 'Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000'],
    [
      'openai',
      429,
      'Request too large for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000, Requested 12000',
    ],
  ])(
    'has nothing to do with one request over the limit (%s, %i): a larger key may take it',
    (provider, status, message) => {
      const failure = classify(
        status,
        { 'retry-after': '6' },
        { error: { message, code: 'rate_limit_exceeded' } },
        provider,
      );
      expect(failure).toMatchObject({
        blame: 'request',
        reason: 'unaffordable',
        next: 'another-key',
        cooldownMs: null,
      });
      expect(failure).toMatchObject({ transient: false, retryAfterMs: undefined });
    },
  );

  test('has nothing to do with a relay that has too little left for one request', () => {
    expect(worded('relay', 403, 'token quota is not enough', { code: 'pre_consume_token_quota_failed' })).toMatchObject(
      {
        reason: 'unaffordable',
        next: 'another-key',
      },
    );
  });

  test('a limit of the key alone blames the key', () => {
    const message = 'Key limit exceeded (daily limit). Manage it using https://openrouter.ai/settings/keys';
    expect(worded('openrouter', 403, message)).toMatchObject({ blame: 'key', reason: 'no-credit' });
  });
});

describe('a 429', () => {
  test('cools down for the seconds of Retry-After', () => {
    expect(classify(429, { 'retry-after': '7' })).toMatchObject({
      cooldownMs: 7000,
      retryAfterMs: 7000,
      source: 'header',
      reason: 'rate-limit',
      blame: 'billing-account',
      transient: true,
    });
  });

  test('cools down until the date of Retry-After', () => {
    expect(classify(429, { 'retry-after': 'Mon, 15 Jun 2026 12:00:40 GMT' })).toMatchObject({ cooldownMs: 30_000 });
  });

  test.each([
    ['retry-after', String(NOW / 1000 + 90), 90_000],
    ['retry-after', '60s', 60_000],
    ['retry-after', '1.5', 1500],
    ['x-ratelimit-reset-after', '12.5', 12_500],
    ['ratelimit', '"default";r=0;t=44', 44_000],
    ['ratelimit', '"burst";r=5;t=3, "daily";r=0;t=70', 70_000],
    ['ratelimit', 'limit=100, remaining=0, reset=44', 44_000],
    ['ratelimit-reset', '31', 31_000],
    ['retry-after', '2026-06-15T12:00:40Z', 30_000],
    ['retry-after', '60 seconds', 60_000],
    ['retry-after', '"60"', 60_000],
    ['retry-after', String(NOW + 90_000), 90_000],
    ['x-retry-after', '60', 60_000],
    ['x-ratelimit-retry-after', '60', 60_000],
    ['ratelimit-reset', String(NOW / 1000 + 50), 50_000],
    ['ratelimit-reset', '2026-06-15T12:01:00Z', 50_000],
    ['x-rate-limit-reset', String(NOW / 1000 + 50), 50_000],
    ['x-ratelimit-reset', '6m0s', 360_000],
    ['x-ratelimit-reset', '6m 0s', 360_000],
    ['x-ratelimit-reset', '0d0h6m0s', 360_000],
    ['x-ratelimit-reset', 'Mon, 15 Jun 2026 12:01:00 GMT', 50_000],
    ['x-ratelimit-reset', String(NOW + 50_000), 50_000],
    ['x-ratelimit-reset-tokens-minute', '30', 30_000],
  ])('reads %s: %s', (name, value, cooldownMs) => {
    expect(classify(429, { [name]: value }, null, 'acme')).toMatchObject({ cooldownMs, source: 'header' });
  });

  test.each([
    [{ message: 'Rate limit reached. Please try again in 20s.' }, 20_000],
    [{ message: 'Rate limit reached. Please try again in 1m30.5s. Visit …' }, 90_500],
    [{ message: 'Please retry after 12 seconds.' }, 12_000],
    [{ message: 'x', resets_in_seconds: 972 }, 972_000],
    [{ message: 'x', retry_after: 12.3 }, 12_300],
    [{ message: 'x', retry_after: '12' }, 12_000],
    [{ message: 'x', resets_at: NOW / 1000 + 90 }, 90_000],
    [{ message: 'x', reset_at: new Date(NOW + 90_000).toISOString() }, 90_000],
    [{ message: 'Please wait 45 seconds before retrying.' }, 45_000],
    [{ message: 'Please try again in 1 minute and 30 seconds.' }, 90_000],
    [{ message: 'Try again in 1 hour.' }, HOUR],
    [{ message: 'Please retry in 41.234 seconds.' }, 41_234],
    [{ message: 'Rate limit exceeded, retry after 30' }, 30_000],
    [{ message: 'Try again in 5 mins' }, 300_000],
    [{ message: 'Please try again in an hour.' }, HOUR],
    [{ message: 'Your quota will reset after 3m13s.' }, 193_000],
    [{ message: 'Limit reached. Your limit resets in 2 minutes' }, 120_000],
    [{ message: 'Your limit will reset at 2026-06-15T12:10:10Z' }, 600_000],
    [{ message: 'Your limit will reset at 2026-06-15 12:10:10' }, 600_000],
    [{ message: 'x', retryAfter: 30 }, 30_000],
    [{ message: 'x', retry_after_ms: 30_000 }, 30_000],
    [{ message: 'x', metadata: { retry_after: 30 } }, 30_000],
    [{ message: 'x', metadata: { headers: { 'Retry-After': '30' } } }, 30_000],
    [{ message: 'x', details: { retry_after: 30 } }, 30_000],
    [{ message: 'x', details: [{ retryDelay: '30s' }] }, 30_000],
    [{ message: 'x', details: [{ retryDelay: { seconds: 30 } }] }, 30_000],
  ])('reads the wait in the body %j', (error, cooldownMs) => {
    expect(classify(429, {}, { error }, 'acme')).toMatchObject({
      cooldownMs,
      source: 'body',
      retryAfterMs: cooldownMs,
    });
  });

  test.each([
    [{ error: { message: 'x' }, retry_after: 30 }],
    [{ error: 'slow down', retry_after: 30 }],
    [{ detail: { message: 'Try again in 30 seconds' } }],
    [{ errors: [{ message: 'Try again in 30 seconds', code: 7 }] }],
    [{ msg: 'Try again in 30 seconds', code: 1 }],
  ])('reads the wait in a document of another shape %j', (body) => {
    expect(classify(429, {}, body, 'acme')).toMatchObject({ cooldownMs: 30_000, source: 'body' });
  });

  test('reads a time without a zone as Beijing’s where the provider means that', () => {
    const message = 'Usage limit reached for 5 hour. Your limit will reset at 2026-06-15 20:10:10';
    expect(worded('zai', 429, message, { code: '1308' })).toMatchObject({ cooldownMs: 600_000, source: 'body' });
  });

  test('reads a reset in another format than the provider is known for: what answers may be a gateway', () => {
    const headers = { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '17' };
    expect(classify(429, headers)).toMatchObject({ cooldownMs: 17_000, source: 'header' });
    expect(classify(429, headers, null, 'deepseek')).toMatchObject({ cooldownMs: 17_000, source: 'header' });
  });

  test('of a subscription (Anthropic) cools down until its limit resets', () => {
    const headers = {
      'anthropic-ratelimit-unified-status': 'rejected',
      'anthropic-ratelimit-unified-reset': String(NOW / 1000 + 1800),
    };
    expect(classify(429, headers, null, 'anthropic')).toMatchObject({ cooldownMs: 1_800_000, source: 'header' });
  });

  test.each([
    [
      'cloudflare',
      { errors: [{ message: 'you have used up your daily free allocation of 10,000 neurons', code: 4006 }] },
    ],
    ['acme', { error: { message: 'Daily usage limit reached' } }],
    ['acme', { error: { message: 'You have used all your requests for today' } }],
    ['acme', { error: { message: 'Limit of 100 requests per 24 hours exceeded' } }],
    ['acme', { error: { message: 'Rate limit: 50 requests/day exceeded' } }],
    ['moonshot', { error: { message: 'Your account reached organization TPD rate limit, current: 2, limit: 1' } }],
    ['zai', { error: { message: 'x', code: '1304' } }],
    ['modelscope', { errors: { message: "exceeded today's quota for model X" } }],
    ['acme', { error: { details: [{ violations: [{ quotaId: 'GenerateRequestsPerDayPerProject' }] }] } }],
  ])('knows the used-up day of %s by %j', (provider, body) => {
    expect(classify(429, {}, body, provider)).toMatchObject({
      reason: 'daily-limit',
      cooldownMs: Date.parse('2026-06-16T00:00:00Z') - NOW,
    });
  });

  test('that names a limit of the minute beside that of the day is no used-up day', () => {
    const message = 'Limits: 5 requests per minute and 500 requests per day. Slow down.';
    expect(worded('acme', 429, message)).toMatchObject({ reason: 'rate-limit', cooldownMs: null });
  });

  test('reads a day and its wait from words (GitHub Models)', () => {
    const message =
      'Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 41234 seconds before retrying.';
    expect(worded('github', 429, message)).toMatchObject({ reason: 'daily-limit', cooldownMs: 41_234_000 });
  });

  test('cools down for retry-after-ms, which is more exact', () => {
    expect(classify(429, { 'retry-after-ms': '1500', 'retry-after': '2' })).toMatchObject({ cooldownMs: 1500 });
  });

  test('prefers Retry-After to a reset header', () => {
    const headers = { 'retry-after': '3', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '40s' };
    expect(classify(429, headers)).toMatchObject({ cooldownMs: 3000 });
  });

  test('falls back on the reset header of the used-up window', () => {
    const headers = { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1m30s' };
    expect(classify(429, headers)).toMatchObject({ cooldownMs: 90_000, source: 'header' });
  });

  test.each(['', '0', '-1', 'garbage', 'Mon, 15 Jun 2020 12:00:00 GMT', String(NOW / 1000 - 5)])(
    'with a Retry-After of "%s" takes the doubling default',
    (value) => {
      expect(classify(429, { 'retry-after': value })).toMatchObject({ cooldownMs: null, source: 'default' });
    },
  );

  test('never cools down for longer than an hour, though it asks for 18 days', () => {
    expect(classify(429, { 'retry-after': '1555200' })).toMatchObject({
      cooldownMs: MAX_COOLDOWN_MS,
      boundMs: MAX_COOLDOWN_MS,
    });
    expect(classify(429, { 'retry-after': '9'.repeat(30) })).toMatchObject({ cooldownMs: MAX_COOLDOWN_MS });
  });

  test('cools down until the reset of a known daily window, and never for longer than 24 hours', () => {
    const headers = { 'x-ratelimit-remaining-requests-day': '0', 'x-ratelimit-reset-requests-day': '33011.4' };
    expect(classify(429, { ...headers, 'retry-after': '2' }, null, 'cerebras')).toMatchObject({
      cooldownMs: 33_011_400,
      reason: 'daily-limit',
      boundMs: 24 * HOUR,
    });
    const far = { ...headers, 'x-ratelimit-reset-requests-day': String(20 * 86_400) };
    expect(classify(429, far, null, 'cerebras')).toMatchObject({ cooldownMs: 24 * HOUR });
    expect(MAX_DAILY_COOLDOWN_MS).toBe(24 * HOUR);
  });

  test('of Gemini cools down for the RetryInfo of the body, for the model that it names', () => {
    const body = {
      error: {
        code: 429,
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
            violations: [
              {
                quotaId: 'GenerateRequestsPerMinutePerProjectPerModel',
                quotaDimensions: { model: 'gemini-2.5-pro' },
                quotaValue: '5',
              },
            ],
          },
          { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '26s' },
        ],
      },
    };
    expect(classify(429, {}, body, 'google')).toMatchObject({ cooldownMs: 26_000, source: 'body', blame: 'model' });
    expect(classify(429, {}, [body], 'google')).toMatchObject({ cooldownMs: 26_000 });
  });

  test('of Gemini for a day cools down to midnight in California, whatever seconds stand beside it', () => {
    const violations = [{ quotaId: 'GenerateRequestsPerDayPerProject' }];
    const untilMidnight = Date.parse('2026-06-16T07:00:00Z') - NOW;
    expect(classify(429, {}, { error: { details: [{ violations }, { retryDelay: '3s' }] } }, 'google')).toMatchObject({
      cooldownMs: untilMidnight,
      reason: 'daily-limit',
      blame: 'billing-account',
    });
    expect(
      classify(429, {}, { error: { details: [{ violations }, { retryDelay: '20000s' }] } }, 'google'),
    ).toMatchObject({ cooldownMs: 20_000_000, reason: 'daily-limit' });
  });

  test('of OpenRouter reads the headers inside the body', () => {
    const body = {
      error: {
        code: 429,
        message: 'Rate limit exceeded: free-models-per-day',
        metadata: {
          headers: { 'X-RateLimit-Limit': '50', 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': NOW + 5 * HOUR },
        },
      },
    };
    expect(classify(429, {}, body, 'openrouter')).toMatchObject({
      cooldownMs: 5 * HOUR,
      source: 'body',
      reason: 'daily-limit',
      blame: 'billing-account',
    });
  });

  test('of a provider behind OpenRouter cools down one model only', () => {
    const body = { error: { code: 429, metadata: { provider_name: 'Chutes', provider_code: 429 } } };
    expect(classify(429, { 'retry-after': '5' }, body, 'openrouter')).toMatchObject({
      blame: 'model',
      cooldownMs: 5000,
    });
  });

  test('of Mistral cools down to the end of the minute, for one model', () => {
    expect(classify(429, { 'x-ratelimit-remaining-req-minute': '0' }, null, 'mistral')).toMatchObject({
      cooldownMs: 50_000,
      blame: 'model',
    });
  });
});

/** Returns OpenRouter's body of a 402. */
function openrouter(limitSource: string): unknown {
  return { error: { code: 402, metadata: { limit_source: limitSource } } };
}

describe('a 402', () => {
  test('cools down for an hour, then a check', () => {
    expect(classify(402)).toMatchObject({ ...NO_CREDIT, check: 'after-cooldown' });
  });

  test('of OpenRouter for too much in flight passes soon', () => {
    const body = openrouter('openrouter_in_flight_budget');
    expect(classify(402, { 'retry-after': '4' }, body, 'openrouter')).toMatchObject({
      cooldownMs: 4000,
      check: 'never',
      reason: 'busy-budget',
    });
    expect(classify(402, {}, body, 'openrouter')).toMatchObject({ cooldownMs: null });
  });

  test('of OpenRouter for the limit of the key is the key alone', () => {
    expect(classify(402, {}, openrouter('openrouter_key_limit'), 'openrouter')).toMatchObject({
      blame: 'key',
      cooldownMs: HOUR,
    });
  });

  test('of OpenRouter for the credits is the account', () => {
    expect(classify(402, {}, openrouter('openrouter_credits'), 'openrouter')).toMatchObject({
      blame: 'billing-account',
      check: 'after-cooldown',
    });
  });

  test.each(['toString', '__proto__', ''])('of OpenRouter for "%s" is a plain one', (source) => {
    expect(classify(402, {}, openrouter(source), 'openrouter')).toMatchObject({
      blame: 'billing-account',
      cooldownMs: HOUR,
      source: 'default',
    });
  });
});

test('refusals in the same words are alike, whatever ids and numbers stand in them', () => {
  const one = worded('openrouter', 403, 'Request req_0a81 was refused: policy');
  expect(worded('openrouter', 403, 'Request req_7711bc was refused: policy').likeness).toBe(one.likeness);
  expect(worded('openrouter', 403, 'Key is blocked').likeness).not.toBe(one.likeness);
});

test.each([
  null,
  undefined,
  'text',
  7,
  [],
  [null],
  { error: null },
  { error: [] },
  { error: { details: 'x', metadata: 7 } },
])('a body of %j says nothing and breaks nothing', (body) => {
  for (const provider of ['openai', 'google', 'openrouter', 'xai']) {
    expect(classify(429, {}, body, provider)).toMatchObject({ reason: 'rate-limit', cooldownMs: null });
  }
});

test('each rule for a message is anchored, so that a message that quotes its caller cannot match, and has a source', () => {
  for (const { message, code, source } of FAILURE_RULES) {
    for (const pattern of [message, code].filter((one) => one !== undefined)) {
      // Alternatives at the top level begin with an anchor each.
      const flat = pattern.source.replaceAll(/\((?:[^()]|\([^()]*\))*\)/g, '()');
      for (const alternative of flat.split('|')) expect(alternative).toMatch(/^\^/);
    }
    expect(source.length).toBeGreaterThan(5);
  }
});
