/**
 * Parameters and result of every operation, shared by client and daemon. The daemon checks
 * parameters against the schemas in operations/.
 */

import type {
  Credential,
  CredentialAddParams,
  CredentialCreateParams,
  CredentialDeleteParams,
  CredentialImportParams,
  CredentialImportReport,
  CredentialListParams,
  CredentialRotateParams,
  CredentialTestParams,
  CredentialUpdateParams,
  CredentialUsage,
  InOrganization,
  OrganizationInfo,
} from './credential.ts';
import type { EventName } from './events.ts';
import type { CompletionDelta, CompletionParams, CompletionResult } from './completion.ts';
import type {
  GatewayAccess,
  GatewayDescription,
  GatewayOpenParams,
  GatewayReopenParams,
  NamedToken,
} from './gateway.ts';
import type {
  PoolCheckProgress,
  PoolExplanation,
  PoolInfo,
  PoolLease,
  PoolLeaseParams,
  PoolSettleParams,
} from './pool.ts';
import type {
  AccountStatus,
  ConsentChunk,
  ConsentParams,
  ConsentResult,
  RefreshResult,
  TokenParams,
  TokenValue,
} from './oauth.ts';
import type { KeyInfo, KeyVerdict, ModelInfo, ProviderInfo } from './provider.ts';
import type { Status } from './status.ts';
import type {
  EventPage,
  EventQuery,
  ImportReport,
  PruneReport,
  RecentCount,
  RecentQuery,
  RecordedEvent,
  SessionUsage,
  UsageAnswer,
  UsageQuery,
} from './usage.ts';

/** Parameters about one provider of an organization. */
interface OfProvider extends InOrganization {
  readonly provider?: string | undefined;
}

