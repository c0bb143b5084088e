/**
 * Who may ask, decided from what the kernel says of a peer. Pure: the policy is resolved once per configuration.
 *
 * The daemon's own user and root may do everything; everybody else only what `access` grants them, and where it grants
 * nothing they are refused, whatever the modes of socket and folder say.
 */

import type { Config } from '../base/config-schema.ts';
import type { Warning } from '../base/warning.ts';
import { ALL_RIGHTS, type Right } from './rights.ts';

/** Is what the kernel says of the user behind a peer; `groups` holds its primary and supplementary ones. */
export interface PeerUser {
  readonly uid: number;
  readonly groups: readonly number[];
}

/** Holds the ids that each right was granted to. */
export interface AccessPolicy {
  readonly ownUid: number;
  readonly grants: readonly {
    readonly rights: readonly Right[];
    readonly uids: ReadonlySet<number>;
    readonly gids: ReadonlySet<number>;
  }[];
}

/** Is the texts of `/etc/passwd` and `/etc/group`, which names are looked up in. */
export interface Accounts {
  readonly passwd: string;
  readonly group: string;
}

/** Maps each list of the configuration to the rights it grants: who may do something may also see what there is. */
const GRANTED = {
  use: ['see', 'use'],
  reveal: ['see', 'reveal'],
  admin: ['see', 'admin'],
} as const satisfies Record<keyof Config['access'], readonly Right[]>;

/** Resolves the names of the configuration to ids; a name that nobody has grants nothing and is a warning. */
export function resolveAccess(
  access: Config['access'],
  accounts: Accounts,
  ownUid: number,
): { readonly policy: AccessPolicy; readonly warnings: readonly Warning[] } {
  const users = idsByName(accounts.passwd);
  const groups = idsByName(accounts.group);
  const warnings: Warning[] = [];
  const resolve = (place: string, entries: readonly (string | number)[], known: ReadonlyMap<string, number>) => {
    const ids = new Set<number>();
    for (const entry of entries) {
      const id = typeof entry === 'number' ? entry : known.get(entry);
      if (id !== undefined) ids.add(id);
      else {
        warnings.push({
          subject: place,
          problem: `this machine has no "${entry}"`,
          hint: `correct ${place} in the configuration, or give the number`,
        });
      }
    }
    return ids;
  };
  const lists = ['use', 'reveal', 'admin'] as const;
  const grants = lists.map((list) => ({
    rights: GRANTED[list],
    uids: resolve(`access.${list}.users`, access[list].users, users),
    gids: resolve(`access.${list}.groups`, access[list].groups, groups),
  }));
  return { policy: { ownUid, grants }, warnings };
}

/** Returns what a peer may do, or null for one who may not even ask. */
export function rightsOf(peer: PeerUser, policy: AccessPolicy): ReadonlySet<Right> | null {
  if (peer.uid === policy.ownUid || peer.uid === 0) return ALL_RIGHTS;
  const rights = new Set<Right>();
  for (const grant of policy.grants) {
    if (!grant.uids.has(peer.uid) && !peer.groups.some((gid) => grant.gids.has(gid))) continue;
    for (const right of grant.rights) rights.add(right);
  }
  return rights.size === 0 ? null : rights;
}

/** Tells whether anybody but the daemon's own user and root may ask, so that the socket must let others through. */
export function servesOthers(policy: AccessPolicy): boolean {
  return policy.grants.some((grant) => grant.uids.size > 0 || grant.gids.size > 0);
}

/** Reads `name:password:id:…` lines, which passwd(5) and group(5) share; a line of another shape is passed over. */
function idsByName(text: string): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':');
    if (name && id !== undefined && /^\d+$/.test(id) && !ids.has(name)) ids.set(name, Number(id));
  }
  return ids;
}
