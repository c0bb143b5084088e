import { expect, test } from 'vitest';
import { judgeKeyAnswer } from '../../../src/providers/key-check.ts';
import type { KeyCheck } from '../../../src/providers/provider.ts';
import { createProviders } from '../../../src/providers/registry.ts';

const providers = createProviders({ providers: {} });

function checkOf(name: string): KeyCheck {
  const check = providers.get(name).keyCheck;
  if (!check) throw new Error(`${name} has no key check`);
  return check;
}

function judge(provider: string, status: number, body: unknown): ReturnType<typeof judgeKeyAnswer> {
  return judgeKeyAnswer({ status, headers: {}, body }, checkOf(provider), { provider, keyId: null, redact: String }, 0);
}

test.each([
  ['openrouter', 200, { data: { label: 'x' } }, 'valid'],
  ['openrouter', 401, { error: {} }, 'invalid'],
  ['openai', 200, { data: [] }, 'valid'],
  ['openai', 403, {}, 'unknown'],
  ['openai', 429, {}, 'unknown'],
  ['openai', 500, {}, 'unknown'],
  ['openai', 307, {}, 'unknown'],
  ['google', 400, {}, 'invalid'],
  ['openai', 400, {}, 'unknown'],
  ['cohere', 200, { valid: true }, 'valid'],
  ['cohere', 200, { valid: false }, 'invalid'],
  ['cohere', 200, {}, 'invalid'],
  ['xai', 200, { api_key_blocked: false, api_key_disabled: false, team_blocked: false }, 'valid'],
  ['xai', 200, { api_key_blocked: true }, 'invalid'],
  ['xai', 200, { team_blocked: true }, 'invalid'],
  ['xai', 400, {}, 'invalid'],
  ['deepseek', 200, { is_available: false }, 'valid'],
  ['together', 200, [], 'valid'],
  // The words of a refusal come before its status: an empty account has a good key.
  ['mistral', 401, { message: 'Inactive subscription or usage limit reached' }, 'unknown'],
  ['google', 403, { error: { message: 'Your API key was reported as leaked.' } }, 'invalid'],
] as const)('%s answering %i %j is %s', (provider, status, body, kind) => {
  expect(judge(provider, status, body).kind).toBe(kind);
});

test('a success that is not a JSON document proves nothing', () => {
  expect(judge('openai', 200, undefined)).toEqual({ kind: 'unknown', reason: 'the answer is not a JSON document' });
});

test('a verdict names the field that it comes from', () => {
  expect(judge('xai', 200, { team_blocked: true })).toEqual({
    kind: 'invalid',
    status: 200,
    reason: 'the provider reports "team_blocked": true',
  });
});
