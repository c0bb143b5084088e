/**
 * The rights of a peer, from the user that the kernel reports. Pure: names are resolved once per
 * configuration.
 *
 * The daemon's own user and root may do everything. Other users may do what `access` grants them;
 * without a grant they are rejected, whatever the modes of socket and folder allow.
 */

import type { Config } from '../base/config-schema.ts';
import type { Warning } from '../base/warning.ts';
import { ALL_RIGHTS, type Right } from './rights.ts';

/**
 * The user behind a peer as the kernel reports it; `groups` holds the primary and supplementary
 * groups.
 */
export interface PeerUser {
  readonly uid: number;
  readonly groups: readonly number[];
}

/** The ids that each right was granted to, and the people of each organization. */
export interface AccessGrants {
  readonly ownUid: number;
  readonly organizations?: ReadonlyMap<string, OrganizationPeople>;
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

/**
 * Resolves the names of the configuration to ids. An unknown name grants nothing and causes a
 * warning.
 */
export function resolveAccess(
  access: Config['access'],
  accounts: UserFiles,
  ownUid: number,
): { readonly grants: AccessGrants; readonly warnings: readonly Warning[] } {
  const warnings: Warning[] = [];
  const lists = ['use', 'reveal', 'admin'] as const;
  const grants = lists.map((list) => ({
    rights: GRANTED[list],
    ...resolvePeople(`access.${list}`, access[list], accounts, warnings),
  }));
  return { grants: { ownUid, grants }, warnings };
}

/** User ids and group ids of one list of the configuration. */
export interface PeopleIds {
  readonly uids: ReadonlySet<number>;
  readonly gids: ReadonlySet<number>;
}

/** The people of one organization. */
export interface OrganizationPeople {
  readonly members: PeopleIds;
  readonly admins: PeopleIds;
}

/**
 * Resolves the users and groups of one list; adds a warning for each name that this machine does
 * not have.
 */
export function resolvePeople(
  place: string,
  people: Config['access']['use'],
  accounts: UserFiles,
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
    uids: resolve('users', idsByName(accounts.passwd)),
    gids: resolve('groups', idsByName(accounts.group)),
  };
}

/** Returns whether a peer is one of these people. */
export function isAmong(peer: PeerUser, { uids, gids }: PeopleIds): boolean {
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

/**
 * Returns whether users other than the daemon's own and root may ask, so that the socket must be
 * open to them.
 */
export function servesOthers(policy: AccessGrants): boolean {
  const organizations = [...(policy.organizations?.values() ?? [])].flatMap(({ members, admins }) => [members, admins]);
  return [...policy.grants, ...organizations].some(({ uids, gids }) => uids.size > 0 || gids.size > 0);
}

/**
 * Reads `name:password:id:…` lines, which passwd(5) and group(5) share; skips lines of another
 * shape.
 */
function idsByName(text: string): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':');
    if (name && id !== undefined && /^\d+$/.test(id) && !ids.has(name)) ids.set(name, Number(id));
  }
  return ids;
}
