import { describe, expect, it } from 'vitest';
import { buildEnvironment, type GatewayAddress } from '../../../src/cli/exec-environment.ts';
import { fileLines, PROGRAMS_WITH_FILES } from '../../../src/cli/exec-environment.ts';

const GATEWAY: GatewayAddress = {
  origin: 'http://127.0.0.1:4000',
  token: 'aip-token',
  routes: {
    openai: 'openrouter',
    anthropic: 'anthropic',
    gemini: 'google',
    providers: ['openrouter', 'anthropic', 'google', 'my-llm'],
    known: ['openrouter', 'anthropic', 'google', 'openai', 'my-llm'],
  },
};

const build = (env: Record<string, string>, program = 'node') => buildEnvironment(env, program, GATEWAY);

describe('the environment of a program', () => {
  it('leads every dialect to its provider with the token of the run', () => {
    expect(build({ PATH: '/bin' })).toMatchObject({
      PATH: '/bin',
      OPENAI_BASE_URL: 'http://127.0.0.1:4000/openrouter/v1',
      OPENAI_API_BASE: 'http://127.0.0.1:4000/openrouter/v1',
      OPENAI_API_KEY: 'aip-token',
      ANTHROPIC_BASE_URL: 'http://127.0.0.1:4000/anthropic',
      ANTHROPIC_API_KEY: 'aip-token',
      GOOGLE_GEMINI_BASE_URL: 'http://127.0.0.1:4000/google',
      GEMINI_API_KEY: 'aip-token',
      MY_LLM_API_KEY: 'aip-token',
      MY_LLM_BASE_URL: 'http://127.0.0.1:4000/my-llm',
    });
  });

  it.each([
    'OPENAI_API_KEY',
    'OPENAI_API_KEY_2',
    'OPENROUTER_API_KEY_17',
    'MY_LLM_API_KEY_2',
    'MY_LLM_TOKEN',
    'ANTHROPIC_AUTH_TOKEN',
    'CLAUDE_CODE_OAUTH_TOKEN',
    'CLAUDE_API_KEY',
    'ANTHROPIC_ADMIN_KEY',
    'GOOGLE_API_KEY',
    'GEMINI_API_KEY',
    'GEMINI_API_KEY_3',
    'GOOGLE_GENERATIVE_AI_API_KEY',
    'GOOGLE_AI_KEY',
    'OPENAI_KEY',
    'OPENAI_APIKEY',
    'OPENAI_TOKEN',
    'OPENAI_ADMIN_KEY',
    'AZURE_OPENAI_API_KEY',
    'openai_api_key',
    'OPEN_ROUTER_API_KEY',
    'OPENROUTER_API_KEYS',
    'OPENAI_API_TOKEN',
    'OPENAI_SECRET_KEY',
    'OPENAI_ORG_ID',
    'OPENAI_PROJECT_ID',
    'ANTHROPIC_UNIX_SOCKET',
    'ANTHROPIC_API_URL',
    'OPENAI_WEBSOCKET_BASE_URL',
    'LLM_GEMINI_KEY',
  ])('holds no real key: %s', (name) => {
    expect(Object.values(build({ [name]: 'real' }))).not.toContain('real');
  });

  it.each([
    `sk-${'a1'.repeat(16)}`,
    `sk-ant-api03-${'a1-_'.repeat(20)}`,
    `sk-or-v1-${'0f'.repeat(32)}`,
    `sk-proj-${'Ab1_'.repeat(20)}`,
    `gsk_${'a1'.repeat(16)}`,
    `xai-${'a1'.repeat(16)}\n`,
  ])('holds no key under a name of its own: %s', (value) => {
    const env = build({ LLM: value, 'odd-name': value });
    expect(env).not.toHaveProperty('LLM');
    expect(env).not.toHaveProperty('odd-name');
  });

  it.each([
    ['OPENAI_API_KEY', 'LLM_SECRET'],
    ['MY_LLM_API_KEY', 'Own_Name'],
    ['GEMINI_API_KEY_2', 'GOOGLE_MAPS_API_KEY'],
    ['CLAUDE_CODE_OAUTH_TOKEN', 'SOME_API_KEY'],
  ])('removes what has the value of %s under another name', (name, other) => {
    const value = 'a-key-without-a-known-shape';
    const env = build({ [other]: ` ${value}`, [name]: value, OWN: 'stays' });
    expect(env).not.toHaveProperty(other);
    expect(env).toHaveProperty('OWN', 'stays');
  });

  it('removes what has the value of one key of a list', () => {
    expect(build({ OPENAI_API_KEYS: 'first-key,second-key', LLM: 'second-key' })).not.toHaveProperty('LLM');
  });

  it('keeps what has the value of a placeholder, of a setting, or of an empty key', () => {
    const own = { NODE_ENV: 'test', EMPTY: '', TEAM: 'org-0123456789' };
    const removed = { OPENAI_API_KEY: 'test', GEMINI_API_KEY: '', OPENAI_ORG_ID: 'org-0123456789' };
    expect(build({ ...own, ...removed })).toMatchObject(own);
  });

  it('keeps what belongs to the program', () => {
    const own = {
      SOME_API_KEY: 'of another program',
      GITHUB_TOKEN: `ghp_${'a1'.repeat(18)}`,
      LANGFUSE_SECRET_KEY: 'sk-lf-01234567-89ab-cdef-0123-456789abcdef',
      STRIPE_KEY: `sk_live_${'a1'.repeat(20)}`,
      GOOGLE_MAPS_API_KEY: `AIza${'a1'.repeat(18)}`,
      OPENAI_MODEL: 'gpt-5-mini',
      OPENAI_LOG: 'debug',
      TOGETHER: 'yes',
      MAX_TOKENS: '100',
      ANTHROPIC_BETAS: 'b',
    };
    expect(build(own)).toMatchObject(own);
  });

  it('leads nothing past the gateway', () => {
    const past = { CLAUDE_CODE_USE_BEDROCK: '1', CLAUDE_CODE_USE_VERTEX: '1', GOOGLE_GENAI_USE_VERTEXAI: 'true' };
    expect(Object.keys(build(past)).filter((name) => name in past)).toEqual([]);
  });

  it('gives Claude Code a bearer token instead of a key', () => {
    const env = build({}, '/usr/local/bin/claude');
    expect(env).toHaveProperty('ANTHROPIC_AUTH_TOKEN', 'aip-token');
    expect(env).not.toHaveProperty('ANTHROPIC_API_KEY');
  });

  it('keeps the token from proxies, and what is excepted already', () => {
    expect(build({ NO_PROXY: 'internal.example, localhost' })).toMatchObject({
      NO_PROXY: 'internal.example,localhost,127.0.0.1',
      no_proxy: 'internal.example,localhost,127.0.0.1',
    });
    expect(build({ no_proxy: 'a' })['NO_PROXY']).toBe('a,127.0.0.1,localhost');
    expect(build({ NO_PROXY: 'a', no_proxy: 'b' })['no_proxy']).toBe('a,b,127.0.0.1,localhost');
  });

  it('sets nothing for a dialect that no provider serves', () => {
    const routes = { ...GATEWAY.routes, anthropic: null, gemini: null, providers: ['openrouter'] };
    const env = buildEnvironment({}, 'node', { ...GATEWAY, routes });
    expect(Object.keys(env).filter((name) => /ANTHROPIC|GEMINI|GOOGLE/.test(name))).toEqual([]);
  });
});

it.each(PROGRAMS_WITH_FILES)('the lines for %s lead to the gateway, and hold no token', (program) => {
  const { file = '', lines = [] } = fileLines(`/usr/bin/${program}`, GATEWAY.origin, GATEWAY.routes) ?? {};
  expect(file).toMatch(/^~\//);
  expect(lines.join('\n')).toMatch(/127\.0\.0\.1:4000\/openrouter\/v1|OPENAI_BASE_URL|gemini-api-key/);
  expect(lines.join('\n')).not.toContain('aip-token');
});
