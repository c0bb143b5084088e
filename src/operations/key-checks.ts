/**
 * Asks providers about keys, and reports the verdicts to the pools: a check that passes ends a
 * quarantine, one that fails begins it.
 */

import { defer } from '../base/dispose.ts';
import type { Logger } from '../base/logger.ts';
import { mapConcurrently } from '../base/map-concurrently.ts';
import type { Runtime } from '../base/runtime.ts';
import { startSchedule } from '../base/schedule.ts';
import type { ApiKey } from '../credentials/api-keys.ts';
import type { Vault } from '../credentials/vault.ts';
import type { Pools } from '../pools/pools.ts';
import { checkKey, type KeyCheckResult } from '../providers/key-check.ts';
import type { Provider } from '../providers/provider.ts';
import type { Providers } from '../providers/registry.ts';
import type { KeyVerdict } from '../protocol/provider.ts';
import { describeKey } from './key-lookup.ts';
import type { ProviderCredentials } from './provider-credentials.ts';

const CHECKS_AT_ONCE = 4;

export interface KeyChecksDeps {
  readonly vault: Vault;
  readonly providers: Providers;
  readonly pools: Pools;
  /** Where each key goes, and whether it is off: then it is asked about on request only. */
  readonly credentials: Pick<ProviderCredentials, 'addressed' | 'isOff'>;
  readonly logger: Pick<Logger, 'info'>;
}

/** Opens the checks: on their schedule, and when a pool asks for one. */
export function openKeyChecks(
  { config, clock, logger }: Runtime,
  { vault, providers, pools, credentials }: Omit<KeyChecksDeps, 'logger'>,
  stack: AsyncDisposableStack,
): KeyChecks {
  const checks = new KeyChecks({ vault, providers, pools, credentials, logger });
  const ending = new AbortController();
  const stopFollowing = pools.onCheckNeeded((provider, keyId) => {
    const keys = vault.keys(provider).filter((key) => key.keyId === keyId);
    // The verdict reaches the pool; a check that failed leaves the key to its next call.
    checks.check(keys, ending.signal).catch((error: unknown) => {
      if (!ending.signal.aborted) logger.warn(`checking ${keyId} failed`, { error });
    });
  });
  const stopSchedule = startSchedule(config.current.schedules.check, () => checks.checkAll(ending.signal), {
    name: 'check of the keys',
    logger,
    clock,
  });
  defer(stack, 'the checks of the keys', () => {
    stopFollowing();
    ending.abort();
    return stopSchedule();
  });
  return checks;
}

export class KeyChecks {
  readonly #deps: KeyChecksDeps;

  constructor(deps: KeyChecksDeps) {
    this.#deps = deps;
  }

  /** Asks about keys, a few at once; `onVerdict` hears each verdict as it comes. */
  check(
    keys: readonly ApiKey[],
    signal: AbortSignal,
    onVerdict: (verdict: KeyVerdict) => Promise<void> | void = () => {},
  ): Promise<KeyVerdict[]> {
    return mapConcurrently(keys, CHECKS_AT_ONCE, async (key) => {
      const verdict = await this.#ask(key, signal);
      await onVerdict(verdict);
      return verdict;
    });
  }

  /** Asks about every key whose provider can prove it for free; for the schedule. */
  async checkAll(signal: AbortSignal): Promise<void> {
    const { vault, providers, credentials, logger } = this.#deps;
    const keys = vault.keys().filter((key) => providers.find(key.provider)?.keyCheck && !credentials.isOff(key));
    if (keys.length === 0) return;
    const verdicts = await this.check(keys, signal);
    const bad = verdicts.filter(({ verdict }) => verdict === 'invalid').map(({ keyId }) => keyId);
    logger.info(`checked ${keys.length} keys`, bad.length === 0 ? {} : { invalid: bad });
  }

  async #ask(key: ApiKey, signal: AbortSignal): Promise<KeyVerdict> {
    const { providers, pools, credentials } = this.#deps;
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
    const revision = pools.keyOf(key.provider, key.keyId)?.revision;
    const result = await checkKey(credentials.addressed(provider, key), key.value, signal);
    // The key may have changed while its provider was asked: the pool compares.
    if (revision !== undefined && result.kind !== 'unknown') {
      pools.checked(key.provider, key.keyId, revision, result.kind, result.kind === 'invalid' ? result.status : 200);
    }
    const verdict = describeVerdict(provider, result);
    const isOut = provider.keyCheck === null && pools.keyOf(key.provider, key.keyId)?.quarantine;
    const detail = isOut
      ? `${verdict.detail}; it was refused, and is not used until .env is saved again`
      : verdict.detail;
    return { ...info, ...verdict, detail };
  }
}

/** Without an endpoint nobody was asked; with one, "unknown" is a failure of the request. */
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
