/**
 * Who is asking: what the program calls itself, and what the kernel says of it.
 */

import type { PeerIdentity } from './identity.ts';
import type { Right } from './rights.ts';

/** Is the program at the other end of a connection. A declared name is a label for people, not proof of anything. */
export interface Caller {
  /** Is what it calls itself, plain text, or null where it says nothing. */
  readonly name: string | null;
  /** Is its client library as `name/version`, or null. */
  readonly client: string | null;
  readonly rights: ReadonlySet<Right>;
  /** Is what the kernel says of its process, or null where it cannot be asked. */
  readonly peer: PeerIdentity | null;
  /** Is its session: what it said in its hello, or a name of the connection's own. */
  readonly session: string;
}