/** Parameters, result, and chunks before the result where there are any, by operation. */
export interface Operations {
  /** Returns the state of the daemon. */
  'status.get': { params: Record<string, never>; result: Status };
  /** Lists the keys of one provider or of all, masked. */
  'key.list': {
    params: OfProvider;
    result: { keys: KeyInfo[] };
  };
  /** Releases the value of a provider's key: the named one, or the first usable one. */
  'key.get': { params: { provider?: string | undefined; keyId?: string | undefined }; result: KeyValue };
  /** Lists the opaque secrets of one provider or of all, without their values. */
  'secret.list': { params: { provider?: string | undefined }; result: { secrets: SecretInfo[] } };
  /**
   * Releases an opaque secret: as trimmed text, as the parsed document with `json`, or with `bytes`
   * in base64 exactly as it is stored. The bytes of a JSON file are those of its text, unless
   * `json` is set too.
   */
  'secret.get': {
    params: { name: string; json?: boolean | undefined; bytes?: boolean | undefined };
    result: { name: string; value: unknown };
  };
  /** Stores an opaque secret, byte for byte; `value` is base64. */
  'secret.set': { params: { name: string; value: string; replace?: boolean | undefined }; result: { name: string } };
  /** Removes an opaque secret. */
  'secret.remove': { params: { name: string }; result: { name: string } };
  /** Lists the providers that are known. */
  'provider.list': {
    params: InOrganization;
    result: { defaultProvider: string; providers: ProviderInfo[] };
  };
  /** Checks a provider's keys by their shape and, with `online`, by a request to the provider. */
  'provider.validate': {
    params: OfProvider & { keyId?: string | undefined; online?: boolean | undefined };
    result: { provider: string; keys: KeyVerdict[] };
  };
  /** Fetches a provider's models; `asked` is false if they come from the configuration. */
  'provider.models': {
    params: OfProvider;
    result: { provider: string; asked: boolean; models: ModelInfo[] };
  };
  /** Completes a chat. With `stream`, deltas come as chunks before the result. */
  'completion.create': { params: CompletionParams; result: CompletionResult; chunk: CompletionDelta };
  /** Describes the pool of one provider, or of each that has keys. */
  'pool.list': {
    params: OfProvider;
    result: { pools: PoolInfo[] };
  };
  /** Returns the key of a provider that would serve next, and why each other key would not. */
  'pool.explain': {
    params: OfProvider & { model?: string | undefined };
    result: PoolExplanation;
  };
  /** Checks every key of one pool, or of all; results come as chunks (PoolCheckProgress). */
  'pool.check': {
    params: OfProvider;
    result: { keys: KeyVerdict[] };
    chunk: PoolCheckProgress;
  };
  /** Leases a key for one call until it is settled or the connection closes. */
  'pool.lease': { params: PoolLeaseParams; result: PoolLease };
  /**
   * Returns a lease of this connection with its outcome; `settled` is false for an unknown or ended
   * lease. `next` is there where another key may do better, by what was reported.
   */
  'pool.settle': { params: PoolSettleParams; result: { settled: boolean; next?: 'another-key' } };
  /** Releases an OAuth account's access token, renewed first if it expires too soon. */
  'token.get': { params: TokenParams; result: TokenValue };
  /** Lists the OAuth accounts. */
  'oauth.list': { params: Record<string, never>; result: { accounts: AccountStatus[] } };
  /** Renews one account's token, or all, now. */
  'oauth.refresh': { params: { name?: string | undefined }; result: { results: RefreshResult[] } };
  /** Starts a new consent; instructions for the user come as chunks. */
  'oauth.reauth': { params: ConsentParams; result: ConsentResult; chunk: ConsentChunk };
  /** Passes the redirect address of a browser on another machine to the consent named by `flow`. */
  'oauth.redirect': { params: { flow: string; url: string }; result: { accepted: true } };
  /** Ends an account's grant at its provider and deletes its tokens here. */
  'oauth.revoke': { params: { name: string }; result: { name: string; atProvider: boolean } };
  /** Describes the access that `gateway.open` would give. */
  'gateway.describe': { params: Pick<GatewayOpenParams, 'providers'>; result: GatewayDescription };
  /** Gives a program access to the HTTP gateway over loopback, until this connection closes. */
  'gateway.open': { params: GatewayOpenParams; result: GatewayAccess };
  /**
   * Gives a run the access back that it had before the daemon restarted, with the same port and
   * token, until this connection closes.
   */
  'gateway.reopen': { params: GatewayReopenParams; result: { port: number } };
  /**
   * Creates the token of a named caller of the loopback listener, for a Unix user; `see` lets it
   * read, `admin` change provider credentials, where that user may. An earlier token of that name
   * ends: `replaced`. `port` is the configured port, or null where no token has a use.
   */
  'gateway.token.create': {
    params: { name: string; uid?: number | undefined; see?: boolean | undefined; admin?: boolean | undefined };
    result: { name: string; token: string; replaced: boolean; port: number | null };
  };
  /** Lists the tokens of named callers, without their values. */
  'gateway.token.list': { params: Record<string, never>; result: { tokens: NamedToken[] } };
  /** Ends the token of a named caller; `removed` is false where there was none. */
  'gateway.token.remove': { params: { name: string }; result: { removed: boolean } };
  /** Sums who used what over a range of time, in groups where that is asked for. */
  'usage.stats': { params: UsageQuery; result: UsageAnswer };
  /** Sums one session: the daemon's own run, or the named one of a client. */
  'usage.session': {
    params: InOrganization & { id?: string | undefined };
    result: { id: string; session: SessionUsage | null };
  };
  /** Lists recorded events, newest first, in pages. */
  'usage.events': { params: EventQuery; result: EventPage };
  /** Counts the calls of the last seconds by status and by key, keys without any too. */
  'usage.recent': { params: RecentQuery; result: RecentCount };
  /** Fetches a generation's record and keeps it; `counted` is false for a known one. */
  'usage.track': {
    params: InOrganization & { generationId: string; caller?: string | undefined };
    result: { event: RecordedEvent; counted: boolean };
  };
  /** Sends recorded events as text, oldest first, as chunks before the result. */
  'usage.export': {
    params: Omit<EventQuery, 'limit' | 'after'> & { format: 'csv' | 'jsonl' };
    result: { events: number };
    chunk: string;
  };
  /** Deletes events older than some days, and totals past their retention. */
  'usage.prune': { params: { days?: number | undefined; dryRun?: boolean | undefined }; result: PruneReport };
  /** Takes over AIPass's usage file, given as its text; a second time does nothing. */
  'usage.import': { params: { text: string }; result: ImportReport };
  /** Lists the provider credentials of an organization, by provider and account key. */
  'credential.list': { params: CredentialListParams; result: { credentials: Credential[] } };
  /** Returns one credential. */
  'credential.get': { params: InOrganization & { id: string }; result: Credential };
  /** Creates a credential; its key goes into the first free variable of the provider in `.env`. */
  'credential.create': { params: CredentialCreateParams; result: Credential };
  /** Adds a key under the next free name, after checks of its shape and at its provider. */
  'credential.add': { params: CredentialAddParams; result: Credential };
  /** Takes over the keys of any project's `.env`. */
  'credential.import': { params: CredentialImportParams; result: CredentialImportReport };
  /** Changes a credential: absent and null leave a field, '' clears it. */
  'credential.update': { params: CredentialUpdateParams; result: Credential };
  /** Replaces the key of a credential after the provider accepted the new one. */
  'credential.rotate': { params: CredentialRotateParams; result: Credential };
  /** Removes a credential and its variable. Recorded usage keeps the name. */
  'credential.delete': { params: CredentialDeleteParams; result: { deleted: boolean } };
  /** Asks a provider about a credential that is not saved. */
  'credential.test': { params: CredentialTestParams; result: CredentialUsage };
  /** Returns what the provider reports about a credential, cached for 60 s. */
  'credential.usage': {
    params: InOrganization & { id: string; refresh?: boolean | undefined; sample?: boolean | undefined };
    result: CredentialUsage;
  };
  /** Lists the organizations of the caller. */
  'organization.list': { params: Record<string, never>; result: { organizations: OrganizationInfo[] } };
  /** Sends events on this connection until it closes: the named ones, or all. */
  'event.subscribe': {
    params: InOrganization & { events?: readonly EventName[] | undefined };
    result: { events: readonly EventName[] };
  };
}

export type OperationName = keyof Operations;

/** Data that an operation sends before its result. */
export type ChunkOf<Name extends OperationName> = Operations[Name] extends { chunk: infer Chunk } ? Chunk : never;

/**
 * Operations that may have had effects when their answer is lost, so that repeating one may pay or
 * change something twice. Repeating any other does no harm.
 */
export const OPERATIONS_WITH_EFFECTS: ReadonlySet<OperationName> = new Set([
  'completion.create',
  'pool.lease',
  'oauth.reauth',
  'oauth.redirect',
  'oauth.revoke',
  'secret.set',
  'secret.remove',
  'credential.create',
  'credential.add',
  'credential.import',
  'credential.update',
  'credential.rotate',
  'credential.delete',
  'credential.test',
  'credential.usage',
]);

/** A released key. `keyId` is the name of its variable in `.env`. */
export interface KeyValue {
  readonly provider: string;
  readonly keyId: string;
  readonly key: string;
}

/** `<provider>/<slug>`, its format, and its length. */
export interface SecretInfo {
  readonly name: string;
  readonly format: 'json' | 'text' | 'binary';
  /** Length of the text; of binary content in bytes. */
  readonly chars: number;
}
