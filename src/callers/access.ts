/**
 * The rights of a peer, from the user that the kernel reports, in each organization. The default
 * one is the daemon's own keys.
 *
 * The daemon's own user and root may do everything. What other users may do in the default
 * organization is what `access` grants them. Members of any other organization may see and use its
 * keys through the daemon, and admins may change them. Nobody but the daemon's own user and root
 * is given a value of those. Nothing of an organization is visible to a caller outside of it. A
 * user without any right is rejected, whatever the modes of socket and folder allow.
 *
 * A user or group that is named is looked up in the machine's files, once per configuration.
 */

import { readFileSync } from 'node:fs';
import type { Config } from '../base/config-schema.ts';
import { AipassError } from '../base/errors.ts';
import type { Warning } from '../base/warning.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';

/** See metadata, use a credential through the daemon, reveal its value, or change things. */
export type Right = 'see' | 'use' | 'reveal' | 'admin';

/** All rights: those of the daemon's own user and of root. */
export const ALL_RIGHTS: ReadonlySet<Right> = new Set(['see', 'use', 'reveal', 'admin']);

/** No rights: those of a user who was granted none. */
export const NO_RIGHTS: ReadonlySet<Right> = new Set();

/** Rights and owner that an access token of the gateway stands for. */
export interface TokenGrant {
  /** Name that requests are recorded under. */
  readonly name: string;
  /** Session that requests are recorded under, or null where each request names its own. */
  readonly session: string | null;
  /** Unix user that may present the token. */
  readonly uid: number;
  /** Rights that the token gives, at most those of its user. */
  readonly rights: ReadonlySet<Right>;
  /** Providers that may be called, or null for all. */
  readonly providers: ReadonlySet<string> | null;
  /** OAuth accounts whose tokens may be had. */
  readonly oauthAccounts: ReadonlySet<string>;
}

/** The user behind a peer as the kernel reports it, with primary and supplementary groups. */
export interface PeerUser {
  readonly uid: number;
  readonly groups: readonly number[];
}

/** The ids that each right was granted to, and the people of each organization. */
export interface AccessGrants {
  readonly ownUid: number;
  readonly organizations: OrganizationGrants;
  readonly grants: readonly (PeopleIds & { readonly rights: readonly Right[] })[];
}

/** Texts of `/etc/passwd` and `/etc/group`, which resolve names. */
export interface UserFiles {
  readonly passwd: string;
  readonly group: string;
}

/** The rights that each list of the configuration grants; every list also grants `see`. */
const GRANTED = {
  use: ['see', 'use'],
  reveal: ['see', 'reveal'],
  admin: ['see', 'admin'],
} as const satisfies Record<keyof Config['access'], readonly Right[]>;

type AccessConfig = Pick<Config, 'access' | 'organizations'>;

interface ResolvedPolicy {
  readonly grants: AccessGrants;
  readonly warnings: readonly Warning[];
}

/** Resolves the names of the configuration to ids. An unknown name is a warning. */
export function resolveAccess(config: AccessConfig, files: UserFiles, ownUid: number): ResolvedPolicy {
  const warnings: Warning[] = [];
  const lists = ['use', 'reveal', 'admin'] as const;
  const grants = lists.map((list) => ({
    rights: GRANTED[list],
    ...resolvePeople(`access.${list}`, config.access[list], files, warnings),
  }));
  const organizations = resolveOrganizations(config.organizations, files, warnings);
  return { grants: { ownUid, grants, organizations }, warnings };
}

/** User ids and group ids of one list of the configuration. */
export interface PeopleIds {
  readonly uids: ReadonlySet<number>;
  readonly gids: ReadonlySet<number>;
}

export interface OrganizationPeople {
  readonly members: PeopleIds;
  readonly admins: PeopleIds;
}

/** Resolves the users and groups of one list; an unknown name is a warning. */
function resolvePeople(
  place: string,
  people: Config['access']['use'],
  files: UserFiles,
  warnings: Warning[],
): PeopleIds {
  const resolve = (kind: 'users' | 'groups', known: ReadonlyMap<string, number>): ReadonlySet<number> => {
    const ids = new Set<number>();
    for (const entry of people[kind]) {
      const id = typeof entry === 'number' ? entry : known.get(entry);
      if (id !== undefined) ids.add(id);
      else {
        warnings.push({
          subject: `${place}.${kind}`,
          problem: `this machine has no user or group "${entry}"`,
          hint: `correct ${place}.${kind} in the configuration, or give the number`,
        });
      }
    }
    return ids;
  };
  return {
    uids: resolve('users', idsByName(files.passwd)),
    gids: resolve('groups', idsByName(files.group)),
  };
}

