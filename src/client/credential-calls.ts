/**
 * Provider credentials: `aipass.credentials`. No call returns a key; the last four characters are
 * all that is returned.
 */

import type {
  Credential,
  CredentialAddParams,
  CredentialCreateParams,
  CredentialImportParams,
  CredentialImportReport,
  CredentialListParams,
  CredentialTestParams,
  CredentialUpdateParams,
  CredentialUsage,
  IfRevision,
  InOrganization,
} from '../protocol/credential.ts';
import type { CallOptions, Session } from './session.ts';

/** Options of a call about one organization; without one, the caller's own. */
export interface OrganizationCallOptions extends CallOptions, InOrganization {}

/** Options of a change that is meant for one revision, or for any of several. */
export interface RevisionCallOptions extends OrganizationCallOptions {
  /** Changes nothing, and throws CONFLICT, unless this is the credential's revision. */
  readonly if_revision?: IfRevision | undefined;
}

/** Lists, makes and changes provider credentials. Every failure is an AipassError. */
export class CredentialCalls {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Lists credentials by provider and account key. */
  async list(params: CredentialListParams = {}, options?: CallOptions): Promise<readonly Credential[]> {
    return (await this.#session.request('credential.list', params, options)).credentials;
  }

  /** Returns one credential. Throws NOT_FOUND. */
  get(id: string, { organization, ...call }: OrganizationCallOptions = {}): Promise<Credential> {
    return this.#session.request('credential.get', { id, organization }, call);
  }

  /** Creates a credential, with or without a key. Throws UNSUPPORTED, CONFLICT. */
  create(params: CredentialCreateParams, options?: CallOptions): Promise<Credential> {
    return this.#session.request('credential.create', params, options);
  }

  /** Adds a key under a free name once its provider accepted it. Throws CONFLICT. */
  add(params: CredentialAddParams, options?: CallOptions): Promise<Credential> {
    return this.#session.request('credential.add', params, options);
  }

  /** Changes a credential: absent and null leave a field, '' clears it. */
  update(params: CredentialUpdateParams, options?: CallOptions): Promise<Credential> {
    return this.#session.request('credential.update', params, options);
  }

  /** Replaces the key once accepted. Throws PROVIDER_REJECTED, PROVIDER_UNAVAILABLE. */
  rotate(
    id: string,
    apiKey: string,
    { organization, if_revision, ...call }: RevisionCallOptions = {},
  ): Promise<Credential> {
    return this.#session.request('credential.rotate', { id, api_key: apiKey, organization, if_revision }, call);
  }

  /** Removes a credential and its key. Recorded usage keeps the name. */
  async delete(id: string, { organization, if_revision, ...call }: RevisionCallOptions = {}): Promise<void> {
    await this.#session.request('credential.delete', { id, organization, if_revision }, call);
  }

  /** Asks a provider about a key that is not saved. A bad key is an answer, not an error. */
  test(params: CredentialTestParams, options?: CallOptions): Promise<CredentialUsage> {
    return this.#session.request('credential.test', params, options);
  }

  /** Returns the provider's report on a credential, at most 60 s old. `sample` costs money. */
  usage(
    id: string,
    options: OrganizationCallOptions & { readonly refresh?: boolean; readonly sample?: boolean } = {},
  ): Promise<CredentialUsage> {
    const { organization, refresh, sample, ...call } = options;
    return this.#session.request('credential.usage', { id, organization, refresh, sample }, call);
  }

  /** Takes over the keys of a `.env`, given as its text; with `dry_run`, only reports them. */
  import(params: CredentialImportParams, options?: CallOptions): Promise<CredentialImportReport> {
    return this.#session.request('credential.import', params, options);
  }
}
