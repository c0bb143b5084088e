import { describe, expect, it } from 'vitest';
import { buildEnvironment, type GatewayAddress } from '../../../src/cli/exec-environment.ts';
import { fileLines, PROGRAMS_WITH_FILES } from '../../../src/cli/exec-files.ts';

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

  it('holds no real key', () => {
    const real = {
      OPENAI_API_KEY: 'real',
      OPENAI_API_KEY_2: 'real',
      OPENROUTER_API_KEY_17: 'real',
      MY_LLM_API_KEY_2: 'real',
      ANTHROPIC_AUTH_TOKEN: 'real',
      CLAUDE_CODE_OAUTH_TOKEN: 'real',
      GOOGLE_API_KEY: 'real',
      GEMINI_API_KEY: 'real',
    };
    const env = build({ ...real, SOME_API_KEY: 'of another program' });
    expect(Object.values(env)).not.toContain('real');
    expect(env).not.toHaveProperty('GOOGLE_API_KEY');
    expect(env).toHaveProperty('SOME_API_KEY', 'of another program');
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
