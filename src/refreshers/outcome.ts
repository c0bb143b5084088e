/**
 * How a refresh can end. Expected outcomes are values: each of them is an ordinary day for an OAuth token.
 */

/** Is how one refresh ended. Holds no secret. */
export type RefreshOutcome =
  /** The provider gave a new token, and it is on disk. */
  | { readonly kind: 'refreshed'; readonly rotated: boolean; readonly lostScopes: readonly string[] }
  /** No verdict: to be tried again. A token that is still valid keeps being served. */
  | {
      readonly kind: 'transient';
      /** Is `network` where no answer came from the provider itself, so that being online again is reason enough to retry. */
      readonly cause: 'network' | 'server';
      readonly reason: string;
      readonly retryAfterMs?: number;
    }
  /** The provider refused twice, with the file re-read in between. Only the user, or another file, mends it. */
  | { readonly kind: 'rejected'; readonly error: string; readonly reason: string; readonly remedy: string }
  /** The account's file changed meanwhile: the result was dropped, and the file wins. */
  | { readonly kind: 'superseded' }
  /** The provider gave a new token that could not be written: the old state stays. */
  | { readonly kind: 'unsaved'; readonly reason: string; readonly remedy: string }
  /** The account's file cannot be used as it is. Nothing was asked of the provider. */
  | { readonly kind: 'unusable'; readonly reason: string; readonly remedy: string };
