/**
 * How a refresh can end. Expected outcomes are values: each of them is an ordinary day for an OAuth
 * token.
 */

/** Result of one refresh. Holds no secret. */
export type RefreshOutcome =
  /** The provider gave a new token, and it is on disk. */
  | { readonly kind: 'refreshed'; readonly rotated: boolean; readonly lostScopes: readonly string[] }
  /** Nothing to do: the token is valid, and cannot be renewed or was renewed a moment ago. */
  | { readonly kind: 'kept'; readonly reason: string }
  /** No answer about the grant: to be tried again. A token that is still valid stays in use. */
  | {
      readonly kind: 'transient';
      /**
       * `network` where no answer came from the provider itself, so that being online again is
       * reason enough to retry.
       */
      readonly cause: 'network' | 'server';
      readonly reason: string;
      readonly remedy?: string;
      readonly retryAfterMs?: number;
    }
  /**
   * The provider refused twice, with the file re-read in between. Only the user, or another file,
   * changes that.
   */
  | {
      readonly kind: 'rejected';
      readonly error: string;
      /** The provider's own words, redacted. */
      readonly description?: string;
      readonly reason: string;
      readonly remedy: string;
    }
  /** The account's file changed meanwhile: the result was dropped, and the file wins. */
  | { readonly kind: 'superseded' }
  /** The provider gave a new token that could not be written: the old state stays. */
  | { readonly kind: 'unsaved'; readonly reason: string; readonly remedy: string }
  /** The account's file, or what the provider sent, cannot be used as it is. */
  | {
      readonly kind: 'unusable';
      /**
       * Whether the provider sent what this program cannot use, such as tokens that need a proof.
       */
      readonly unsupported?: true;
      readonly reason: string;
      readonly remedy: string;
    };
