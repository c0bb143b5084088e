/**
 * OAuth accounts and their tokens on the wire. Only `TokenValue` holds a secret.
 */

/** Access token. */
export interface TokenValue {
  readonly accessToken: string;
  /** Expiry, in epoch milliseconds; null for a token that is not known to expire. */
  readonly expiresAt: number | null;
  readonly tokenType: string;
  readonly scopes: readonly string[];
}

/** Action that a consent flow asks of its user; sent as a chunk. */
export type ConsentPrompt =
  /**
   * Open the address in a browser. With `listening`, the browser comes back to this machine by
   * itself; else its last address has to be pasted.
   */
  | { readonly kind: 'browser'; readonly url: string; readonly redirectUri: string; readonly listening: boolean }
  /** Open the address on any device and enter the code (RFC 8628). */
  | {
      readonly kind: 'device';
      readonly verificationUri: string;
      readonly verificationUriComplete?: string;
      readonly userCode: string;
      readonly expiresAt: number;
    };

/** `due`: about to be renewed; `stale`: still serves its token while the last tries failed. */
export type AccountState = 'fresh' | 'due' | 'refreshing' | 'stale' | 'failing' | 'reauth-required' | 'unusable';

/** Describes an account. Times are epoch milliseconds. */
export interface AccountStatus {
  readonly name: string;
  /** Kind of its grant, by which it gets tokens. */
  readonly kind: 'google' | 'service-account' | 'oauth' | 'client-credentials' | 'unknown';
  readonly state: AccountState;
  readonly scopes: readonly string[];
  /** Scopes that were asked for and not granted. */
  readonly missingScopes: readonly string[];
  readonly expiresAt: number | null;
  /** End of the refresh token, where the provider announced one. */
  readonly refreshExpiresAt: number | null;
  readonly nextRefreshAt: number | null;
  readonly lastOutcome: { readonly kind: string; readonly at: number; readonly reason: string | null } | null;
  /** Action for its user, or null where nothing is to be done. */
  readonly action: string | null;
}

/** Parameters of `token.get`. */
export interface TokenParams {
  /** `google`, `spotify`, or for a further account `google.work`. */
  readonly name: string;
  /** Validity that it must still have, in seconds; 60 without it. */
  readonly minValidSeconds?: number | undefined;
  /** Scopes it must have; asking for one that it lacks is REAUTH_REQUIRED. */
  readonly scopes?: readonly string[] | undefined;
  /**
   * Tag of a token that an API has refused (see tokenTag): if it is still the account's token, it
   * is renewed first. All reporters of one token share one refresh, and there are only so many of
   * them a minute.
   */
  readonly refused?: string | undefined;
}

/** Result of one account's refresh. */
export interface RefreshResult {
  readonly name: string;
  readonly outcome: string;
  readonly reason: string | null;
  /** Action for its user, or null. */
  readonly action: string | null;
}

/** Parameters of `oauth.reauth`. */
export interface ConsentParams {
  /** Account, or the address of an MCP server, whose account is `mcp.<host>`. */
  readonly name: string;
  /** Account of an MCP server in place of its host: `work` for `mcp.work`. */
  readonly account?: string | undefined;
  /** Scopes to ask for; else those asked for before, or the provider's default. */
  readonly scopes?: readonly string[] | undefined;
  /** Whether to use a device code instead of a browser on this machine. */
  readonly device?: boolean | undefined;
  /** Port that the browser comes back to, on 127.0.0.1; any free one without it. */
  readonly port?: number | undefined;
  readonly timeoutSeconds?: number | undefined;
}

/** Action for the user, and the id by which a pasted address finds its flow. */
export interface ConsentChunk {
  readonly flow: string;
  readonly prompt: ConsentPrompt;
}

/** Result of a consent. */
export interface ConsentResult {
  readonly name: string;
  readonly scopes: readonly string[];
  /** Scopes that were asked for and not granted. */
  readonly refusedScopes: readonly string[];
  /** Whether the provider gave a refresh token, so that no further consent is needed. */
  readonly renewable: boolean;
}
