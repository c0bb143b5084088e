/**
 * Opens the pools: keys from the vault, settings from the configuration, memory in the state file,
 * events to the subscribers.
 */

import type { AipassError } from '../base/errors.ts';
import type { Config } from '../base/config-schema.ts';
import { defer } from '../base/dispose.ts';
import { readFileSignatureSync } from '../base/file-signature.ts';
import type { Runtime } from '../base/runtime.ts';
import type { Secret } from '../base/secret.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import type { PoolEvent } from '../protocol/pool.ts';
import { foreignOwnerOf } from '../providers/key-shape.ts';
import type { Providers } from '../providers/registry.ts';
import { Pools } from './pools.ts';

interface KeyVault {
  /** Returns the keys of one provider. */
  keys(provider: string): readonly { readonly keyId: string; readonly value: Secret }[];
  /** Calls back after each change of keys; the returned function ends that. */
  onChange(listener: () => void): () => void;
  /**
   * Calls back whenever the file of the keys may have been saved; the returned function ends that.
   */
  onRescan(listener: () => void): () => void;
}

export interface OpenPoolsDeps {
  readonly vault: KeyVault;
  readonly providers: Providers;
  /** Returns the error that explains why a provider has no key. */
  readonly whyNone: (provider: string) => AipassError;
  /** Returns the settings of a key's credential: whether the key is used, and where it goes. */
  readonly credentialOf: (key: {
    readonly keyId: string;
    readonly value: Secret;
  }) => { readonly active: boolean; readonly baseUrl: string | null } | undefined;
  /** Organization that the keys belong to; those of the default one alone have settings. */
  readonly organization: string;
}

/** Opens the pools; they follow the keys and the configuration until the stack is closed. */
export function openPools(
  { config, paths, state, events, clock, random, logger: log }: Runtime,
  { vault, providers, whyNone, credentialOf, organization }: OpenPoolsDeps,
  stack: AsyncDisposableStack,
): Pools {
  const logger = log.component('pools');
  const isOwn = organization === DEFAULT_ORGANIZATION;
  const section = isOwn ? 'pools' : `pools:${organization}`;
  const pools = new Pools({
    clock,
    random,
    emit: (event: PoolEvent) => {
      const { kind } = event;
      // A provider that cools down has failed for all of its keys.
      const isProvider = kind === 'key-cooling-down' && event.keyId === null;
      const isBad = kind === 'key-quarantined' || kind === 'pool-exhausted' || isProvider;
      logger[isBad ? 'warn' : 'info'](kind, loggedFields(event));
      events.publish(kind, event);
    },
    onChange: () => state.changed(),
    debug: (message, fields) => logger.debug(message, fields),
    saved: state.section(section),
    settingsOf: (name) => {
      // A key of a provider that nobody described is used all the same.
      const needsKey = vault.keys(name).length > 0 || providers.get(name).needsKey;
      return { ...settingsOf(config.current, name)?.pool, needsKey: providers.find(name)?.needsKey ?? needsKey };
    },
    keysOf: (name) => {
      // While a file is being replaced, the vault still has its keys.
      const revision = readFileSignatureSync(paths.envFile);
      const provider = providers.find(name);
      const uncheckable = provider?.keyCheck === null;
      const settings = isOwn ? (settingsOf(config.current, name)?.keys ?? {}) : {};
      return vault.keys(name).map(({ keyId, value }) => {
        const credential = credentialOf({ keyId, value });
        return {
          keyId,
          value,
          revision,
          settings: Object.hasOwn(settings, keyId) ? settings[keyId] : undefined,
          uncheckable,
          foreign: provider && foreignOwnerOf(provider, value),
          isOff: credential?.active === false,
          baseUrl: credential?.baseUrl ?? null,
        };
      });
    },
    whyNone,
  });
  state.bind(section, () => pools.save());
  defer(stack, 'the pools', () => pools.stop());
  defer(
    stack,
    'the keys of the pools',
    vault.onChange(() => pools.keysChanged()),
  );
  let seen = readFileSignatureSync(paths.envFile);
  // A key that its provider accepts again is the same as before: saving the file again is how its
  // user reports that.
  const stopFollowing = vault.onRescan(() => {
    const signature = readFileSignatureSync(paths.envFile);
    if (signature === seen) return;
    seen = signature;
    pools.keysChanged();
  });
  defer(stack, 'the file of the keys', stopFollowing);
  defer(
    stack,
    'the settings of the pools',
    config.onChange(() => pools.keysChanged()),
  );
  return pools;
}

/**
 * Returns what the log holds of an event: moments as people read them, and nothing that only a
 * program needs.
 */
function loggedFields(event: PoolEvent): Readonly<Record<string, unknown>> {
  const { kind: _kind, ...fields } = event;
  if (event.kind !== 'key-cooling-down') return fields;
  const { provider, keyId, cooldown } = event;
  const { until, reason, scope, model } = cooldown;
  const moment = new Date(until).toISOString();
  return { provider, keyId, until: moment, reason, scope, ...(model === undefined ? {} : { model }) };
}

function settingsOf(config: Config, provider: string): Config['providers'][string] | undefined {
  return Object.hasOwn(config.providers, provider) ? config.providers[provider] : undefined;
}
