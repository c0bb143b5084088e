/**
 * What the daemon tells of OAuth accounts and their tokens. Only `TokenValue` holds a secret.
 */

/** Is a released access token. */
export interface TokenValue {
  readonly accessToken: string;
  /** Is when it expires, in epoch milliseconds; null for a token that is not known to expire. */
  readonly expiresAt: number | null;
  readonly tokenType: string;
  readonly scopes: readonly string[];
}

/** Is what a consent flow asks its user to do; sent as a chunk. */
export type ConsentPrompt =
  /** Open the address in a browser. With `listening`, the browser comes back to this machine by itself; else its last address has to be pasted. */
  | { readonly kind: 'browser'; readonly url: string; readonly redirectUri: string; readonly listening: boolean }
  /** Open the address on any device and enter the code (RFC 8628). */
  | {
      readonly kind: 'device';
      readonly verificationUri: string;
      readonly verificationUriComplete?: string;
      readonly userCode: string;
      readonly expiresAt: number;
    };

/** Is how an account is. `due` is about to be renewed; `stale` still serves its token while the last tries failed. */
export type AccountState = 'fresh' | 'due' | 'refreshing' | 'stale' | 'failing' | 'reauth-required' | 'unusable';

/** Describes an account. Times are epoch milliseconds. */
export interface AccountStatus {
  readonly name: string;
  /** Names how it gets tokens. */
  readonly kind: 'google' | 'service-account' | 'oauth' | 'client-credentials' | 'unknown';
  readonly state: AccountState;
  readonly scopes: readonly string[];
  readonly expiresAt: number | null;
  readonly nextRefreshAt: number | null;
  readonly lastOutcome: { readonly kind: string; readonly at: number; readonly reason: string | null } | null;
  /** Is what its user should do, or null where nothing is to be done. */
  readonly action: string | null;
}