/** Returns whether a peer is one of these people. */
function isAmong(peer: PeerUser, { uids, gids }: PeopleIds): boolean {
  return uids.has(peer.uid) || peer.groups.some((gid) => gids.has(gid));
}

/** Returns the rights of a peer, or null for a peer that may not ask at all. */
export function rightsOf(peer: PeerUser, policy: AccessGrants): ReadonlySet<Right> | null {
  if (peer.uid === policy.ownUid || peer.uid === 0) return ALL_RIGHTS;
  const rights = new Set<Right>();
  for (const grant of policy.grants) {
    if (!isAmong(peer, grant)) continue;
    for (const right of grant.rights) rights.add(right);
  }
  return rights.size === 0 ? null : rights;
}

/** Returns whether users other than the daemon's own and root may ask. */
export function servesOthers(policy: AccessGrants): boolean {
  const organizations = [...policy.organizations.values()].flatMap(({ members, admins }) => [members, admins]);
  return [...policy.grants, ...organizations].some(({ uids, gids }) => uids.size > 0 || gids.size > 0);
}

/** Reads `name:password:id:…` lines, which passwd(5) and group(5) share. */
function idsByName(text: string): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':');
    if (name && id !== undefined && /^\d+$/.test(id) && !ids.has(name)) ids.set(name, Number(id));
  }
  return ids;
}

/** Rights of a member, and of an admin. */
const MEMBER_RIGHTS: ReadonlySet<Right> = new Set(['see', 'use']);
const ADMIN_RIGHTS: ReadonlySet<Right> = new Set(['see', 'use', 'admin']);
export type OrganizationGrants = ReadonlyMap<string, OrganizationPeople>;

/** A caller's rights in each of its organizations, by slug. */
export type OrganizationRights = ReadonlyMap<string, ReadonlySet<Right>>;

/** Resolves the names of the configuration to ids. */
function resolveOrganizations(
  organizations: Config['organizations'],
  files: UserFiles,
  warnings: Warning[],
): OrganizationGrants {
  const grants = Object.entries(organizations)
    .filter(([slug]) => slug !== DEFAULT_ORGANIZATION)
    .map(([slug, people]) => {
      const own: Warning[] = [];
      const members = resolvePeople(`organizations.${slug}.members`, people.members, files, own);
      const admins = resolvePeople(`organizations.${slug}.admins`, people.admins, files, own);
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
  return new Map(grants);
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
 * Returns the organization of a request: the named one, else the caller's only one, else
 * `default`.
 *
 * @throws AipassError NOT_FOUND for a name that is not one of the caller's own, whether or not it
 * exists.
 */
export function scopeOf(rights: OrganizationRights, named: string | undefined): OrganizationScope {
  const [only] = rights.size === 1 ? rights.keys() : [];
  const slug = named ?? only ?? DEFAULT_ORGANIZATION;
  const found = rights.get(slug);
  if (found) return { slug, rights: found };
  if (named === undefined) return { slug, rights: NO_RIGHTS };
  throw new AipassError('NOT_FOUND', 'Not Found', { hint: 'name an organization of your own, or none' });
}

/** Returns the role that rights amount to: who may change an organization's keys is its admin. */
export function roleOf(rights: ReadonlySet<Right>): 'member' | 'admin' {
  return rights.has('admin') ? 'admin' : 'member';
}

/** The policy in use; a reload of the configuration replaces it. */
export class AccessPolicy {
  readonly #ownUid: number;
  #resolved: ResolvedPolicy;

  constructor(config: AccessConfig, ownUid: number) {
    this.#ownUid = ownUid;
    this.#resolved = resolveAccess(config, readUserFiles(), ownUid);
  }

  get grants(): AccessGrants {
    return this.#resolved.grants;
  }

  /** Whether users other than the daemon's own and root may ask. */
  get servesOthers(): boolean {
    return servesOthers(this.#resolved.grants);
  }

  warnings(): readonly Warning[] {
    return this.#resolved.warnings;
  }

  /** Applies another configuration, also to open connections. */
  replace(config: AccessConfig): void {
    this.#resolved = resolveAccess(config, readUserFiles(), this.#ownUid);
  }
}

/** Those of a directory service are not in these files, and are configured by number. */
function readUserFiles(): UserFiles {
  return { passwd: readText('/etc/passwd'), group: readText('/etc/group') };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
