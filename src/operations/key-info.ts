/**
 * Describes keys and providers for display. Keys are always masked here.
 */

import { maskKey } from '../base/secret.ts';
import type { ApiKey } from '../credentials/api-keys.ts';
import type { Vault } from '../credentials/vault.ts';
import { judgeKeyShape } from '../providers/key-shape.ts';
import type { Providers } from '../providers/registry.ts';
import type { KeyInfo, ProviderInfo } from '../protocol/provider.ts';

/** Describes a key for display: masked, with a check of its shape. */
export function describeKey(key: ApiKey, providers: Providers): KeyInfo {
  const base = { provider: key.provider, keyId: key.keyId, masked: maskKey(key.value) };
  const provider = providers.find(key.provider);
  const shape = provider ? judgeKeyShape(provider, key.value) : { kind: 'valid' as const };
  return shape.kind === 'valid' ? { ...base, state: 'ready' } : { ...base, state: 'suspect', reason: shape.reason };
}

/** Describes every provider that is registered or has a key. */
export function describeProviders(vault: Vault, providers: Providers): ProviderInfo[] {
  const known = providers.list().map((provider): ProviderInfo => ({
    name: provider.name,
    baseUrl: provider.baseUrl,
    source: provider.source,
    needsKey: provider.needsKey,
    hasFreeCheck: provider.keyCheck !== null,
    keys: vault.keys(provider.name).map((key) => describeKey(key, providers)),
  }));
  const unregistered = new Set(vault.keys().map((key) => key.provider));
  for (const provider of known) unregistered.delete(provider.name);
  const unknown = [...unregistered].toSorted().map((name): ProviderInfo => ({
    name,
    baseUrl: '',
    source: 'unknown',
    needsKey: true,
    hasFreeCheck: false,
    keys: vault.keys(name).map((key) => describeKey(key, providers)),
  }));
  return [...known, ...unknown];
}
