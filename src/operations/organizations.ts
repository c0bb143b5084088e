/**
 * The keys of every organization: a vault, pools and provider credentials each. `default` are the
 * daemon's own.
 *
 * An organization's keys are in `~/.secrets/aipass/organizations/<slug>/.env` and form pools of
 * their own. Its events and its key names are published to nobody outside of it.
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { defer } from '../base/dispose.ts';
import { AipassError } from '../base/errors.ts';
import { EventHub, type Runtime } from '../base/runtime.ts';
import type { Caller } from '../callers/caller.ts';
import { roleOf } from '../callers/access.ts';
import { CredentialRecords, organizationIdOf } from '../credentials/credential-records.ts';
import { EnvWriter } from '../credentials/env-writer.ts';
import { openVault } from '../credentials/open.ts';
import type { Vault } from '../credentials/vault.ts';
import { openPools } from '../pools/open.ts';
import type { Pools } from '../pools/pools.ts';
import { DEFAULT_ORGANIZATION, type OrganizationInfo } from '../protocol/credential.ts';
import type { Providers } from '../providers/registry.ts';
import type { RawEvent } from '../usage/event.ts';
import { createSampler } from './credential-usage.ts';
import { openKeyChecks, type KeyChecks } from './key-checks.ts';
import { KeyLookup } from './key-lookup.ts';
import { notFound, ProviderCredentials } from './provider-credentials.ts';

export interface OrganizationKeys {
  readonly vault: Vault;
  readonly lookup: KeyLookup;
  readonly pools: Pools;
  readonly checks: KeyChecks;
  readonly credentials: ProviderCredentials;
  /** Events about these keys, and about nothing else. */
  readonly events: EventHub;
}

/** The keys of an organization as they are held and lent, before anybody asks about them. */
interface HeldKeys extends Pick<OrganizationKeys, 'vault' | 'lookup' | 'pools'> {
  readonly records: CredentialRecords;
}

export interface OrganizationsDeps {
  readonly providers: Providers;
  /** Records the call that a paid sample is. */
  readonly record: (event: RawEvent) => void;
}

export class Organizations {
  readonly #keys = new Map<string, OrganizationKeys>();

  /** Returns the keys of an organization. Throws NOT_FOUND for one that does not exist. */
  keys(slug: string): OrganizationKeys {
    const keys = this.#keys.get(slug);
    if (!keys) throw notFound();
    return keys;
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

/** Opens the records for the keys of an organization's vault; they are saved with the state. */
function openRecords(
  { state, clock }: Runtime,
  slug: string,
  vault: Pick<Vault, 'keys' | 'isEnvWhole'>,
): CredentialRecords {
  const section = slug === DEFAULT_ORGANIZATION ? 'credentials' : `credentials:${slug}`;
  const records = new CredentialRecords({
    organizationId: organizationIdOf(slug),
    saved: state.section(section),
    clock,
    randomId: randomUUID,
    onChange: () => state.changed(),
    persist: async () => {
      try {
        await state.flush();
      } catch (error) {
        throw new AipassError('INTERNAL', 'the state of the credentials cannot be written', {
          hint: 'make room on the disk, or let this user write the state folder',
          cause: error,
        });
      }
    },
  });
  state.bind(section, () => records.save());
  // Before anything is sent with these keys.
  records.sync(vault.keys(), vault.isEnvWhole());
  return records;
}

/** Opens the vault of an organization, its records and its pools, until the stack is closed. */
export async function openKeys(
  runtime: Runtime,
  slug: string,
  providers: Providers,
  stack: AsyncDisposableStack,
): Promise<HeldKeys> {
  const { paths, config } = runtime;
  const vault = await openVault(runtime, () => providers.names(), stack, slug);
  const lookup = new KeyLookup({ vault, providers, paths, defaultProvider: config.current.defaultProvider });
  const records = openRecords(runtime, slug, vault);
  const pools = openPools(
    runtime,
    {
      vault,
      providers,
      whyNone: (name) => lookup.whyNone(name),
      credentialOf: (key) => records.of(key),
      organization: slug,
    },
    stack,
  );
  return { vault, lookup, records, pools };
}

/** Opens the daemon's `own` organization and every configured one, also after a reload. */
export async function openOrganizations(
  runtime: Runtime,
  organizations: Organizations,
  own: HeldKeys,
  deps: OrganizationsDeps,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { config, logger } = runtime;
  organizations.set(DEFAULT_ORGANIZATION, openCredentials(runtime, DEFAULT_ORGANIZATION, own, deps, stack));
  const open = async (slug: string): Promise<void> => {
    if (organizations.has(slug)) return;
    const secrets = join(runtime.paths.secrets, 'organizations', slug);
    const paths = { ...runtime.paths, secrets, envFile: join(secrets, '.env') };
    // Who hears the daemon's events need not belong to this organization.
    const scoped: Runtime = { ...runtime, paths, events: new EventHub() };
    const held = await openKeys(scoped, slug, deps.providers, stack);
    organizations.set(slug, openCredentials(scoped, slug, held, deps, stack));
  };
  for (const slug of Object.keys(config.current.organizations)) await open(slug);
  const stopFollowing = config.onChange(({ organizations: next }) => {
    for (const slug of Object.keys(next)) {
      open(slug).catch((error: unknown) => logger.error(`cannot open the organization ${slug}`, { error }));
    }
  });
  defer(stack, 'the organizations', stopFollowing);
}

/** Opens the credentials and the checks over the keys of an organization. */
function openCredentials(
  runtime: Runtime,
  slug: string,
  { vault, lookup, pools, records }: HeldKeys,
  { providers, record }: OrganizationsDeps,
  stack: AsyncDisposableStack,
): OrganizationKeys {
  const { paths, clock, config, events } = runtime;
  const credentials = new ProviderCredentials({
    organizationId: organizationIdOf(slug),
    records,
    writer: new EnvWriter({ path: paths.envFile, reload: () => vault.load() }),
    vault,
    providers,
    pools,
    clock,
    allowedHosts: () => config.current.network.allowedHosts,
    takeSample: createSampler((event) => record({ ...event, organization: slug }), clock),
    onChange: ({ id, provider, account_key }, change, fields) => {
      events.publish('credentials-changed', { id, provider, account_key, change, fields });
    },
  });
  defer(
    stack,
    `the credentials of ${slug}`,
    vault.onChange(() => credentials.sync()),
  );
  // A file that can be read again may decide what is left open without a change of any value.
  defer(
    stack,
    `the undecided credentials of ${slug}`,
    vault.onRescan(() => credentials.sync()),
  );
  const checks = openKeyChecks(runtime, { vault, providers, pools, credentials }, stack);
  return { vault, lookup, pools, checks, credentials, events };
}
