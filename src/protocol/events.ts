/**
 * What a client can subscribe to with `event.subscribe`.
 */

/** Maps the name of each event to its data. */
export interface Events {
  /** The vault read something new: the variables and secrets that appeared, changed or went, by name. */
  'secrets-changed': { readonly names: readonly string[] };
  /** An OAuth account has a new access token. */
  refreshed: AccountNotice;
  /** An OAuth account needs its user again: nothing else will help. */
  'reauth-required': AccountNotice;
  /** The token of an OAuth account cannot be renewed for some time now; it is tried again by itself. */
  'refresh-failing': AccountNotice;
}

/** Is what is told of an account. */
export interface AccountNotice {
  readonly account: string;
  /** Is when, in epoch milliseconds. */
  readonly at: number;
  readonly reason: string | null;
  /** Is what its user should do, or null. */
  readonly action: string | null;
}

/** Names one event. */
export type EventName = keyof Events;

/** Lists every event. */
export const EVENT_NAMES = [
  'secrets-changed',
  'refreshed',
  'reauth-required',
  'refresh-failing',
] as const satisfies readonly EventName[];
