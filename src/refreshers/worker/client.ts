/**
 * OAuth client of an account, ready for requests to its provider. It has the account as its file is
 * now, its client, and all that is known of its provider.
 */

import type { Clock } from '../../base/clock.ts';
import { Redactor } from '../../base/redactor.ts';
import type { Secret } from '../../base/secret.ts';
import { readAccountFile, readClient, type AccountFile, type ClientIdentity } from '../account-file.ts';
import { GOOGLE, providerOf } from '../account-name.ts';
import { explainMissingClient } from '../messages.ts';
import type { JobAccount, RefreshOutcome } from './job.ts';
import { mergeSettings, type ProviderSettings } from '../provider-presets.ts';
import { Exchange, type ExchangeDeps } from './exchange.ts';
import type { JudgeOptions, Unusable } from './token-answer.ts';

export interface WorkerDeps extends ExchangeDeps {
  readonly clock: Clock;
  /** Called at once for granted tokens that cannot be written yet; tries go on. */
  readonly onUnsaved?: (outcome: RefreshOutcome) => void;
}

/** OAuth client of an account. */
export interface OAuthClient extends ClientIdentity {
  readonly kind: 'google' | 'standard';
  readonly account: JobAccount;
  /** Null where the account has no file yet. */
  readonly file: AccountFile | null;
  readonly settings: ProviderSettings;
  readonly clock: Pick<Clock, 'now'>;
  readonly exchange: Exchange;
  readonly judging: JudgeOptions;
}

/** Secret half of an authorization request, which never leaves the worker. */
export interface PendingAuthorization {
  readonly redirectUri: string;
  readonly state: string;
  readonly verifier: Secret;
  /** PKCE challenge, S256 (RFC 7636 §4.2). */
  readonly challenge: string;
}

/** Reads an account's files; `forConsent` for asking its user. */
export async function openClient(
  account: JobAccount,
  deps: WorkerDeps,
  forConsent = false,
): Promise<OAuthClient | Unusable> {
  const google = providerOf(account.name) === GOOGLE;
  const reading = await readAccountFile(account.name, account.file);
  if (reading.kind === 'unusable') {
    return { kind: 'unusable', reason: reading.warning.problem, remedy: reading.warning.hint };
  }
  const file = reading.kind === 'read' ? reading.account : null;
  const settings = mergeSettings(file?.settings, account.settings);
  // A new consent to Google is given to the client that google_client_secret.json has now, not to
  // the one before.
  const newClient = forConsent && google ? await readClient(null, account.clientFile) : undefined;
  const identity = newClient ?? (await readClient(file, account.clientFile)) ?? configuredClient(settings);
  if (identity === undefined) {
    const isUnknown = file === null && settings.tokenEndpoint === undefined && settings.issuer === undefined;
    return { kind: 'unusable', ...explainMissingClient(account, isUnknown) };
  }
  const redactor = new Redactor();
  redactor.learn(secretsOf(file, identity));
  const isConsentable = file?.form !== 'service-account' && settings.clientCredentials !== true;
  return {
    ...identity,
    kind: google ? 'google' : 'standard',
    account,
    file,
    settings,
    clock: deps.clock,
    exchange: new Exchange(deps),
    judging: { account: account.name, isConsentable, redactor, sent: [], nestedAnswer: settings.nestedAnswer },
  };
}

/** Returns the client of the configuration, which has no secret. */
export function configuredClient({ clientId }: ProviderSettings): ClientIdentity | undefined {
  return clientId === undefined ? undefined : { clientId, clientSecret: null, privateKey: null };
}

/** Lists the secrets of an account, and how a provider that echoes them may encode them. */
function* secretsOf(file: AccountFile | null, client: ClientIdentity): Generator<string> {
  const secrets: readonly (Secret | null | undefined)[] = [
    file?.accessToken,
    file?.refreshToken,
    file?.client?.clientSecret,
    client.clientSecret,
    client.privateKey,
  ];
  for (const secret of secrets) {
    if (secret === null || secret === undefined) continue;
    const bytes = Buffer.from(secret.reveal());
    yield secret.reveal();
    yield encodeURIComponent(secret.reveal());
    // Without the last characters, which differ with what was encoded behind it.
    for (const encoding of ['base64', 'base64url', 'hex'] as const)
      yield bytes.toString(encoding).replace(/..?=*$/, '');
  }
}
