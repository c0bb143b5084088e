/**
 * The rights of callers. The dispatcher checks them before a handler runs, and again before a value
 * leaves.
 */

/**
 * One right: see metadata, use a credential through the daemon, reveal its value, or change things.
 */
export type Right = 'see' | 'use' | 'reveal' | 'admin';

/** All rights: those of the daemon's own user and of root. */
export const ALL_RIGHTS: ReadonlySet<Right> = new Set(['see', 'use', 'reveal', 'admin']);

/** No rights: those of a user who was granted none. */
export const NO_RIGHTS: ReadonlySet<Right> = new Set();

/** What an access token of the gateway stands for. */
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
