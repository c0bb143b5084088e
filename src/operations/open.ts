/**
 * Opens the keys of every organization: vault, records, pools, credentials and checks.
 *
 * An organization's keys are in `~/.secrets/aipass/organizations/<slug>/.env` and form pools of
 * their own. Its events and its key names are published to nobody outside of it.
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { defer } from '../base/dispose.ts';
import { EventHub, type Runtime } from '../base/runtime.ts';
import { CredentialRecords, organizationIdOf } from '../credentials/credential-records.ts';
import { EnvWriter } from '../credentials/env-writer.ts';
import { openVault } from '../credentials/open.ts';
import { ORGANIZATIONS_FOLDER } from '../credentials/opaque-store.ts';
import type { Vault } from '../credentials/vault.ts';
import { openPools } from '../pools/open.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import type { Providers } from '../providers/registry.ts';
import { keyWarnings, referenceWarnings } from './config-warnings.ts';
import { openKeyChecks } from './key-checks.ts';
import { KeyLookup } from './key-lookup.ts';
import { Organizations, type OrganizationKeys } from './organizations.ts';
import { ProviderCredentials } from './provider-credentials.ts';

/** Opens the daemon's own organization and every configured one, also after a reload. */
export async function openOrganizations(
  runtime: Runtime,
  providers: Providers,
  stack: AsyncDisposableStack,
): Promise<Organizations> {
  const { config, logger } = runtime;
  const organizations = new Organizations();
  organizations.set(DEFAULT_ORGANIZATION, await openKeys(runtime, DEFAULT_ORGANIZATION, providers, stack));
  const openOne = async (slug: string): Promise<void> => {
    const secrets = join(runtime.paths.secrets, ORGANIZATIONS_FOLDER, slug);
    const paths = { ...runtime.paths, secrets, envFile: join(secrets, '.env') };
    // Who hears the daemon's events need not belong to this organization.
    const scoped: Runtime = { ...runtime, paths, events: new EventHub() };
    organizations.set(slug, await openKeys(scoped, slug, providers, stack));
  };
  /** Openings that are under way: a second reload may come before the end of one. */
  const opening = new Map<string, Promise<void>>();
  const open = async (slug: string): Promise<void> => {
    if (organizations.has(slug)) return;
    const underWay = opening.get(slug) ?? openOne(slug).finally(() => opening.delete(slug));
    opening.set(slug, underWay);
    await underWay;
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

/** Opens the keys of one organization, until the stack is closed. */
async function openKeys(
  runtime: Runtime,
  slug: string,
  providers: Providers,
  stack: AsyncDisposableStack,
): Promise<OrganizationKeys> {
  const { paths, clock, config, events, warnings } = runtime;
  const vault = await openVault(runtime, () => providers.names(), stack, slug);
  const lookup = new KeyLookup({ vault, providers, paths, defaultProvider: config.current.defaultProvider });
  if (slug === DEFAULT_ORGANIZATION) {
    warnings.register(() => keyWarnings(vault, paths));
    warnings.register(() => referenceWarnings(config.current, { vault, providers, lookup, paths }));
  }
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
  const credentials = new ProviderCredentials({
    organizationId: organizationIdOf(slug),
    records,
    writer: new EnvWriter({ path: paths.envFile, reload: () => vault.load() }),
    vault,
    providers,
    pools,
    clock,
    allowedHosts: () => config.current.network.allowedHosts,
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
    persist: () => state.flush(),
  });
  state.bind(section, () => records.save());
  // Before anything is sent with these keys.
  records.sync(vault.keys(), vault.isEnvWhole());
  return records;
}
