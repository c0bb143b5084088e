/**
 * `key.*` and `provider.*`: lists, checks and releases keys. Only the daemon's own keys are
 * released.
 */

import { z } from 'zod';
import { type ApiKey, strayEndOf } from '../credentials/api-keys.ts';
import type { Vault } from '../credentials/vault.ts';
import { switchedOff } from '../pools/availability.ts';
import { fetchModels } from '../providers/models.ts';
import type { Providers } from '../providers/registry.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import type { KeyVerdict } from '../protocol/provider.ts';
import { describeKey, describeProviders } from './key-lookup.ts';
import { organizationParams, providerParams, type OperationGroup } from './operation.ts';
import type { OrganizationKeys, Organizations } from './organizations.ts';
import { recordRelease, type RecordEvent } from './usage-records.ts';

const keyId = z.string().min(1).max(128).optional();

export interface KeyOperationsDeps {
  readonly organizations: Pick<Organizations, 'keys'>;
  readonly providers: Providers;
  readonly defaultProvider: string;
  readonly record: RecordEvent;
}

export function keyOperations(deps: KeyOperationsDeps): OperationGroup<'key' | 'provider'> {
  const { providers, organizations } = deps;

  return {
    'key.list': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject(providerParams),
      handle({ provider }, context) {
        const { vault, lookup } = organizations.keys(context.organization);
        const keys = provider === undefined ? vault.keys() : vault.keys(lookup.key(provider).provider);
        return { keys: keys.map((key) => describeKey(key, providers)) };
      },
    },
    'key.get': {
      right: 'reveal',
      schema: z.strictObject({ provider: providerParams.provider, keyId }),
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
            const keys = organizations.keys(DEFAULT_ORGANIZATION);
            // A named key is released in any state but one.
            const found =
              params.keyId === undefined
                ? usableKey(keys, params.provider)
                : keys.lookup.key(params.provider, params.keyId);
            if (keys.credentials.isOff(found)) throw switchedOff(found.keyId);
            return { provider: found.provider, keyId: found.keyId, key: found.value.reveal() };
          },
          (result) => result,
        );
      },
    },
    'provider.list': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject(organizationParams),
      handle: (_params, context) => ({
        defaultProvider: deps.defaultProvider,
        providers: describeProviders(organizations.keys(context.organization).vault, providers),
      }),
    },
    'provider.validate': {
      right: 'use',
      inOrganization: true,
      schema: z.strictObject({ ...providerParams, keyId, online: z.boolean().optional() }),
      async handle(params, { organization: slug, signal }) {
        const { vault, lookup, checks } = organizations.keys(slug);
        const first = lookup.key(params.provider, params.keyId);
        const keys = params.keyId === undefined ? vault.keys(first.provider) : [first];
        return {
          provider: first.provider,
          keys:
            params.online === true
              ? await checks.check(keys, signal)
              : keys.map((key) => judgeKeyOffline(key, providers, vault)),
        };
      },
    },
    'provider.models': {
      right: 'use',
      inOrganization: true,
      schema: z.strictObject(providerParams),
      async handle(params, { organization: slug, signal }) {
        const { vault, lookup, pools, credentials } = organizations.keys(slug);
        const provider = providers.get(lookup.resolve(params.provider));
        const key = pools.firstUsable(provider.name, vault.keys(provider.name));
        if (!key && provider.needsKey && !provider.modelsArePublic) throw pools.whyNone(provider.name);
        const asked = key ? credentials.addressed(provider, key) : provider;
        const models = await fetchModels(asked, key?.value ?? null, signal);
        return { provider: provider.name, asked: provider.modelsUrl !== null, models };
      },
    },
  };
}

/** Returns the first key that is neither cooling down nor quarantined. */
function usableKey({ vault, lookup, pools }: OrganizationKeys, name: string | undefined): ApiKey {
  const first = lookup.key(name);
  const key = pools.firstUsable(first.provider, vault.keys(first.provider));
  if (key) return key;
  throw pools.whyNone(first.provider);
}

function judgeKeyOffline(key: ApiKey, providers: Providers, vault: Vault): KeyVerdict {
  const info = describeKey(key, providers);
  // A key may be for a provider that nobody knows.
  const { prefixes, minLength } = providers.find(key.provider)?.keyShape ?? {};
  const isShapeKnown = prefixes !== undefined || minLength !== undefined;
  const detail = isShapeKnown ? 'the shape is right' : 'the usual shape of its keys is not known';
  const strayEnd = strayEndOf(key.value.reveal());
  const fault = vault.isCut(key.keyId) ? 'is cut at a "#" in its line; put the value in quotes' : strayEnd;
  return info.state === 'ready' && fault === undefined
    ? { ...info, verdict: 'valid', checked: 'offline', detail: `${detail}; --online asks the provider` }
    : { ...info, verdict: 'suspect', checked: 'offline', detail: info.reason ?? `it ${fault}` };
}
