/**
 * Whom usage asks what a call cost: the provider's record of a generation, and the providers' price
 * lists.
 */

import type { Clock } from '../base/clock.ts';
import type { Vault } from '../credentials/vault.ts';
import { fetchGeneration } from '../providers/generation.ts';
import { fetchModels } from '../providers/models.ts';
import type { Providers } from '../providers/registry.ts';
import type { CostSources } from '../usage/open.ts';
import type { KeyLookup } from './key-lookup.ts';
import { GENERATION_PROVIDER } from './usage-operations.ts';

/** Returns the sources, asked with the keys that the vault holds at that moment. */
export function costSources(
  vault: Pick<Vault, 'keys'>,
  providers: Providers,
  lookup: Pick<KeyLookup, 'key'>,
  clock: Clock,
): CostSources {
  return {
    generationProvider: GENERATION_PROVIDER,
    fetchGeneration: (keyId, generationId, signal) => {
      const key = lookup.key(GENERATION_PROVIDER, keyId ?? undefined).value;
      return fetchGeneration(providers.get(GENERATION_PROVIDER), key, generationId, signal, clock);
    },
    fetchModels: (name, signal) => fetchModels(providers.get(name), vault.keys(name)[0]?.value ?? null, signal),
  };
}
