/**
 * Messages between the daemon and a worker process. Jobs are lines of the worker's standard input.
 * A consent may be followed by `{"redirect": address}`, the address that a user pasted. Reports are
 * lines of its standard output. Never argv, never the environment: other users can read those.
 */

import type { WireError } from '../../base/errors.ts';
import type { ConsentPrompt, TokenValue } from '../../protocol/oauth.ts';
import type { ProviderSettings } from '../provider-presets.ts';

/** Account of a job, and all that is known of its provider outside its own file. */
export interface JobAccount {
  readonly name: string;
  readonly file: string;
  readonly clientFile: string | null;
  /** Settings of the configuration and the preset, already merged. */
  readonly settings: ProviderSettings;
}

/** Jobs of a worker. */
export type WorkerJob =
  /** Renews the access token, if the file still has `basis` and `tag` (accountBasis, accessTag). */
  | { readonly kind: 'refresh'; readonly account: JobAccount; readonly basis: string; readonly tag: string }
  /** Asks the user for consent; the account's file need not exist. */
  | { readonly kind: 'consent'; readonly account: JobAccount; readonly request: ConsentRequest }
  /** Ends the grant at the provider and deletes the tokens from the file. */
  | { readonly kind: 'revoke'; readonly account: JobAccount };

/** Way in which the user is asked. */
export interface ConsentRequest {
  /** Scopes to ask for; without them those that the account had, else the provider's default. */
  readonly scopes?: readonly string[] | undefined;
  readonly device: boolean;
  /** Loopback port, or 0 for any free one. */
  readonly port: number;
  readonly timeoutMs: number;
  readonly mcpServer?: string | undefined;
}

/** Result of one refresh; none is an error, and none holds a secret. */
export type RefreshOutcome =
  /** The provider gave a new token, and it is on disk. */
  | { readonly kind: 'refreshed'; readonly rotated: boolean; readonly lostScopes: readonly string[] }
  /** Nothing to do: the token is valid, and cannot be renewed or was renewed a moment ago. */
  | { readonly kind: 'kept'; readonly reason: string }
  /** No answer about the grant: to be tried again. A token that is still valid stays in use. */
  | {
      readonly kind: 'transient';
      /**
       * `network` where the provider gave no answer: being online again is reason enough to retry.
       */
      readonly cause: 'network' | 'server';
      readonly reason: string;
      readonly remedy?: string;
      readonly retryAfterMs?: number;
    }
  /**
   * The provider refused twice, with the file re-read in between: only another file changes that.
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
      /** Whether the provider sent what cannot be used here, such as tokens that need a proof. */
      readonly unsupported?: true;
      readonly reason: string;
      readonly remedy: string;
    };

/** Reports of a worker; `idle` ends a job, whose result is what was reported before. */
export type WorkerReport =
  | { readonly kind: 'prompt'; readonly prompt: ConsentPrompt }
  /** `minted` is for memory only: the file with a service account's key is not ours to write. */
  | { readonly kind: 'outcome'; readonly outcome: RefreshOutcome; readonly minted?: TokenValue }
  | {
      readonly kind: 'consented';
      readonly scopes: readonly string[];
      readonly refusedScopes: readonly string[];
      readonly renewable: boolean;
    }
  | { readonly kind: 'revoked'; readonly atProvider: boolean }
  | { readonly kind: 'refused'; readonly error: WireError }
  | { readonly kind: 'idle' };

/** The worker's connection to the user. */
export interface ConsentChannel {
  prompt(prompt: ConsentPrompt): void;
  /** Calls back with each redirect address that the user pastes. */
  onPasted(callback: (address: string) => void): void;
  /** Aborts when nobody waits for the consent any more, or its time is over. */
  readonly signal: AbortSignal;
}
