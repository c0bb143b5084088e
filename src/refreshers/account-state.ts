/**
 * What an account is, as far as its file and its last refreshes tell, and how that looks to people. Pure.
 */

import type { Warning } from '../base/warning.ts';
import type { AccountState, AccountStatus } from '../protocol/oauth.ts';
import type { AccountDocument } from './account-document.ts';
import type { HeldToken } from './held-token.ts';
import type { ProviderSettings } from './provider-settings.ts';
import { reauthArguments } from './remedy.ts';

/** Is what an account's file says besides the token. */
export interface Grant {
  readonly kind: AccountStatus['kind'];
  readonly basis: string;
  readonly tag: string;
  /** Names the state of the files that it was read from; see accountStamp. */
  readonly stamp: string;
  readonly scopes: readonly string[];
  /** Tells whether a new token can be had without the user. */
  readonly renewable: boolean;
}

/** Is the last refresh, for people. */
export interface LastOutcome {
  readonly kind: string;
  readonly at: number;
  readonly reason: string | null;
}

/** Holds all that is known of an account at one moment. */
export interface AccountView {
  readonly name: string;
  readonly grant: Grant | null;
  readonly held: HeldToken | null;
  readonly problem: Warning | null;
  /** Is the refusal of this very grant, or null. */
  readonly rejection: { readonly reason: string; readonly remedy: string } | null;
  readonly refreshing: boolean;
  readonly failures: number;
  readonly retryAt: number | null;
  readonly remedy: string | null;
  readonly last: LastOutcome | null;
}

/** Reads the grant out of an account's document. */
export function grantOf(
  document: AccountDocument,
  settings: ProviderSettings,
  names: Pick<Grant, 'basis' | 'tag' | 'stamp'>,
): Grant {
  const service = document.form === 'service-account';
  const clientCredentials = settings.clientCredentials === true && document.refreshToken === null;
  const kind = service
    ? 'service-account'
    : clientCredentials
      ? 'client-credentials'
      : document.form === 'oauth'
        ? 'oauth'
        : 'google';
  return {
    kind,
    ...names,
    scopes: document.scopes,
    renewable: service || clientCredentials || document.refreshToken !== null,
  };
}

/** Tells whether a user can consent to the grant anew. */
export function isConsentable({ kind }: Grant): boolean {
  return kind !== 'service-account' && kind !== 'client-credentials';
}

/** Names the state that an account is in. Nothing is remembered: each look decides anew. */
export function accountState(view: AccountView): AccountState {
  const valid = (view.held?.remaining() ?? 0) > 0;
  if (view.refreshing) return 'refreshing';
  if (view.problem !== null) return valid ? 'stale' : 'unusable';
  if (view.grant === null) return 'reauth-required';
  if (view.rejection !== null || (!view.grant.renewable && !valid)) return 'reauth-required';
  if (view.failures > 0) return valid ? 'stale' : 'failing';
  return valid && view.held?.isDue() !== true ? 'fresh' : view.grant.renewable ? 'due' : 'fresh';
}

/** Says why an account needs its user, and what the user does. */
export function whyReauth(view: AccountView): { readonly reason: string; readonly remedy: string } {
  if (view.rejection !== null) return view.rejection;
  const remedy = `run: aipassd reauth ${reauthArguments(view.name)}`;
  if (view.grant === null || view.held === null) return { reason: `nobody has consented to ${view.name} yet`, remedy };
  return { reason: `the token of ${view.name} has expired, and there is no refresh token`, remedy };
}

/** Describes an account for `status`. */
export function accountStatus(view: AccountView): AccountStatus {
  const state = accountState(view);
  const held = view.held;
  return {
    name: view.name,
    kind: view.grant?.kind ?? 'unknown',
    state,
    scopes: held?.facts.scopes ?? view.grant?.scopes ?? [],
    expiresAt: held?.facts.expiresAt ?? null,
    nextRefreshAt: nextRefresh(view, state),
    lastOutcome: view.last,
    action: action(view, state),
  };
}

function nextRefresh(view: AccountView, state: AccountState): number | null {
  if (view.grant?.renewable !== true || view.problem !== null) return null;
  if (state === 'reauth-required') return view.retryAt;
  return view.retryAt ?? view.held?.dueAt ?? null;
}

function action(view: AccountView, state: AccountState): string | null {
  if (view.problem !== null) return view.problem.hint;
  if (state === 'reauth-required') return whyReauth(view).remedy;
  if (state === 'stale' || state === 'failing') return view.remedy;
  return null;
}
