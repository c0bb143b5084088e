/**
 * The keys of every organization: a vault, pools and provider credentials each. `default` are the daemon's own.
 *
 * An organization's keys are in `~/.secrets/aipass/organizations/<slug>/.env` and form pools of their own. Its events and
 * its key names are published to nobody outside of it.
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { defer } from '../base/dispose.ts';
import { AipassError } from '../base/errors.ts';
import { EventHub } from '../base/event-hub.ts';
import type { Paths } from '../base/paths.ts';
import type { Runtime } from '../base/runtime.ts';
import type { Caller } from '../callers/caller.ts';
import { roleOf } from '../callers/organizations.ts';
import type { ApiKey } from '../credentials/api-keys.ts';
import { CredentialRecords, organizationIdOf } from '../credentials/credential-records.ts';
import { EnvWriter } from '../credentials/env-writer.ts';
import { Vault } from '../credentials/vault.ts';
import { openPools } from '../pools/open.ts';
import type { Pools } from '../pools/pools.ts';
import { DEFAULT_ORGANIZATION, type OrganizationInfo } from '../protocol/credential.ts';
import type { Provider } from '../providers/provider.ts';
import type { Providers } from '../providers/registry.ts';
import type { CredentialOrganizations } from './credential-operations.ts';
import type { TakeSample } from './credential-usage.ts';
import { openKeyChecks } from './key-checks.ts';
import { KeyLookup } from './key-lookup.ts';
import { ProviderCredentials } from './provider-credentials.ts';

/** The keys of one organization. */
export interface OrganizationKeys {
  readonly vault: Vault;
  readonly lookup: KeyLookup;
  readonly pools: Pools;
  readonly credentials: ProviderCredentials;
}

/** What organizations are wired with. */
export interface OrganizationsDeps {
  readonly providers: Providers;
  /** Records of the default organization, and what its pools are fed from. */
  readonly own: Pick<OrganizationKeys, 'vault' | 'lookup' | 'pools'> & { readonly records: CredentialRecords };
  readonly takeSample: TakeSample;
}

/** Finds the keys of organizations. */
export class Organizations implements CredentialOrganizations {
  readonly #keys = new Map<string, OrganizationKeys>();

  /** Returns the keys of an organization, or undefined for one that does not exist. */
  keys(slug: string): OrganizationKeys | undefined {
    return this.#keys.get(slug);
  }

  credentials(slug: string): ProviderCredentials | undefined {
    return this.#keys.get(slug)?.credentials;
  }

