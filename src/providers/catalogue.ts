/**
 * The providers that need no configuration.
 *
 * Every path is relative to the base URL. Moving the base (to a proxy, to a test server) moves all
 * of a provider's addresses with it. A key is never sent to a host that its user has replaced.
 * Sources are the providers' own documents unless a comment names another; all of it is a default
 * that configuration overrides.
 */

import type { Dialect, KeyCheck, Provider } from './provider.ts';

/** A provider in the catalogue; what is left out has a default. */
export interface CatalogueEntry extends Partial<
  Pick<Provider, 'headers' | 'needsKey' | 'keyShape' | 'modelsArePublic' | 'models' | 'streamUsageOption'>
> {
  readonly baseUrl: string;
  /** Dialects besides `openai`; without a header the key goes into the dialect's own. */
  readonly dialects?: Readonly<
    Partial<Record<Exclude<Dialect, 'openai'>, { readonly path: string; readonly authHeader?: string }>>
  >;
  /** Default `authorization`. */
  readonly authHeader?: string;
  /** Default `./models`; null where there is no list. */
  readonly modelsPath?: string | null;
  readonly keyCheck: KeyCheckEntry | null;
}

export type KeyCheckEntry = Partial<Omit<KeyCheck, 'url'>> & { readonly path: string };

/**
 * Check for a provider that lists its models for valid keys only. A 403 proves nothing: the key may
 * have narrow rights, or the country be refused.
 */
const MODELS_NEED_A_KEY: KeyCheckEntry = { path: './models' };

export const CATALOGUE: Readonly<Record<string, CatalogueEntry>> = {
  openrouter: {
    baseUrl: 'https://openrouter.ai/api/v1',
    // Name of the program in OpenRouter's statistics.
    headers: { 'http-referer': 'https://aipass.local', 'x-title': 'aipassd' },
    keyShape: { prefixes: ['sk-or-v1-'], minLength: 40 },
    modelsArePublic: true,
    keyCheck: { path: './key' },
    // OpenRouter documentation: Anthropic's SDK with https://openrouter.ai/api as its base URL.
    dialects: { anthropic: { path: '..', authHeader: 'authorization' } },
  },
  openai: {
    baseUrl: 'https://api.openai.com/v1',
    keyShape: { prefixes: ['sk-'], minLength: 40 },
    keyCheck: MODELS_NEED_A_KEY,
  },
  anthropic: {
    baseUrl: 'https://api.anthropic.com/v1',
    authHeader: 'x-api-key',
    headers: { 'anthropic-version': '2023-06-01' },
    keyShape: { prefixes: ['sk-ant-'], minLength: 40 },
    // Without it a page has 20 models; 1000 is the most that is allowed.
    modelsPath: './models?limit=1000',
    keyCheck: MODELS_NEED_A_KEY,
    dialects: { anthropic: { path: '..' } },
  },
  google: {
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai',
    keyShape: { prefixes: ['AIza', 'AQ.'], minLength: 39 },
    // A wrong key is answered with 400 INVALID_ARGUMENT, API_KEY_INVALID.
    keyCheck: { path: './models', invalidStatuses: [400, 401] },
    dialects: { gemini: { path: '../..' } },
  },
  groq: {
    baseUrl: 'https://api.groq.com/openai/v1',
    keyShape: { prefixes: ['gsk_'], minLength: 40 },
    keyCheck: MODELS_NEED_A_KEY,
  },
  mistral: {
    baseUrl: 'https://api.mistral.ai/v1',
    keyShape: { minLength: 32 },
    keyCheck: MODELS_NEED_A_KEY,
    // 422 extra_forbidden; the last chunk has the usage anyway.
    streamUsageOption: false,
  },
  xai: {
    baseUrl: 'https://api.x.ai/v1',
    keyShape: { prefixes: ['xai-'], minLength: 40 },
    // A wrong key is answered with 400.
    keyCheck: {
      path: './api-key',
      invalidStatuses: [400, 401],
      mustNotBeTrue: ['api_key_blocked', 'api_key_disabled', 'team_blocked'],
    },
  },
  deepseek: {
    baseUrl: 'https://api.deepseek.com',
    keyShape: { prefixes: ['sk-'], minLength: 32 },
    keyCheck: { path: './user/balance' },
    // DeepSeek documentation: Anthropic API.
    dialects: { anthropic: { path: './anthropic' } },
  },
  cerebras: {
    baseUrl: 'https://api.cerebras.ai/v1',
    keyShape: { prefixes: ['csk-'], minLength: 20 },
    keyCheck: MODELS_NEED_A_KEY,
    // Not among its documented parameters; the last chunk has the usage anyway.
    streamUsageOption: false,
  },
  together: {
    baseUrl: 'https://api.together.xyz/v1',
    keyShape: { minLength: 40 },
    keyCheck: MODELS_NEED_A_KEY,
    // Not among its documented parameters; the last chunk has the usage anyway.
    streamUsageOption: false,
  },
  fireworks: {
    baseUrl: 'https://api.fireworks.ai/inference/v1',
    keyShape: { prefixes: ['fw_'], minLength: 16 },
    keyCheck: MODELS_NEED_A_KEY,
    // Not among its documented parameters; the last chunk has the usage anyway.
    streamUsageOption: false,
  },
  cohere: {
    baseUrl: 'https://api.cohere.ai/compatibility/v1',
    keyShape: { minLength: 40 },
    // The compatibility endpoints list no models; Cohere's own do, a thousand at most.
    modelsPath: '/v1/models?page_size=1000&endpoint=chat',
    keyCheck: { path: '/v1/check-api-key', method: 'POST', mustBeTrue: ['valid'] },
    // Refused as an unknown field.
    streamUsageOption: false,
  },
  perplexity: {
    baseUrl: 'https://api.perplexity.ai',
    keyShape: { prefixes: ['pplx-'], minLength: 40 },
    modelsPath: null,
    models: ['sonar', 'sonar-pro', 'sonar-reasoning-pro', 'sonar-deep-research'],
    keyCheck: null,
    // Not among its documented parameters; the chunks have the usage anyway.
    streamUsageOption: false,
  },
  moonshot: {
    baseUrl: 'https://api.moonshot.ai/v1',
    keyShape: { prefixes: ['sk-'], minLength: 32 },
    keyCheck: { path: './users/me/balance' },
    // Moonshot documentation: use in Claude Code.
    dialects: { anthropic: { path: '../anthropic', authHeader: 'authorization' } },
  },
  ollama: {
    baseUrl: 'http://127.0.0.1:11434/v1',
    needsKey: false,
    modelsArePublic: true,
    keyCheck: null,
  },
};
