/**
 * Finds keys by the name of their provider, explains why there is none, and describes keys and
 * providers for display. Keys are always masked there.
 */

import { AipassError } from '../base/errors.ts';
import type { Paths } from '../base/paths.ts';
import { plainText } from '../base/plain-text.ts';
import { maskKey } from '../base/secret.ts';
import { variableOf, type ApiKey } from '../credentials/api-keys.ts';
import type { Vault } from '../credentials/vault.ts';
import type { KeyInfo, ProviderInfo } from '../protocol/provider.ts';
import { suspicionOf } from '../providers/key-shape.ts';
import { unknownProvider, type Providers } from '../providers/registry.ts';

export interface KeyLookupDeps {
  readonly vault: Vault;
  readonly providers: Providers;
  readonly paths: Paths;
  readonly defaultProvider: string;
}

/** A name that a variable of `.env` can give a key to. */
const KEYED_NAME = /^[a-z0-9][a-z0-9_-]*$/;

export class KeyLookup {
  readonly #deps: KeyLookupDeps;

  constructor(deps: KeyLookupDeps) {
    this.#deps = deps;
  }

  /**
   * Returns the name of the requested provider, or of the default one.
   *
   * @throws AipassError NOT_FOUND for a name that is in neither the registry nor the vault.
   */
  resolve(provider: string | undefined): string {
    const { providers, vault, defaultProvider } = this.#deps;
    const name = provider ?? defaultProvider;
    if (this.isKnown(name)) return name;
    // The vault takes keys of any name: an unknown name may only lack its key.
    const addHint = KEYED_NAME.test(name) ? this.#addKeyHint(name) : undefined;
    const known = [...providers.names(), ...vault.keys().map((key) => key.provider)];
    throw unknownProvider(name, known, defaultProvider, addHint);
  }

  /** Returns whether the registry or the vault knows a provider of that name. */
  isKnown(name: string): boolean {
    const { providers, vault } = this.#deps;
    return (
      providers.find(name) !== undefined ||
      vault.keys(name).length > 0 ||
      vault.placeholders().some((one) => one.provider === name) ||
      vault.unusable().some((one) => one.provider === name)
    );
  }

  /**
   * Returns the named key, or the provider's first one.
   *
   * @throws AipassError NOT_FOUND with the reason and what to do.
   */
  key(provider: string | undefined, keyId?: string): ApiKey {
    const name = this.resolve(provider);
    const keys = this.#deps.vault.keys(name);
    const key = keyId === undefined ? keys[0] : keys.find((one) => one.keyId === keyId);
    if (key) return key;
    if (keyId === undefined || keys.length === 0) throw this.whyNone(name);
    throw new AipassError('NOT_FOUND', `${name} has no key "${plainText(keyId, 64)}"`, {
      hint: `its keys are: ${keys.map((one) => one.keyId).join(', ')}`,
    });
  }

  /** Returns the error that explains why a provider has no key, and how to add one. */
  whyNone(provider: string): AipassError {
    const { vault, providers, paths, defaultProvider } = this.#deps;
    const unusable = vault.unusable().find((one) => one.provider === provider);
    if (unusable) {
      return new AipassError('NOT_FOUND', `${unusable.keyId} ${unusable.problem}`, {
        hint: `edit ${paths.envFile}: ${unusable.hint}`,
      });
    }
    const placeholder = vault.placeholders().find((one) => one.provider === provider);
    const others = new Set(vault.keys().map((key) => key.provider));
    const other = [...others].toSorted()[0];
    // Who added a key of another provider did not mean the default one.
    const instead =
      provider !== defaultProvider || other === undefined
        ? ''
        : `; or name a provider that has a key, such as ${other}`;
    if (placeholder) {
      return new AipassError('NOT_FOUND', `${placeholder.keyId} is empty or still holds a placeholder`, {
        hint: `run: aipassd add ${provider}; or put the real key into ${paths.envFile}${instead}`,
      });
    }
    if (providers.find(provider)?.needsKey === false) {
      return new AipassError('NOT_FOUND', `${provider} has no key, and needs none`, {
        hint: `to use one anyway, run: aipassd add ${provider}`,
      });
    }
    return new AipassError('NOT_FOUND', `no API key for ${provider}`, {
      hint: `run: aipassd add ${provider}; or ${this.#addKeyHint(provider)}${instead}`,
    });
  }

  #addKeyHint(provider: string): string {
    return `add ${variableOf(provider)}=… to ${this.#deps.paths.envFile}`;
  }
}

/** Describes a key for display: masked, with a check of its shape. */
export function describeKey(key: ApiKey, providers: Providers): KeyInfo {
  const base = { provider: key.provider, keyId: key.keyId, masked: maskKey(key.value) };
  const provider = providers.find(key.provider);
  const reason = provider && suspicionOf(provider, key.value);
  return reason === undefined ? { ...base, state: 'ready' } : { ...base, state: 'suspect', reason };
}

/** Describes every provider that is registered or has a key. */
export function describeProviders(vault: Vault, providers: Providers): ProviderInfo[] {
  const describe = (key: ApiKey): KeyInfo => ({
    ...describeKey(key, providers),
    ...(vault.isFromBefore(key.keyId) ? { fromBefore: true } : {}),
  });
  const known = providers.list().map((provider): ProviderInfo => ({
    name: provider.name,
    baseUrl: provider.baseUrl,
    source: provider.source,
    needsKey: provider.needsKey,
    hasFreeCheck: provider.keyCheck !== null,
    keys: vault.keys(provider.name).map(describe),
  }));
  const unregistered = new Set(vault.keys().map((key) => key.provider));
  for (const provider of known) unregistered.delete(provider.name);
  const unknown = [...unregistered].toSorted().map((name): ProviderInfo => ({
    name,
    baseUrl: '',
    source: 'unknown',
    needsKey: true,
    hasFreeCheck: false,
    keys: vault.keys(name).map(describe),
  }));
  return [...known, ...unknown];
}
