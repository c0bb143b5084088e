/**
 * OAuth client of an account, ready for requests to its provider. It has the account as its file is
 * now, its client, and all that is known of its provider. Chooses the library: Google's own for
 * Google's grants, oauth4webapi for all others.
 */

import type { Clock } from '../../base/clock.ts';
import { Redactor } from '../../base/redactor.ts';
import type { Secret } from '../../base/secret.ts';
import { accountBasis, readAccountFile, readClient, type AccountFile, type ClientIdentity } from '../account-file.ts';
import { GOOGLE, providerOf } from '../account-name.ts';
import { nearProvider } from '../messages.ts';
import type { JobAccount, RefreshOutcome } from './job.ts';
import { GOOGLE_DEVICE_URL, GOOGLE_TOKEN_URL, mergeSettings, type ProviderSettings } from '../provider-presets.ts';
import { Exchange } from './exchange.ts';
import type { Judging, Unusable } from './token-answer.ts';

/** What a worker is wired with; tests inject a clock and a fetch. */
export interface WorkerDeps {
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  /**
   * Called at once for tokens that were granted and cannot be written yet; the worker goes on
   * trying.
   */
  readonly onUnsaved?: (outcome: RefreshOutcome) => void;
}

/** Scope of a service account whose file has none: all that the account itself may do. */
const SERVICE_ACCOUNT_SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];

/** What both kinds of clients have. */
interface ClientBase extends ClientIdentity {
  readonly account: JobAccount;
  /** Null where the account has no file yet. */
  readonly file: AccountFile | null;
  readonly basis: string | null;
  readonly settings: ProviderSettings;
  readonly exchange: Exchange;
  readonly judging: Judging;
  readonly now: () => number;
}

/** Client at Google, for google.ts. */
export interface GoogleClient extends ClientBase {
  readonly kind: 'google';
}

/** Client at any provider, for oauth.ts. */
export interface StandardClient extends ClientBase {
  readonly kind: 'standard';
}

/** OAuth client of an account. */
export type OAuthClient = GoogleClient | StandardClient;

/**
 * Secret half of an authorization request: what its answer is checked with. It never leaves the
 * worker.
 */
export interface PendingAuthorization {
  readonly redirectUri: string;
  readonly state: string;
  readonly verifier: Secret;
  /** PKCE challenge, S256 (RFC 7636 §4.2). */
  readonly challenge: string;
}

/**
 * Reads an account's files and prepares for an exchange, or with `forConsent` for asking its user.
 */
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
  if (identity === undefined) return missingClient(account, google, file, settings);
  const redactor = new Redactor();
  redactor.learn(secretsOf(file, identity));
  const isConsentable = file?.form !== 'service-account' && settings.clientCredentials !== true;
  const { nestedAnswer } = settings;
  const base: ClientBase = {
    ...identity,
    account,
    file,
    basis: file === null ? null : accountBasis(file),
    settings,
    exchange: new Exchange({ fetch: deps.fetch, now: () => deps.clock.now(), nestedAnswer }),
    judging: { account: account.name, isConsentable, redactor, sent: [], nestedAnswer },
    now: () => deps.clock.now(),
  };
  return { ...base, kind: google ? 'google' : 'standard' };
}

/** Returns Google's client for the device flow, which google-auth-library does not have. */
export function forGoogleDevice(client: GoogleClient): StandardClient {
  const { settings } = client;
  const device = {
    tokenEndpoint: settings.tokenEndpoint ?? GOOGLE_TOKEN_URL,
    deviceEndpoint: settings.deviceEndpoint ?? GOOGLE_DEVICE_URL,
    clientAuthentication: 'client_secret_post',
  } as const;
  return { ...client, kind: 'standard', settings: { ...settings, ...device } };
}

/** Returns the scopes of a service account's token. */
export function serviceAccountScopes({ file, settings }: OAuthClient): readonly string[] {
  const own = file?.scopes ?? [];
  return own.length > 0 ? own : (settings.scopes ?? SERVICE_ACCOUNT_SCOPES);
}

function missingClient(
  account: JobAccount,
  google: boolean,
  file: AccountFile | null,
  settings: ProviderSettings,
): Unusable {
  const isNew = file === null && settings.tokenEndpoint === undefined && settings.issuer === undefined;
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

function configuredClient(settings: ProviderSettings): ClientIdentity | undefined {
  return settings.clientId === undefined
    ? undefined
    : { clientId: settings.clientId, clientSecret: null, privateKey: null };
}

/** Lists the secrets of an account, and how a provider that echoes them may encode them. */
function* secretsOf(file: AccountFile | null, client: ClientIdentity): Generator<string> {
  const secrets: readonly (Secret | null | undefined)[] = [
    file?.accessToken,
    file?.refreshToken,
    file?.clientSecret,
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
