/**
 * Lets connections in, or not: whom the kernel names, the policy judges, and the books of the user have room for.
 *
 * Where the kernel cannot be asked (no koffi), the modes of socket and folder are all there is: the daemon then keeps
 * the socket to itself, and whoever gets through is its own user or root.
 */

import { AipassError } from '../base/errors.ts';
import { peerCredentials, peerGroups } from '../base/native.ts';
import { rightsOf, type AccessPolicy } from './access.ts';
import { describeProcess, type PeerIdentity } from './identity.ts';
import { ALL_RIGHTS, type Right } from './rights.ts';
import type { RequestAdmission, UserLimits } from './user-limits.ts';

/** Is what a connection may do, and the books it is kept in. */
export interface Admission {
  /** Is what it may do by the policy in use now; none where that does not know its user any more. */
  readonly rights: ReadonlySet<Right>;
  /** Returns what the kernel says of the peer; looked up when first asked, because most of it costs. */
  identify(): PeerIdentity | null;
  /** Counts a request that begins with a frame of that length; each admitted one is ended with the same length. */
  beginRequest(length: number): RequestAdmission;
  endRequest(length: number): void;
  /** Adds to, or takes from, the bytes that wait for this user; false where there are too many now. */
  wait(bytes: number): boolean;
  /** Takes the connection out of the books. */
  leave(): void;
}

/** Says what a gate judges by. */
export interface GateOptions {
  readonly policy: () => AccessPolicy;
  readonly limits: UserLimits;
  /** Is told of each peer that is turned away for who it is. */
  readonly onStranger: (uid: number, pid: number | null) => void;
}

const NO_RIGHTS: ReadonlySet<Right> = new Set();

/** Stands in the books for users that the kernel does not name. */
const UNKNOWN_UID = -1;

/** Admits connections by their file descriptor. */
export class Gate {
  readonly #options: GateOptions;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /**
   * Judges a new connection.
   *
   * @throws AipassError FORBIDDEN for a peer that may not ask, BAD_REQUEST for one too many of a user's connections.
   */
  admit(fd: number): Admission {
    const { policy, limits, onStranger } = this.#options;
    const peer = peerCredentials(fd);
    const uid = peer?.uid ?? UNKNOWN_UID;
    let judgedBy = policy();
    let groups: readonly number[] = [];
    const judge = () => (peer === null ? ALL_RIGHTS : rightsOf({ uid, groups }, judgedBy));
    let rights = judge();
    if (peer !== null && rights !== ALL_RIGHTS) {
      // Groups matter only to those whom their uid alone does not give every right.
      groups = [peer.gid, ...(peerGroups(fd) ?? [])];
      rights = judge();
    }
    if (rights === null) {
      onStranger(uid, peer?.pid ?? null);
      throw new AipassError('FORBIDDEN', `this daemon does not serve uid ${uid}`, {
        hint: "ask as the daemon's own user, or have its owner list you under access in the configuration",
      });
    }
    if (!limits.connect(uid)) {
      throw new AipassError('BAD_REQUEST', 'this user has too many connections', {
        hint: 'close some, share one between calls, or raise limits.perUser.connections',
        retryAfterMs: 1000,
      });
    }
    let identity: PeerIdentity | null | undefined = peer === null ? null : undefined;
    return {
      get rights() {
        if (judgedBy !== policy()) {
          judgedBy = policy();
          rights = judge();
        }
        return rights ?? NO_RIGHTS;
      },
      identify: () => {
        if (identity === undefined) identity = peer && { ...peer, ...describeProcess(peer.pid) };
        return identity;
      },
      beginRequest: (length) => limits.beginRequest(uid, length),
      endRequest: (length) => limits.endRequest(uid, length),
      wait: (bytes) => limits.wait(uid, bytes),
      leave: () => limits.disconnect(uid),
    };
  }
}
