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

/** Says which token is wanted. */
export interface TokenParams {
  /** Is `google`, `spotify`, or for a further account `google.work`. */
  readonly name: string;
  /** Is how long it must still be valid, in seconds; 60 without it. */
  readonly minValidSeconds?: number | undefined;
  /** Are the scopes it must have; asking for one that it lacks is REAUTH_REQUIRED. */
  readonly scopes?: readonly string[] | undefined;
}

/** Is how one account's refresh ended. */
export interface RefreshResult {
  readonly name: string;
  readonly outcome: string;
  readonly reason: string | null;
  /** Is what its user should do, or null. */
  readonly action: string | null;
}

/** Says how a user is asked for consent. */
export interface ConsentParams {
  readonly name: string;
  /** Is what to ask for; without it what the account has, else the provider's default. */
  readonly scopes?: readonly string[] | undefined;
  /** Tells whether to use a device code instead of a browser on this machine. */
  readonly device?: boolean | undefined;
  /** Is the port that the browser comes back to, on 127.0.0.1; any free one without it. */
  readonly port?: number | undefined;
  readonly timeoutSeconds?: number | undefined;
}

/** Is one chunk of a consent: what the user has to do, and the name by which a pasted address finds its way. */
export interface ConsentChunk {
  readonly flow: string;
  readonly prompt: ConsentPrompt;
}

/** Is a consent that was given. */
export interface ConsentResult {
  readonly name: string;
  readonly scopes: readonly string[];
  /** Are the scopes that were asked for and not granted. */
  readonly refusedScopes: readonly string[];
  /** Tells whether the provider gave a refresh token, so that no further consent is needed. */
  readonly renewable: boolean;
}
