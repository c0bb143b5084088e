/**
 * What is said of an account that there is not: which name may be meant, and how an account comes to be.
 */

import { AipassError } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { GOOGLE, parseAccountName } from './account-name.ts';
import { PRESETS } from './presets.ts';
import { reauthArguments } from './remedy.ts';

/** Says what the account is wanted for: its token, which a first consent brings, or something that only an existing one has. */
export type AccountWant = 'token' | 'existing';

/** Returns the error for an account that there is not; `accounts` are those that there are, `configured` the providers of the configuration. */
export function unknownAccount(
  name: string,
  want: AccountWant,
  accounts: readonly string[],
  configured: readonly string[],
): AipassError {
  return new AipassError('NOT_FOUND', `there is no OAuth account ${name}`, {
    hint: want === 'token' ? consentHint(name, accounts, configured) : existingHint(name, accounts),
  });
}

/** Returns the provider that a name may be a slip of the finger for, or undefined, also where the name is a provider's. */
export function nearProvider(name: string, others: readonly string[] = []): string | undefined {
  const known = [GOOGLE, ...Object.keys(PRESETS), ...others];
  const provider = parseAccountName(name)?.provider ?? name;
  return known.includes(provider) ? undefined : nearest(name, known);
}

function consentHint(name: string, accounts: readonly string[], configured: readonly string[]): string {
  const near = nearest(name, accounts) ?? nearProvider(name, configured);
  const meant = near === undefined ? '' : ` (or did you mean "${near}"?)`;
  // Google gives a token for named scopes only; the others have some of their own.
  const scopes = parseAccountName(name)?.provider === GOOGLE ? ' --scopes drive.file' : '';
  return `run: aipassd reauth ${reauthArguments(name)}${scopes}${meant}`;
}

function existingHint(name: string, accounts: readonly string[]): string {
  const near = nearest(name, accounts);
  if (near !== undefined) return `did you mean "${near}"?`;
  return accounts.length === 0 ? 'there is no account yet' : 'see: aipassd status';
}
