/**
 * Judges a key by its characters, offline. It may have the shape of its provider's keys, or of
 * another's. A header may be unable to carry it.
 *
 * No reason ever quotes the key, not even its first characters.
 */

import type { Secret } from '../base/secret.ts';
import { CATALOGUE } from './catalogue.ts';
import type { Provider } from './provider.ts';

/** Matches what an HTTP header can carry and a key ever held: visible ASCII. */
const SENDABLE = /^[\x21-\x7e]*$/;

/**
 * Shapes that identify the provider of a key, whatever variable holds it; from the detectors of
 * gitleaks and trufflehog and the providers' documentation. A bare `sk-` is not among them: many
 * providers have it.
 */
const OWNERS: readonly { readonly owner: string; readonly shape: RegExp }[] = [
  { owner: 'openrouter', shape: /^sk-or-v\d-[0-9a-f]{32,}$/ },
  { owner: 'anthropic', shape: /^sk-ant-(?:api|admin|oat|ort|sid)\d\d-/ },
  { owner: 'openai', shape: /^sk-(?:proj|svcacct|admin)-[\w-]{20,}$|^sk-[A-Za-z0-9]{20}T3BlbkFJ/ },
  { owner: 'google', shape: /^AIza[\w-]{30,}$|^AQ\.[\w-]{30,}$/ },
  { owner: 'groq', shape: /^gsk_[A-Za-z0-9]{30,}$/ },
  { owner: 'xai', shape: /^xai-[A-Za-z0-9]{30,}$/ },
  { owner: 'perplexity', shape: /^pplx-[A-Za-z0-9]{30,}$/ },
  { owner: 'cerebras', shape: /^csk-[A-Za-z0-9]{30,}$/ },
  { owner: 'fireworks', shape: /^fw_[A-Za-z0-9]{20,}$/ },
  { owner: 'together', shape: /^tgp_v\d_[\w-]{20,}$/ },
  { owner: 'huggingface', shape: /^hf_[A-Za-z0-9]{30,}$/ },
  { owner: 'nvidia', shape: /^nvapi-[\w-]{30,}$/ },
  { owner: 'github', shape: /^gh[pousr]_[A-Za-z0-9]{30,}$|^github_pat_\w{30,}$/ },
];

/**
 * Returns why a key does not look like one of its provider; undefined for a usual one. The shape is
 * in the catalogue or the configuration. A suspect key is reported and used all the same.
 */
export function suspicionOf(provider: Pick<Provider, 'name' | 'keyShape'>, key: Secret): string | undefined {
  const value = key.reveal();
  const { prefixes, minLength } = provider.keyShape;
  const owner = foreignOwnerOf(provider, key);
  if (owner !== undefined) return describeForeignKey(provider.name, owner);
  if (!SENDABLE.test(value)) return 'it holds a blank or a character that no key has';
  if (prefixes !== undefined && !prefixes.some((prefix) => value.startsWith(prefix))) {
    const usual = prefixes.map((prefix) => `"${prefix}"`).join(' or ');
    return `keys of ${provider.name} begin with ${usual}, this one does not`;
  }
  return minLength !== undefined && value.length < minLength
    ? `keys of ${provider.name} have at least ${minLength} characters, this one has ${value.length}`
    : undefined;
}

/**
 * Returns the provider that a key belongs to by its shape, where that is another one: such a key is
 * never sent to this provider. Undefined for a provider that is not built in (it may be a gateway
 * that takes the keys of others). Also where the configuration has a prefix for its keys that this
 * one begins with.
 */
export function foreignOwnerOf(provider: Pick<Provider, 'name' | 'keyShape'>, key: Secret): string | undefined {
  if (!Object.hasOwn(CATALOGUE, provider.name)) return undefined;
  const value = key.reveal();
  const { prefixes } = provider.keyShape;
  const isConfigured = prefixes !== undefined && prefixes !== CATALOGUE[provider.name]?.keyShape?.prefixes;
  if (isConfigured && prefixes.some((prefix) => value.startsWith(prefix))) return undefined;
  const owner = OWNERS.find(({ shape }) => shape.test(value))?.owner;
  return owner === provider.name ? undefined : owner;
}

/** Returns in words why a key is never sent to a provider. */
export function describeForeignKey(provider: string, owner: string): string {
  return `it has the format of a key of ${owner}, and is never sent to ${provider}`;
}

/** Returns whether a key can be put into an HTTP header at all. */
export function isSendable(key: Secret): boolean {
  return SENDABLE.test(key.reveal());
}
