/**
 * The events of `event.subscribe`.
 */

import type { PoolEvent } from './pool.ts';

/** Data of one kind of pool event. */
type OfPool<Kind extends PoolEvent['kind']> = Extract<PoolEvent, { readonly kind: Kind }>;

/** Maps the name of each event to its data. */
export interface Events {
  /** The variables and secrets that appeared, changed or went, by name. */
  'secrets-changed': { readonly names: readonly string[] };
  /** A key cools down (or, without a key, the provider): why, and until when. */
  'key-cooling-down': OfPool<'key-cooling-down'>;
  /** A key, or the provider, proved that it serves again. */
  'key-restored': OfPool<'key-restored'>;
  /** A provider does not accept a key; it is out until its file changes or a check passes. */
  'key-quarantined': OfPool<'key-quarantined'>;
  /** No key of a pool is free; reported once until one is. */
  'pool-exhausted': OfPool<'pool-exhausted'>;
  /** A provider credential of the organization was created, changed or deleted. */
  'credentials-changed': CredentialNotice;
  /** An OAuth account has a new access token. */
  refreshed: AccountNotice;
  /** An OAuth account needs its user again: nothing else will help. */
  'reauth-required': AccountNotice;
  /** The consent to an OAuth account ends within days, and refreshing does not extend it. */
  'reauth-soon': AccountNotice;
  /** The token of an OAuth account cannot be renewed for some time; aipassd tries again. */
  'refresh-failing': AccountNotice;
}

/** Data of a change of a provider credential: names, never values. */
export interface CredentialNotice {
  readonly id: string;
  readonly provider: string;
  readonly account_key: string;
  readonly change: 'created' | 'updated' | 'deleted';
  readonly fields: readonly string[];
}

/** Data of an event of an OAuth account. */
export interface AccountNotice {
  readonly account: string;
  /** Time, in epoch milliseconds. */
  readonly at: number;
  readonly reason: string | null;
  /** Action that its user should take, or null. */
  readonly action: string | null;
}

export type EventName = keyof Events;

/** Lists every event. */
export const EVENT_NAMES = [
  'secrets-changed',
  'key-cooling-down',
  'key-restored',
  'key-quarantined',
  'pool-exhausted',
  'credentials-changed',
  'refreshed',
  'reauth-required',
  'reauth-soon',
  'refresh-failing',
] as const satisfies readonly EventName[];
