/**
 * Where each provider writes its limits: the header names and the format of their resets. Only the
 * headers that a provider is known to send are read, because the same name means another unit
 * elsewhere.
 *
 * Sources: the providers' documents and measurements of mid 2026. A provider that is not listed is
 * read by OpenAI's names, each reset in whatever format it has.
 */

import type { LimitPeriod, LimitUnit } from '../protocol/pool.ts';
import type { ResetFormat } from './reset-formats.ts';

/** Header names of one limit, lower-case; null for a value that is not sent. */
export interface LimitHeaders {
  readonly name: string;
  readonly unit: LimitUnit;
  readonly per: LimitPeriod | null;
  readonly limit: string | null;
  readonly remaining: string | null;
  readonly reset: string | null;
  readonly format: ResetFormat;
  /** Header with the used share, 0 to 1. */
  readonly share?: string;
  /** Header with the window's length in seconds. */
  readonly period?: string;
  /**
   * True where the reset is the time at which the whole allowance is back, long after the next call
   * would pass.
   */
  readonly refill?: true;
  /**
   * True where the window is the minute of the clock, whose end is the reset unless a header has
   * one.
   */
  readonly clockMinute?: true;
}

/** Describes a limit whose three headers differ by one word, which stands in the pattern as `*`. */
function triple(
  name: string,
  unit: LimitUnit,
  per: LimitPeriod | null,
  pattern: string,
  format: ResetFormat,
  more: Partial<LimitHeaders> = {},
): LimitHeaders {
  return {
    name,
    unit,
    per,
    limit: pattern.replace('*', 'limit'),
    remaining: pattern.replace('*', 'remaining'),
    reset: pattern.replace('*', 'reset'),
    format,
    ...more,
  };
}

/** Lists OpenAI's names, which many providers took over with another format or another window. */
function openaiNames(format: ResetFormat): LimitHeaders[] {
  return [
    triple('requests', 'requests', null, 'x-ratelimit-*-requests', format),
    triple('tokens', 'tokens', null, 'x-ratelimit-*-tokens', format),
    triple('project-tokens', 'tokens', null, 'x-ratelimit-*-project-tokens', format),
  ];
}

/** Lists names that contain the window (Cerebras). */
function windowNames(format: ResetFormat): LimitHeaders[] {
  return (['requests', 'tokens'] as const).flatMap((unit) =>
    (['minute', 'hour', 'day'] as const).map((per) =>
      triple(`${unit}-${per}`, unit, per, `x-ratelimit-*-${unit}-${per}`, format),
    ),
  );
}

const MISTRAL_BY_SIZE = ['ratelimitbysize', 'x-ratelimitbysize'].flatMap((prefix) => [
  triple('by-size', 'tokens', null, `${prefix}-*`, 'seconds'),
  triple('by-size-minute', 'tokens', 'minute', `${prefix}-*-minute`, 'seconds'),
  triple('by-size-month', 'tokens', 'month', `${prefix}-*-month`, 'seconds'),
]);

const ANTHROPIC = (['requests', 'tokens', 'input-tokens', 'output-tokens'] as const).map((unit) =>
  triple(unit, unit, null, `anthropic-ratelimit-${unit}-*`, 'rfc3339'),
);

/**
 * Headers for the OAuth token of a subscription: a used share, and a reset in epoch seconds. The
 * one without a span is that of the limit that decides.
 */
const ANTHROPIC_UNIFIED = ['unified-5h', 'unified-7d', 'unified'].map((name): LimitHeaders => ({
  name,
  unit: 'usage',
  per: null,
  limit: null,
  remaining: null,
  reset: `anthropic-ratelimit-${name}-reset`,
  format: 'epoch-seconds',
  share: `anthropic-ratelimit-${name}-utilization`,
}));

const BY_PROVIDER: Readonly<Record<string, readonly LimitHeaders[]>> = {
  openai: openaiNames('go-duration'),
  anthropic: [...ANTHROPIC, ...ANTHROPIC_UNIFIED],
  openrouter: [triple('requests', 'requests', null, 'x-ratelimit-*', 'epoch-milliseconds')],
  groq: [
    triple('requests', 'requests', 'day', 'x-ratelimit-*-requests', 'go-duration', { refill: true }),
    triple('tokens', 'tokens', 'minute', 'x-ratelimit-*-tokens', 'go-duration'),
  ],
  mistral: [
    triple('requests', 'requests', 'minute', 'x-ratelimit-*-req-minute', 'seconds', { reset: null, clockMinute: true }),
    triple('tokens', 'tokens', 'minute', 'x-ratelimit-*-tokens-minute', 'seconds', { reset: null, clockMinute: true }),
    ...MISTRAL_BY_SIZE,
  ],
  xai: openaiNames('epoch-or-duration'),
  cerebras: windowNames('seconds'),
  together: [
    triple('requests', 'requests', 'second', 'x-ratelimit-*', 'seconds'),
    triple('tokens', 'tokens', 'second', 'x-tokenlimit-*', 'seconds', { reset: null }),
  ],
  fireworks: [
    triple('tokens-prompt', 'input-tokens', null, 'x-ratelimit-*-tokens-prompt', 'seconds'),
    triple('tokens-generated', 'output-tokens', null, 'x-ratelimit-*-tokens-generated', 'seconds'),
  ],
  cohere: [
    triple('trial-calls', 'requests', null, 'x-trial-endpoint-call-*', 'seconds', { reset: null }),
    triple('monthly-calls', 'requests', 'month', 'x-endpoint-monthly-call-*', 'seconds', {
      remaining: null,
      reset: null,
    }),
  ],
  azure: openaiNames('seconds'),
  github: [
    triple('requests', 'requests', null, 'x-ratelimit-*-requests', 'seconds', {
      reset: 'x-ratelimit-timeremaining',
      period: 'x-ratelimit-renewalperiod-requests',
    }),
    triple('tokens', 'tokens', null, 'x-ratelimit-*-tokens', 'seconds', { reset: 'x-ratelimit-timeremaining' }),
  ],
  google: [],
  deepseek: [],
  huggingface: [],
  nvidia: [],
  zai: [],
};

const UNKNOWN_PROVIDER = [
  ...openaiNames('any'),
  triple('limit', 'requests', null, 'x-ratelimit-*', 'any'),
  triple('limit', 'requests', null, 'x-rate-limit-*', 'any'),
  ...windowNames('any'),
];

/**
 * Returns the limits that a provider is known to write; without a name, those that are read of an
 * unknown one.
 */
export function limitHeaderRules(provider?: string): readonly LimitHeaders[] {
  if (provider === undefined || !Object.hasOwn(BY_PROVIDER, provider)) return UNKNOWN_PROVIDER;
  return BY_PROVIDER[provider] ?? [];
}
