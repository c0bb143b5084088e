/**
 * Joins the pools to what feeds them: keys from the vault, settings from the configuration, memory in the state file,
 * checks by the providers, news to the subscribers.
 */

import { statSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import type { Config } from '../base/config-schema.ts';
import type { EventHub } from '../base/event-hub.ts';
import type { Logger } from '../base/logger.ts';
import type { Paths } from '../base/paths.ts';
import type { Release } from '../base/releasers.ts';
import { startSchedule } from '../base/schedule.ts';
import type { StateStore } from '../base/state-store.ts';
import type { Vault } from '../credentials/vault.ts';
import { Pools } from '../pools/pools.ts';
import type { PoolEvent } from '../protocol/pool.ts';
import type { Providers } from '../providers/registry.ts';
import { KeyChecks } from './key-checks.ts';
import type { KeyLookup } from './key-lookup.ts';

/** Is what the pools are joined to. */
export interface PoolSurroundings {
  /** Returns the configuration in use. */
  readonly config: () => Config;
  readonly paths: Paths;
  readonly vault: Vault;
  readonly providers: Providers;
  readonly lookup: KeyLookup;
  readonly state: StateStore;
  readonly events: EventHub;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Is the pools at work. */
export interface OpenPools {
  readonly pools: Pools;
  readonly checks: KeyChecks;
  readonly release: Release;
}

/** Opens the pools and starts their schedule. Throws AipassError BAD_REQUEST for a pattern that is none. */
export function openPools(surroundings: PoolSurroundings): OpenPools {
  const { config, paths, vault, providers, lookup, state, events, clock, logger } = surroundings;
  const ending = new AbortController();
  const pools = new Pools({
    clock,
    chance: Math.random,
    emit: (event) => tell(event, events, logger),
    onChange: () => state.changed(),
    saved: state.section('pools'),
    settingsOf: (name) => {
      // A key of a provider that nobody described is lent all the same.
      const needsKey = vault.keys(name).length > 0 || providers.get(name).needsKey;
      return { ...settingsOf(config(), name)?.pool, needsKey: providers.find(name)?.needsKey ?? needsKey };
    },
    keysOf: (name) => {
      const revision = revisionOf(paths.envFile);
      const uncheckable = providers.find(name)?.keyCheck === null;
      const settings = settingsOf(config(), name)?.keys ?? {};
      return vault.keys(name).map(({ keyId, value }) => ({
        keyId,
        value,
        revision,
        settings: Object.hasOwn(settings, keyId) ? settings[keyId] : undefined,
        uncheckable,
      }));
    },
    whyNone: (name) => lookup.whyNone(name),
    requestCheck: (name, keyId) => {
      const keys = vault.keys(name).filter((key) => key.keyId === keyId);
      // What the provider says reaches the pool; that it could not be asked leaves the key to its next call.
      checks.check(keys, ending.signal).catch((error: unknown) => {
        if (!ending.signal.aborted) logger.warn(`checking ${keyId} failed`, { error });
      });
    },
  });
  const checks = new KeyChecks({ vault, providers, pools, logger });
  state.bind('pools', () => pools.save());
  let seen = revisionOf(paths.envFile);
  const stopListening = vault.onChange(() => pools.keysChanged());
  // A key that its provider has taken back into favour is the same as before: to save the file again is to say so.
  const stopLooking = vault.onRescan(() => {
    const revision = revisionOf(paths.envFile);
    if (revision === seen) return;
    seen = revision;
    pools.keysChanged();
  });
  const stopSchedule = startSchedule(config().schedules.check, () => checks.checkAll(ending.signal), {
    name: 'check of the keys',
    logger,
    clock,
  });
  return {
    pools,
    checks,
    release: async () => {
      ending.abort();
      stopListening();
      stopLooking();
      await stopSchedule();
      pools.stop();
    },
  };
}

function settingsOf(config: Config, provider: string): Config['providers'][string] | undefined {
  return Object.hasOwn(config.providers, provider) ? config.providers[provider] : undefined;
}

/** Returns what changes whenever the file of the keys does. */
function revisionOf(envFile: string): string {
  try {
    const { mtimeMs, ino, size } = statSync(envFile);
    return `${mtimeMs} ${ino} ${size}`;
  } catch {
    // The vault still lends the last good values of a file that is gone.
    return 'none';
  }
}

function tell({ kind, ...data }: PoolEvent, events: EventHub, logger: Logger): void {
  if (kind === 'key-quarantined' || kind === 'pool-exhausted') logger.warn(kind, data);
  else logger.info(kind, data);
  events.publish(kind, { kind, ...data });
}
