/**
 * `key.*` and `provider.*`: what keys there are, what they are worth, and their values.
 */

import { z } from 'zod';
import { mapBounded } from '../base/map-bounded.ts';
import { maskKey } from '../base/secret.ts';
import type { ApiKey } from '../credentials/api-keys.ts';
import type { Vault } from '../credentials/vault.ts';
import { checkKey, type KeyCheckResult } from '../providers/key-check.ts';
import { judgeKeyShape } from '../providers/key-shape.ts';
import { fetchModels } from '../providers/models.ts';
import type { Provider } from '../providers/provider.ts';
import type { Providers } from '../providers/registry.ts';
import type { KeyInfo, KeyVerdict, ProviderInfo } from '../protocol/provider.ts';
import { eventCaller } from './event-caller.ts';
import type { KeyLookup } from './key-lookup.ts';
import { defineOperation, type AnyOperation } from './operation.ts';
import { recordRelease, type RecordEvent } from './record-release.ts';

/** Is how many keys are checked with their provider at once. */
const CHECKS_AT_ONCE = 4;

const providerName = z.string().min(1).max(64).optional();
const keyId = z.string().min(1).max(128).optional();

/** Is what these operations need. */
export interface KeyOperationsOptions {
  readonly vault: Vault;
  readonly providers: Providers;
  readonly lookup: KeyLookup;
  readonly defaultProvider: string;
  readonly record: RecordEvent;
}

/** Makes the operations. */
export function keyOperations(options: KeyOperationsOptions): AnyOperation[] {
  const { vault, providers, lookup } = options;

  return [
    defineOperation<'key.list'>({
      name: 'key.list',
      right: 'see',
      schema: z.strictObject({ provider: providerName }),
      handle({ provider }) {
        const keys = provider === undefined ? vault.keys() : vault.keys(lookup.key(provider).provider);
        return { keys: keys.map((key) => describeKey(key, providers)) };
      },
    }),
    defineOperation<'key.get'>({
      name: 'key.get',
      right: 'reveal',
      schema: z.strictObject({ provider: providerName, keyId }),
      handle(params, { caller }) {
        const asked = { provider: params.provider ?? options.defaultProvider, keyId: params.keyId };
        let found: ApiKey | undefined;
        return recordRelease(
          (event) => options.record({ ...event, ...(found && { provider: found.provider, keyId: found.keyId }) }),
          { ...eventCaller(caller), operation: 'key.get', ...asked },
          () => {
            found = lookup.key(params.provider, params.keyId);
            return { provider: found.provider, keyId: found.keyId, key: found.value.reveal() };
          },
        );
      },
    }),
    defineOperation<'provider.list'>({
      name: 'provider.list',
      right: 'see',
      schema: z.strictObject({}),
      handle: () => ({ defaultProvider: options.defaultProvider, providers: describeProviders(vault, providers) }),
    }),
    defineOperation<'provider.validate'>({
      name: 'provider.validate',
      right: 'use',
      schema: z.strictObject({ provider: providerName, keyId, online: z.boolean().optional() }),
      async handle(params, { signal }) {
        const first = lookup.key(params.provider, params.keyId);
        const keys = params.keyId === undefined ? vault.keys(first.provider) : [first];
        const judge = (key: ApiKey): Promise<KeyVerdict> | KeyVerdict =>
          params.online === true ? askProvider(key, providers, signal) : judgeOffline(key, providers);
        return { provider: first.provider, keys: await mapBounded(keys, CHECKS_AT_ONCE, judge) };
      },
    }),
    defineOperation<'provider.models'>({
      name: 'provider.models',
      right: 'use',
      schema: z.strictObject({ provider: providerName }),
      async handle(params, { signal }) {
        const provider = providers.get(lookup.resolve(params.provider));
        const key = vault.keys(provider.name)[0]?.value ?? null;
        if (key === null && provider.needsKey && !provider.modelsArePublic) throw lookup.whyNone(provider.name);
        return { provider: provider.name, models: await fetchModels(provider, key, signal) };
      },
    }),
  ];
}

/** Describes a key for display: masked, and judged by its shape. */
export function describeKey(key: ApiKey, providers: Providers): KeyInfo {
  const base = { provider: key.provider, keyId: key.keyId, masked: maskKey(key.value) };
  const provider = providers.find(key.provider);
  const shape = provider ? judgeKeyShape(provider, key.value) : { kind: 'valid' as const };
  return shape.kind === 'valid' ? { ...base, state: 'ready' } : { ...base, state: 'suspect', reason: shape.reason };
}

/** Describes every provider that is known, or has a key all the same. */
export function describeProviders(vault: Vault, providers: Providers): ProviderInfo[] {
  const known = providers.list().map((provider): ProviderInfo => ({
    name: provider.name,
    baseUrl: provider.baseUrl,
    source: provider.source,
    needsKey: provider.needsKey,
    keys: vault.keys(provider.name).map((key) => describeKey(key, providers)),
  }));
  const strangers = new Set(vault.keys().map((key) => key.provider));
  for (const provider of known) strangers.delete(provider.name);
  const unknown = [...strangers].toSorted().map((name): ProviderInfo => ({
    name,
    baseUrl: '',
    source: 'unknown',
    needsKey: true,
    keys: vault.keys(name).map((key) => describeKey(key, providers)),
  }));
  return [...known, ...unknown];
}

function judgeOffline(key: ApiKey, providers: Providers): KeyVerdict {
  const info = describeKey(key, providers);
  return info.state === 'ready'
    ? { ...info, verdict: 'valid', checked: 'offline', detail: 'the shape is right; --online asks the provider' }
    : { ...info, verdict: 'suspect', checked: 'offline', detail: info.reason ?? 'the shape is not the usual one' };
}

async function askProvider(key: ApiKey, providers: Providers, signal: AbortSignal): Promise<KeyVerdict> {
  const info = describeKey(key, providers);
  const provider = providers.find(key.provider);
  if (!provider) {
    return {
      ...info,
      verdict: 'unknown',
      checked: 'offline',
      detail: `nothing is known of ${key.provider}; describe it under "providers" in the configuration`,
    };
  }
  return { ...info, ...describeVerdict(provider, await checkKey(provider, key.value, signal)) };
}

/** Says what a check found. Without an endpoint for it nobody was asked; with one, "unknown" is a failure of the asking. */
function describeVerdict(
  provider: Provider,
  check: KeyCheckResult,
): Pick<KeyVerdict, 'verdict' | 'checked' | 'detail'> {
  switch (check.kind) {
    case 'valid':
      return { verdict: 'valid', checked: 'online', detail: `${provider.name} accepts it` };
    case 'invalid':
      return { verdict: 'invalid', checked: 'online', detail: check.reason };
    case 'unknown':
      return { verdict: 'unknown', checked: provider.keyCheck === null ? 'offline' : 'online', detail: check.reason };
  }
}
