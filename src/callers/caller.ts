/**
 * The caller of a request: the name that it gave, and the identity that the kernel reports.
 */

import type { PeerIdentity } from './identity.ts';
import type { OrganizationRights } from './organizations.ts';
import type { Right } from './rights.ts';

/** The program at the other end of a connection. Its declared name is a label for people and proves nothing. */
export interface Caller {
  /** Declared name, as plain text, or null. */
  readonly name: string | null;
  /** Client library as `name/version`, or null. */
  readonly client: string | null;
  /** Rights in the default organization, which are the daemon's own keys. */
  readonly rights: ReadonlySet<Right>;
  /** Rights in each organization of the caller. */
  readonly organizations: OrganizationRights;
  /** Identity that the kernel reports, or null where the kernel cannot be asked. */
  readonly peer: PeerIdentity | null;
  /** Session name of its hello, or a name made for the connection. */
  readonly session: string;
}