  of(caller: Caller): readonly OrganizationInfo[] {
    return [...caller.organizations]
      .filter(([slug]) => this.#keys.has(slug))
      .map(([slug, rights]) => ({ id: organizationIdOf(slug), slug, role: roleOf(rights) }));
  }

  /** Returns a provider with the addresses that a key of the default organization is for. */
  addressed(provider: Provider, key: ApiKey): Provider {
    return this.credentials(DEFAULT_ORGANIZATION)?.addressed(provider, key) ?? provider;
  }

  /** Adds or replaces an organization. */
  set(slug: string, keys: OrganizationKeys): void {
    this.#keys.set(slug, keys);
  }
}

/** Returns the paths of an organization's keys. */
function organizationPaths(paths: Paths, slug: string): Paths {
  const secrets = join(paths.secrets, 'organizations', slug);
  return { ...paths, secrets, envFile: join(secrets, '.env') };
}

/** Opens the records of an organization for the keys of its vault; they are saved with the state. */
export function openRecords({ state, clock }: Runtime, slug: string, vault: Pick<Vault, 'keys'>): CredentialRecords {
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
  records.sync(vault.keys());
  return records;
}

/** Opens every configured organization; one that a reload adds is opened then. Closed with the stack. */
export async function openOrganizations(
  runtime: Runtime,
  { providers, own, takeSample }: OrganizationsDeps,
  stack: AsyncDisposableStack,
): Promise<Organizations> {
  const { config, logger } = runtime;
  const organizations = new Organizations();
  const deps = { providers, takeSample };
  organizations.set(DEFAULT_ORGANIZATION, {
    ...own,
    credentials: openCredentials(runtime, { ...deps, ...own, slug: DEFAULT_ORGANIZATION }, stack),
  });
  const open = async (slug: string): Promise<void> => {
    if (organizations.keys(slug) === undefined) organizations.set(slug, await openKeys(runtime, slug, deps, stack));
  };
  for (const slug of Object.keys(config.current.organizations)) await open(slug);
  const stopFollowing = config.onChange(({ organizations: next }) => {
    for (const slug of Object.keys(next)) {
      open(slug).catch((error: unknown) => logger.error(`cannot open the organization ${slug}`, { error }));
    }
  });
  defer(stack, 'the organizations', stopFollowing);
  return organizations;
}

/** Opens an organization's own vault, pools and credentials. */
async function openKeys(
  runtime: Runtime,
  slug: string,
  deps: Pick<OrganizationsDeps, 'providers' | 'takeSample'>,
  stack: AsyncDisposableStack,
): Promise<OrganizationKeys> {
  const { providers } = deps;
  const paths = organizationPaths(runtime.paths, slug);
  // Who hears the daemon's events need not belong to this organization.
  const scoped: Runtime = { ...runtime, paths, events: new EventHub() };
  const { redactor, clock, logger, config, warnings } = runtime;
  const vault = new Vault({
    paths,
    knownProviders: () => providers.names(),
    redactor,
    redactorSource: `organization ${slug}`,
    clock,
    logger,
  });
  defer(stack, `the vault of ${slug}`, await vault.start());
  warnings.register(() => vault.warnings());
  defer(
    stack,
    `the providers of ${slug}`,
    config.onChange(() => vault.providersChanged()),
  );
  const { defaultProvider } = config.current;
  const lookup = new KeyLookup({ vault, providers, paths, defaultProvider });
  const records = openRecords(runtime, slug, vault);
  const { pools, onCheckNeeded } = openPools(
    scoped,
    {
      vault,
      providers,
      whyNone: (name) => lookup.whyNone(name),
      credentialOf: (key) => records.of(key),
      organization: slug,
    },
    stack,
  );
  const isOff = (key: ApiKey): boolean => records.of(key)?.active === false;
  const credentials = openCredentials(scoped, { ...deps, slug, vault, pools, records }, stack);
  const addressed = (provider: Provider, key: ApiKey): Provider => credentials.addressed(provider, key);
  openKeyChecks(scoped, { vault, providers, pools, isOff, addressed, onCheckNeeded }, stack);
  return { vault, lookup, pools, credentials };
}

function openCredentials(
  { paths, clock, config, events }: Runtime,
  {
    slug,
    vault,
    pools,
    records,
    providers,
    takeSample,
  }: Pick<OrganizationKeys, 'vault' | 'pools'> &
    Pick<OrganizationsDeps, 'providers' | 'takeSample'> & {
      readonly slug: string;
      readonly records: CredentialRecords;
    },
  stack: AsyncDisposableStack,
): ProviderCredentials {
  const credentials = new ProviderCredentials({
    organizationId: organizationIdOf(slug),
    records,
    writer: new EnvWriter({ path: paths.envFile, reload: () => vault.load() }),
    vault,
    providers,
    pools,
    seenWindows: (provider, keyId) => pools.describe(provider).keys.find((key) => key.keyId === keyId)?.windows ?? [],
    clock,
    allowedHosts: () => config.current.network.allowedHosts,
    takeSample,
    onChange: ({ id, provider, account_key }, change, fields) => {
      events.publish('credentials-changed', { id, provider, account_key, change, fields });
    },
  });
  defer(
    stack,
    `the credentials of ${slug}`,
    vault.onChange(() => credentials.sync()),
  );
  return credentials;
}
