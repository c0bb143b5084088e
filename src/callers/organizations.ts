/**
 * The organizations of a caller, from the user that the kernel reports. Pure: names are resolved
 * once per configuration.
 *
 * `default` always exists: it is the daemon's own keys, and the rights in it are those that
 * `access` grants. Members of any other organization may see and use its keys through the daemon,
 * admins may change them. Nobody but the daemon's own user and root is given a value. Nothing of an
 * organization is visible to a caller outside of it.
 */

import type { Config } from '../base/config-schema.ts';
import type { Warning } from '../base/warning.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import { isAmong, resolvePeople, type UserFiles, type OrganizationPeople, type PeerUser } from './access.ts';
import { ALL_RIGHTS, NO_RIGHTS, type Right } from './rights.ts';

/** Rights of a member, and of an admin. */
const MEMBER_RIGHTS: ReadonlySet<Right> = new Set(['see', 'use']);
const ADMIN_RIGHTS: ReadonlySet<Right> = new Set(['see', 'use', 'admin']);
/** The people of each configured organization. */
export type OrganizationGrants = ReadonlyMap<string, OrganizationPeople>;

/** A caller's rights in each of its organizations, by slug. */
export type OrganizationRights = ReadonlyMap<string, ReadonlySet<Right>>;

/** Resolves the names of the configuration to ids. */
export function resolveOrganizations(
  organizations: Config['organizations'],
  accounts: UserFiles,
): { readonly grants: OrganizationGrants; readonly warnings: readonly Warning[] } {
  const warnings: Warning[] = [];
  const grants = Object.entries(organizations)
    .filter(([slug]) => slug !== DEFAULT_ORGANIZATION)
    .map(([slug, people]) => {
      const own: Warning[] = [];
      const members = resolvePeople(`organizations.${slug}.members`, people.members, accounts, own);
      const admins = resolvePeople(`organizations.${slug}.admins`, people.admins, accounts, own);
      warnings.push(...own.map((warning) => ({ ...warning, organization: slug })));
      return [slug, { members, admins }] as const;
    });
  if (Object.hasOwn(organizations, DEFAULT_ORGANIZATION)) {
    warnings.push({
      subject: `organizations.${DEFAULT_ORGANIZATION}`,
      problem: 'is the daemon itself, and has no members of its own',
      hint: 'list its people under access instead',
    });
  }
  return { grants: new Map(grants), warnings };
}

/** Returns the rights of a peer in each of its organizations; `own` are its rights by `access`. */
export function organizationRightsOf(
  peer: PeerUser,
  own: ReadonlySet<Right>,
  grants: OrganizationGrants,
): OrganizationRights {
  const rights = new Map<string, ReadonlySet<Right>>();
  if (own.size > 0) rights.set(DEFAULT_ORGANIZATION, own);
  for (const [slug, { members, admins }] of grants) {
    // The daemon's own user and root hold every file of every organization.
    if (own === ALL_RIGHTS) rights.set(slug, ALL_RIGHTS);
    else if (isAmong(peer, admins)) rights.set(slug, ADMIN_RIGHTS);
    else if (isAmong(peer, members)) rights.set(slug, MEMBER_RIGHTS);
  }
  return rights;
}

/** The organization of one request, and the caller's rights in it. */
export interface OrganizationScope {
  readonly slug: string;
  readonly rights: ReadonlySet<Right>;
}

/**
 * Returns the organization of a request: the named one, else the caller's only one, else `default`.
 * Undefined for a name that is not one of the caller's own, whether or not it exists.
 */
export function scopeOf(rights: OrganizationRights, named: string | undefined): OrganizationScope | undefined {
  const [only] = rights.size === 1 ? rights.keys() : [];
  const slug = named ?? only ?? DEFAULT_ORGANIZATION;
  const found = rights.get(slug);
  if (found) return { slug, rights: found };
  return named === undefined ? { slug, rights: NO_RIGHTS } : undefined;
}

/** Returns the role that rights amount to: who may change an organization's keys is its admin. */
export function roleOf(rights: ReadonlySet<Right>): 'member' | 'admin' {
  return rights.has('admin') ? 'admin' : 'member';
}
