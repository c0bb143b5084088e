/**
 * Brings together what an exchange needs: the account as its file has it now, its client, and what is known of its
 * provider. Chooses the library: Google's own for Google's grants, oauth4webapi for all others.
 */

import type { Clock } from '../../base/clock.ts';
import { Redactor } from '../../base/redactor.ts';
import type { Secret } from '../../base/secret.ts';
import { GOOGLE, parseAccountName } from '../account-name.ts';
import type { AccountDocument } from '../account-document.ts';
import type { RefreshOutcome } from '../outcome.ts';
import { mergeSettings, type ProviderSettings } from '../provider-settings.ts';
import { readAccount, readClient, type ClientIdentity } from '../read-account.ts';
import { reauthArguments } from '../remedy.ts';
import { nearProvider } from '../unknown-account.ts';
import { ExchangeFetch } from './exchange-fetch.ts';
import type { GrantAnswer } from './granted.ts';
import type { JobAccount } from './job.ts';
import type { Failure, Judging, Unusable } from './judge.ts';
import type { OauthClient } from './oauth-grants.ts';

/** Says with what a worker works; tests inject a clock and a fetch. */
export interface WorkerTools {
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  /** Is told at once of tokens that were granted and cannot be written yet; the worker goes on trying. */
  readonly onUnsaved?: (outcome: RefreshOutcome) => void;
}

/** Is the scope of a service account whose file names none: all that the account itself may do. */
const SERVICE_ACCOUNT_SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];

/** Is an account that is ready to talk to its provider. */
export interface TokenClient {
  readonly account: JobAccount;
  readonly google: boolean;
  /** Is null where the account has no file yet. */
  readonly document: AccountDocument | null;
  readonly basis: string | null;
  readonly client: ClientIdentity;
  readonly settings: ProviderSettings;
  readonly exchange: ExchangeFetch;
  readonly judging: Judging;
}

/** Reads an account's files and prepares for an exchange, or with `forConsent` for asking its user. */
export async function openTokenClient(
  account: JobAccount,
  tools: WorkerTools,
  forConsent = false,
): Promise<({ readonly kind: 'ready' } & TokenClient) | Unusable> {
  const google = parseAccountName(account.name)?.provider === GOOGLE;
  const reading = await readAccount(account.name, account.file);
  if (reading.kind === 'unusable') {
    return { kind: 'unusable', reason: reading.warning.problem, remedy: reading.warning.hint };
  }
  const document = reading.kind === 'read' ? reading.document : null;
  const settings = mergeSettings(document?.settings, account.settings);
  // A new consent to Google is given to the client that google_client_secret.json has now, not to the one before.
  const newClient = forConsent && google ? await readClient(null, account.clientFile) : undefined;
  const client = newClient ?? (await readClient(document, account.clientFile)) ?? configuredClient(settings);
  if (client === undefined) {
    const isNew = document === null && settings.tokenEndpoint === undefined && settings.issuer === undefined;
    const near = isNew ? nearProvider(account.name) : undefined;
    const meant = near === undefined ? '' : `did you mean "${near}"? Else `;
    return {
      kind: 'unusable',
      reason: `there is no client_id for ${account.name}`,
      remedy: google
        ? `create an OAuth client of type "Desktop app" in Google's console and save its file as ${account.clientFile ?? 'google_client_secret.json'}`
        : `${meant}write {"client_id": "…", "client_secret": "…"} into ${account.clientFile ?? account.file} (mode 600)`,
    };
  }
  const redactor = new Redactor();
  redactor.learn(secretsOf(document, client));
  const consentable = document?.form !== 'service-account' && settings.clientCredentials !== true;
  const judging = { account: account.name, consentable, redactor, nestedAnswer: settings.nestedAnswer };
  const exchange = new ExchangeFetch({
    fetch: tools.fetch,
    now: () => tools.clock.now(),
    nestedAnswer: settings.nestedAnswer,
  });
  return {
    kind: 'ready',
    account,
    google,
    document,
    basis: reading.kind === 'read' ? reading.basis : null,
    client,
    settings,
    exchange,
    judging,
  };
}

/** Makes the generic client of an account; finds its endpoints first. */
export async function openOauthClient(
  token: TokenClient,
): Promise<({ readonly kind: 'client' } & OauthClient) | Failure | Unusable> {
  const { findServer } = await import('./oauth-grants.ts');
  const found = await findServer(token.settings, token.exchange, token.judging);
  if (found.kind !== 'found') return found;
  if (found.server.token_endpoint === undefined) {
    return {
      kind: 'unusable',
      reason: `no token endpoint is known for ${token.account.name}`,
      remedy: `write "issuer", or "token_endpoint", into ${token.account.file}`,
    };
  }
  return {
    kind: 'client',
    server: found.server,
    clientId: token.client.clientId,
    clientSecret: token.client.clientSecret,
    settings: token.settings,
    exchange: token.exchange,
    judging: token.judging,
  };
}

/** Asks the provider for a new access token by the grant that the account has. */
export async function renew(token: TokenClient): Promise<GrantAnswer | Unusable> {
  const { document, settings } = token;
  if (document?.form === 'service-account') {
    const { mintServiceAccountToken } = await import('./google-grants.ts');
    return await mintServiceAccountToken({ ...token, ...token.client }, serviceAccountScopes(token));
  }
  const refreshToken = document?.refreshToken ?? null;
  if (settings.clientCredentials === true && refreshToken === null) {
    const client = await openOauthClient(token);
    if (client.kind !== 'client') return client;
    const { clientCredentialsGrant } = await import('./oauth-grants.ts');
    return await clientCredentialsGrant(client, document?.scopes ?? settings.scopes ?? []);
  }
  if (refreshToken === null) {
    return {
      kind: 'unusable',
      reason: 'the account has no refresh token',
      remedy: `run: aipassd reauth ${reauthArguments(token.account.name)}`,
    };
  }
  if (token.google) {
    const { refreshGoogle } = await import('./google-grants.ts');
    return await refreshGoogle({ ...token, ...token.client }, refreshToken);
  }
  const client = await openOauthClient(token);
  if (client.kind !== 'client') return client;
  const { refreshGrant } = await import('./oauth-grants.ts');
  return await refreshGrant(client, refreshToken);
}

/** Returns what a service account's token is good for. */
export function serviceAccountScopes(token: TokenClient): readonly string[] {
  const own = token.document?.scopes ?? [];
  return own.length > 0 ? own : (token.settings.scopes ?? SERVICE_ACCOUNT_SCOPES);
}

function configuredClient(settings: ProviderSettings): ClientIdentity | undefined {
  return settings.clientId === undefined ? undefined : { clientId: settings.clientId, clientSecret: null };
}

function* secretsOf(document: AccountDocument | null, client: ClientIdentity): Generator<string> {
  const secrets: readonly (Secret | null | undefined)[] = [
    document?.accessToken,
    document?.refreshToken,
    document?.clientSecret,
    client.clientSecret,
  ];
  for (const secret of secrets) if (secret !== null && secret !== undefined) yield secret.reveal();
}
