/**
 * `key.*` and `provider.*`: lists, checks and releases keys.
 */

import { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import type { ApiKey } from '../credentials/api-keys.ts';
import type { Vault } from '../credentials/vault.ts';
import type { Pools } from '../pools/pools.ts';
import { fetchModels } from '../providers/models.ts';
import type { Provider } from '../providers/provider.ts';
import type { Providers } from '../providers/registry.ts';
import type { KeyVerdict } from '../protocol/provider.ts';
import type { KeyChecks } from './key-checks.ts';
import { describeKey, describeProviders } from './key-info.ts';
import type { KeyLookup } from './key-lookup.ts';
import { defineOperation, type AnyOperation } from './operation.ts';
import { recordRelease, type RecordEvent } from './usage-records.ts';

const providerName = z.string().min(1).max(64).optional();
const keyId = z.string().min(1).max(128).optional();

/** What these operations are wired with. */
export interface KeyOperationsDeps {
  readonly vault: Vault;
  readonly providers: Providers;
  readonly lookup: KeyLookup;
  readonly pools: Pools;
  readonly checks: KeyChecks;
  readonly defaultProvider: string;
  readonly record: RecordEvent;
  /** Returns whether the credential of a key is switched off: then the key is released to nobody. */
  readonly isOff: (key: ApiKey) => boolean;
  /** Returns the provider with the addresses that a key is for: its credential may have a base URL. */
  readonly addressed: (provider: Provider, key: ApiKey) => Provider;
}

/** Makes the operations. */
export function keyOperations(deps: KeyOperationsDeps): AnyOperation[] {
  const { vault, providers, lookup, pools, checks } = deps;

  /** Returns the first key that is neither cooling down nor quarantined. */
  const usableKey = (name: string | undefined): ApiKey => {
    const first = lookup.key(name);
    const key = vault.keys(first.provider).find((one) => pools.isUsable(first.provider, one.keyId));
    if (key) return key;
    throw pools.whyNone(first.provider);
  };

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
      audit: {
        outcome: 'released',
        credential: (params, result) =>
          `${result?.provider ?? params.provider ?? deps.defaultProvider}/${result?.keyId ?? params.keyId ?? ''}`,
      },
      handle(params, { caller }) {
        const provider = params.provider ?? deps.defaultProvider;
        return recordRelease(
          deps.record,
          caller,
          { operation: 'key.get', provider, keyId: params.keyId },
          () => {
            // A named key is released in any state but one.
            const found =
              params.keyId === undefined ? usableKey(params.provider) : lookup.key(params.provider, params.keyId);
            if (deps.isOff(found)) {
              throw new AipassError('NOT_FOUND', `${found.keyId} is switched off`, {
                hint: 'switch it on: aipassd credential on <id>; aipassd credential list shows the ids',
              });
            }
            return { provider: found.provider, keyId: found.keyId, key: found.value.reveal() };
          },
          (result) => result,
        );
      },
    }),
    defineOperation<'provider.list'>({
      name: 'provider.list',
      right: 'see',
      schema: z.strictObject({}),
      handle: () => ({ defaultProvider: deps.defaultProvider, providers: describeProviders(vault, providers) }),
    }),
    defineOperation<'provider.validate'>({
      name: 'provider.validate',
      right: 'use',
      schema: z.strictObject({ provider: providerName, keyId, online: z.boolean().optional() }),
      async handle(params, { signal }) {
        const first = lookup.key(params.provider, params.keyId);
        const keys = params.keyId === undefined ? vault.keys(first.provider) : [first];
        return {
          provider: first.provider,
          keys:
            params.online === true ? await checks.check(keys, signal) : keys.map((key) => judgeOffline(key, providers)),
        };
      },
    }),
    defineOperation<'provider.models'>({
      name: 'provider.models',
      right: 'use',
      schema: z.strictObject({ provider: providerName }),
      async handle(params, { signal }) {
        const provider = providers.get(lookup.resolve(params.provider));
        const key = vault.keys(provider.name).find(({ keyId: id }) => pools.isUsable(provider.name, id));
        if (!key && provider.needsKey && !provider.modelsArePublic) throw pools.whyNone(provider.name);
        const asked = key ? deps.addressed(provider, key) : provider;
        const models = await fetchModels(asked, key?.value ?? null, signal);
        return { provider: provider.name, asked: provider.modelsUrl !== null, models };
      },
    }),
  ];
}

function judgeOffline(key: ApiKey, providers: Providers): KeyVerdict {
  const info = describeKey(key, providers);
  // A key may be for a provider that nobody knows.
  const { prefixes, minLength } = providers.find(key.provider)?.keyShape ?? {};
  const isShapeKnown = prefixes !== undefined || minLength !== undefined;
  const detail = isShapeKnown ? 'the shape is right' : 'the usual shape of its keys is not known';
  return info.state === 'ready'
    ? { ...info, verdict: 'valid', checked: 'offline', detail: `${detail}; --online asks the provider` }
    : { ...info, verdict: 'suspect', checked: 'offline', detail: info.reason ?? 'the shape is not the usual one' };
}
