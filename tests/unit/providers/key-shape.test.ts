import { expect, test } from 'vitest';
import { parseConfig } from '../../../src/base/config.ts';
import { Secret } from '../../../src/base/secret.ts';
import { foreignOwnerOf, isSendable, suspicionOf } from '../../../src/providers/key-shape.ts';
import { createProviders } from '../../../src/providers/registry.ts';

const providers = createProviders({ providers: {} });

function judge(provider: string, key: string): string | undefined {
  return suspicionOf(providers.get(provider), new Secret(key));
}

test.each([
  ['openrouter', `sk-or-v1-${'0'.repeat(64)}`],
  ['openai', `sk-proj-${'A'.repeat(120)}`],
  ['anthropic', `sk-ant-api03-${'a'.repeat(93)}AA`],
  ['google', `AIza${'B'.repeat(35)}`],
  ['google', `AQ.Ab8${'B'.repeat(47)}`],
  ['ollama', 'anything'],
])('a usual key of %s is valid', (provider, key) => {
  expect(judge(provider, key)).toBeUndefined();
});

test('a key with the wrong prefix is suspect, and the reason names the right one', () => {
  expect(judge('openrouter', `sk-${'q'.repeat(60)}`)).toContain('"sk-or-v1-"');
});

test('a key that is too short is suspect, and the reason gives both lengths', () => {
  expect(judge('openrouter', 'sk-or-v1-zzzzzzzz')).toMatch(/40 .*17/);
});

test('a key with a blank, a quote of another alphabet or a line end is suspect and cannot be sent', () => {
  for (const key of [
    `sk-or-v1-${'0'.repeat(30)} ${'0'.repeat(30)}`,
    `“sk-or-v1-${'0'.repeat(64)}”`,
    `sk-or-v1-${'0'.repeat(64)}\n`,
  ]) {
    expect(judge('openrouter', key)).toBeDefined();
    expect(isSendable(new Secret(key))).toBe(false);
  }
});

test('no reason quotes any part of the key', () => {
  const key = 'canary-7f3a91';
  const reasons = providers.list().map((provider) => suspicionOf(provider, new Secret(key)) ?? '');
  expect(reasons.filter((reason) => reason !== '').length).toBeGreaterThan(10);
  expect(reasons.join(' ')).not.toMatch(/canary|7f3a91/);
});

test.each([
  ['openai', `sk-ant-api03-${'a'.repeat(93)}AA`, 'anthropic'],
  ['anthropic', `sk-or-v1-${'0'.repeat(64)}`, 'openrouter'],
  ['openrouter', `sk-proj-${'A'.repeat(120)}`, 'openai'],
  ['deepseek', `AQ.Ab8${'B'.repeat(47)}`, 'google'],
  ['mistral', `gsk_${'c'.repeat(52)}`, 'groq'],
  ['openai', `ghp_${'d'.repeat(36)}`, 'github'],
])('a key in the place of %s whose shape belongs to another provider is that one’s', (provider, key, owner) => {
  expect(foreignOwnerOf(providers.get(provider), new Secret(key))).toBe(owner);
  expect(judge(provider, key)).toMatch(new RegExp(`${owner}.*${provider}`));
});

test.each([
  ['openai', `sk-${'a'.repeat(48)}`],
  ['deepseek', `sk-${'a'.repeat(32)}`],
  ['mistral', 'a'.repeat(32)],
  ['google', `AQ.Ab8${'B'.repeat(47)}`],
])('a usual key of %s belongs to no other provider', (provider, key) => {
  expect(foreignOwnerOf(providers.get(provider), new Secret(key))).toBeUndefined();
});

test('a gateway of the configuration may take the keys of other providers', () => {
  const configured = createProviders({
    providers: parseConfig(
      '{"providers": {"gate": {"baseUrl": "https://gate.example/v1"}, "openai": {"keyShape": {"prefix": "sk-or-"}}}}',
      'config.jsonc',
    ).providers,
  });
  const key = new Secret(`sk-or-v1-${'0'.repeat(64)}`);
  expect(foreignOwnerOf(configured.get('gate'), key)).toBeUndefined();
  expect(foreignOwnerOf(configured.get('openai'), key)).toBeUndefined();
});
