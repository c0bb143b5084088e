/**
 * Admission of connections: by the user that the kernel reports, the access policy, and the user's
 * limits.
 *
 * Where the kernel cannot be asked (no koffi), only the modes of socket and folder protect the
 * daemon. It then keeps the socket to its own user, so that a peer is that user or root.
 */

import type { Socket } from 'node:net';
import { AipassError } from '../base/errors.ts';
import { peerCredentials, peerGroups, type PeerCredentials } from '../base/native.ts';
import {
  type AccessGrants,
  ALL_RIGHTS,
  NO_RIGHTS,
  type OrganizationRights,
  organizationRightsOf,
  type Right,
  rightsOf,
} from './access.ts';
import { describeProcess, type PeerIdentity } from './caller.ts';
import type { Load, RequestAdmission, UserLimits } from './user-limits.ts';
import { BoundedMap } from '../base/bounded-map.ts';
import type { Clock } from '../base/clock.ts';

/** The rights of an admitted connection, and its share of the user's limits. */
export interface Admission {
  /** Rights by the policy in use now; empty if that grants the user nothing any more. */
  readonly rights: ReadonlySet<Right>;
  /** Rights in each organization; another object after each change of the policy. */
  readonly organizations: OrganizationRights;
  /** Returns the identity that the kernel reports; found out at the first call, which is slow. */
  identify(): PeerIdentity | null;
  /** Counts a request whose frame has that length; it is ended with the same length. */
  beginRequest(length: number): RequestAdmission;
  endRequest(length: number): void;
  /** Adds to the bytes that wait for this user; false if they exceed the limit. */
  wait(bytes: number): boolean;
  leave(): void;
}

export interface GateDeps {
  readonly grants: () => AccessGrants;
  readonly limits: UserLimits;
  /** Called for each peer that is rejected as an unauthorized user. */
  readonly onRejected: (uid: number, pid: number | null) => void;
}

/** Rights of a peer in the default organization and in each of its organizations. */
interface PeerRights {
  readonly own: ReadonlySet<Right>;
  readonly organizations: OrganizationRights;
}

/** Uid under which peers are counted that the kernel does not identify. */
const UNKNOWN_UID = -1;

/** Gid of users whose groups are not known: `(gid_t) -1`, which no group has. */
const NO_GID = 0xffff_ffff;

/** Admits or rejects connections by their file descriptor. */
export class Gate {
  readonly #deps: GateDeps;

  constructor(deps: GateDeps) {
    this.#deps = deps;
  }

  /**
   * Checks a new connection of a Unix socket by its file descriptor.
   *
   * @throws AipassError FORBIDDEN for an unauthorized user, BAD_REQUEST for one connection too
   * many.
   */
  admit(fd: number): Admission {
    const peer = peerCredentials(fd);
    return this.#admit(peer, () => (peer === null ? [] : [peer.gid, ...(peerGroups(fd) ?? [])]));
  }

  /**
   * Checks a connection whose user the kernel reports in another way than by `SO_PEERCRED` (TCP).
   * Rights that groups give are missing, because the kernel does not report the groups.
   *
   * @throws AipassError as `admit` does.
   */
  admitUser(uid: number): Admission {
    return this.#admit({ uid, gid: NO_GID, pid: null }, () => []);
  }

  /** Connections and requests of all users that were admitted and have not ended. */
  get load(): Load {
    return this.#deps.limits.load;
  }

  #admit(peer: PeerCredentials | null, findGroups: () => readonly number[]): Admission {
    const { grants, limits, onRejected } = this.#deps;
    const uid = peer?.uid ?? UNKNOWN_UID;
    let usedGrants = grants();
    let groups: readonly number[] = [];
    const currentRights = (): PeerRights => {
      const own = peer === null ? ALL_RIGHTS : (rightsOf({ uid, groups }, usedGrants) ?? NO_RIGHTS);
      const organizations = organizationRightsOf({ uid, groups }, own, usedGrants.organizations);
      return { own, organizations };
    };
    let rights = currentRights();
    if (peer !== null && rights.own !== ALL_RIGHTS) {
      // Groups matter only to users whose uid alone does not grant every right.
      groups = findGroups();
      rights = currentRights();
    }
    if (rights.organizations.size === 0) {
      onRejected(uid, peer?.pid ?? null);
      throw new AipassError('FORBIDDEN', `this daemon does not serve uid ${uid}`, {
        hint: "ask as the daemon's own user, or have its owner list you under access in the configuration",
      });
    }
    // By uid, whatever the configuration grants: the owner must be able to ask what others do.
    const isOwn = rights.own === ALL_RIGHTS;
    if (!limits.connect(uid, isOwn)) {
      throw new AipassError('BAD_REQUEST', 'too many connections are open, of this user or of all users together', {
        hint: 'close some, share one between calls, or raise limits.connections or limits.perUser.connections',
        retryAfterMs: 1000,
      });
    }
    let identity: PeerIdentity | null | undefined = peer === null ? null : undefined;
    const rightsNow = (): PeerRights => {
      if (usedGrants !== grants()) {
        usedGrants = grants();
        rights = currentRights();
      }
      return rights;
    };
    return {
      get rights() {
        return rightsNow().own;
      },
      get organizations() {
        return rightsNow().organizations;
      },
      identify: () => {
        if (identity === undefined) identity = peer && { ...peer, ...describeProcess(peer.pid) };
        return identity;
      },
      beginRequest: (length) => limits.beginRequest(uid, length),
      endRequest: (length) => limits.endRequest(uid, length),
      wait: (bytes) => limits.wait(uid, bytes),
      leave: () => limits.disconnect(uid, isOwn),
    };
  }
}

/** Rejected connections that may be told why at a time: each takes a descriptor until it closes. */
const MAX_REJECTED = 64;

/** Counts the rejected connections of one listener that are still open. */
export class RejectedConnections {
  #open = 0;

  /** Adds one; returns whether it may be told why, or is to be closed at once. */
  add(socket: Pick<Socket, 'once'>): boolean {
    this.#open += 1;
    socket.once('close', () => {
      this.#open -= 1;
    });
    return this.#open <= MAX_REJECTED;
  }
}

/** Time after a report in which the same user's rejections are only counted, in milliseconds. */
const QUIET_MS = 1000;

/** Maximum number of users that are remembered; the oldest one is dropped. */
const MAX_USERS = 1000;

/** Reports a rejected peer; `more` counts the rejections since the last report. */
export type ReportRejection = (uid: number, pid: number | null, more: number) => void;

/**
 * Limits how often rejected peers are reported. Each user is reported at most once a second, with
 * the number of rejections in between. So nobody can flood log and audit with connection attempts.
 *
 * @returns a function to call for every rejected peer; it forwards some of the calls to `report`.
 */
export function limitRejections(clock: Clock, report: ReportRejection): (uid: number, pid: number | null) => void {
  const notes = new BoundedMap<number, { at: number; more: number }>(MAX_USERS);
  return (uid, pid) => {
    const note = notes.get(uid);
    const now = clock.monotonic();
    if (note && now - note.at < QUIET_MS) {
      note.more += 1;
      return;
    }
    notes.set(uid, { at: now, more: 0 });
    report(uid, pid, note?.more ?? 0);
  };
}
