/**
 * The keys of every organization: a vault, pools and provider credentials each. `default` are the
 * daemon's own.
 */

import { AipassError } from '../base/errors.ts';
import type { EventHub } from '../base/runtime.ts';
import type { Caller } from '../callers/caller.ts';
import { roleOf } from '../callers/access.ts';
import { organizationIdOf } from '../credentials/credential-records.ts';
import type { Vault } from '../credentials/vault.ts';
import type { Pools } from '../pools/pools.ts';
import type { OrganizationInfo } from '../protocol/credential.ts';
import type { KeyChecks } from './key-checks.ts';
import type { KeyLookup } from './key-lookup.ts';
import type { ProviderCredentials } from './provider-credentials.ts';

export interface OrganizationKeys {
  readonly vault: Vault;
  readonly lookup: KeyLookup;
  readonly pools: Pools;
  readonly checks: KeyChecks;
  readonly credentials: ProviderCredentials;
  /** Events about these keys, and about nothing else. */
  readonly events: EventHub;
}

export class Organizations {
  readonly #keys = new Map<string, OrganizationKeys>();

  /** Returns the keys of an organization. Throws NOT_FOUND for one that does not exist. */
  keys(slug: string): OrganizationKeys {
    const keys = this.#keys.get(slug);
    if (keys) return keys;
    throw new AipassError('NOT_FOUND', 'Not Found', {
      hint: 'name an organization of your own; one that was just configured is ready in a moment',
    });
  }

  has(slug: string): boolean {
    return this.#keys.has(slug);
  }

  of(caller: Caller): readonly OrganizationInfo[] {
    return [...caller.organizations]
      .filter(([slug]) => this.#keys.has(slug))
      .map(([slug, rights]) => ({ id: organizationIdOf(slug), slug, role: roleOf(rights) }));
  }

  set(slug: string, keys: OrganizationKeys): void {
    this.#keys.set(slug, keys);
  }
}
