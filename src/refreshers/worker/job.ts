/**
 * What the daemon and a worker process say to each other: one job as the first line of the worker's standard input
 * (`{"redirect": address}` may follow, the address that a user pasted), reports as lines of its standard output. Never argv, never the environment: other users can read those.
 */

import type { WireError } from '../../base/errors.ts';
import type { ConsentPrompt } from '../../protocol/oauth.ts';
import type { ProviderSettings } from '../provider-settings.ts';
import type { RefreshOutcome } from '../outcome.ts';

/** Says which account a job is about, and all that is known of its provider outside its own file. */
export interface JobAccount {
  /** Is the account's printed name. */
  readonly name: string;
  readonly file: string;
  readonly clientFile: string | null;
  /** Is what the configuration and the preset say, already merged. */
  readonly settings: ProviderSettings;
}

/** Is what a worker can be asked to do. */
export type WorkerJob =
  /** Renews the access token, if grant and token are still those named by `basis` and `tag` (see accountBasis, tokenTag). */
  | { readonly kind: 'refresh'; readonly account: JobAccount; readonly basis: string; readonly tag: string }
  /** Has the user consent; the account's file need not exist. */
  | { readonly kind: 'consent'; readonly account: JobAccount; readonly request: ConsentRequest }
  /** Ends the grant at the provider and deletes the tokens from the file. */
  | { readonly kind: 'revoke'; readonly account: JobAccount };

/** Says how the user is asked. */
export interface ConsentRequest {
  /** Is what to ask for; without it what the account had, else the provider's default. */
  readonly scopes?: readonly string[] | undefined;
  readonly device: boolean;
  /** Is the loopback port, or 0 for any free one. */
  readonly port: number;
  readonly timeoutMs: number;
}

/** Is a token that is kept in memory only, because its account's file is not ours to write (a service account's key). */
export interface MintedToken {
  readonly accessToken: string;
  readonly expiresAt: number | null;
  readonly scopes: readonly string[];
}

/** Is what a worker says. The last report ends the job. */
export type WorkerReport =
  | { readonly kind: 'prompt'; readonly prompt: ConsentPrompt }
  | { readonly kind: 'outcome'; readonly outcome: RefreshOutcome; readonly minted?: MintedToken }
  | {
      readonly kind: 'consented';
      readonly scopes: readonly string[];
      readonly refusedScopes: readonly string[];
      readonly renewable: boolean;
    }
  | { readonly kind: 'revoked'; readonly atProvider: boolean }
  | { readonly kind: 'refused'; readonly error: WireError };
