/**
 * Provider credentials as both endpoints carry them. Field names and texts are those of the web
 * app's API (`/api/v1/provider-credentials`), so that its clients work unchanged. No field holds
 * any part of a key but the last four characters. Times are ISO 8601 in UTC. What is unknown is
 * null, never 0.
 */

/** Slug of the organization that always exists: the daemon's own keys. */
export const DEFAULT_ORGANIZATION = 'default';

/** Parameters about one organization of the caller; without it, its only one, else `default`. */
export interface InOrganization {
  readonly organization?: string | undefined;
}

/** A provider credential. */
export interface Credential {
  readonly id: string;
  readonly organization_id: string;
  readonly provider: string;
  /** Name among the credentials of one provider; cannot change. */
  readonly account_key: string;
  readonly display_name: string;
  /** Last four characters of the key, or null without a key. */
  readonly api_key_last_four: string | null;
  readonly has_api_key: boolean;
  /** Where requests with this key go instead of the provider's own base URL. */
  readonly base_url: string | null;
  /** A credential that is not active is leased to nobody. */
  readonly active: boolean;
  readonly created_at: string;
  readonly updated_at: string;
  /** Grows with every change; sent as `If-Match` to change only what was read. */
  readonly revision: number;
  /** Variable of `.env` that holds the key, or null while there was none. */
  readonly key_id: string | null;
}

/** Parameters of `credential.list`. Without `limit` everything is listed. */
export interface CredentialListParams extends InOrganization {
  readonly provider?: string | undefined;
  readonly active?: boolean | undefined;
  readonly limit?: number | undefined;
  /** Id of the last credential of the page before. */
  readonly after?: string | undefined;
}

/** Parameters of `credential.create`. */
export interface CredentialCreateParams extends InOrganization {
  readonly provider: string;
  readonly account_key: string;
  readonly display_name?: string | null | undefined;
  readonly api_key?: string | null | undefined;
  readonly base_url?: string | null | undefined;
  readonly active?: boolean | undefined;
  /** Repeating a request with the same key within a day returns the first result. */
  readonly idempotency_key?: string | undefined;
}

/** Revision that a change is meant for, or several of which any will do. */
export type IfRevision = number | readonly number[];

/** Parameters of `credential.delete`, and what every change of a credential has. */
export interface CredentialDeleteParams extends InOrganization {
  readonly id: string;
  /** Changes nothing unless this is the credential's revision. */
  readonly if_revision?: IfRevision | undefined;
}

/** Parameters of `credential.update`: absent and null leave a field, '' clears it. */
export interface CredentialUpdateParams extends CredentialDeleteParams {
  readonly display_name?: string | null | undefined;
  readonly api_key?: string | null | undefined;
  readonly base_url?: string | null | undefined;
  readonly active?: boolean | null | undefined;
}

/** Parameters of `credential.rotate`. */
export interface CredentialRotateParams extends CredentialDeleteParams {
  readonly api_key: string;
}

/** Parameters of `credential.test`: a credential that is not saved. */
export interface CredentialTestParams extends InOrganization {
  readonly provider: string;
  readonly account_key?: string | null | undefined;
  readonly api_key?: string | null | undefined;
  readonly base_url?: string | null | undefined;
}

/** A limit and what is left of it. `reset_at` is ISO 8601. */
export interface UsageWindow {
  readonly limit: number | null;
  readonly remaining: number | null;
  readonly reset_at: string | null;
  readonly reset_in_ms: number | null;
}

/** A limit on tokens. `pct_used` is 0 to 100. */
export interface TokenUsageWindow extends UsageWindow {
  readonly used: number | null;
  readonly pct_used: number | null;
}

/** A limit under the provider's own name, and when it was seen. */
export interface NamedUsageWindow extends TokenUsageWindow {
  readonly name: string;
  readonly unit: string;
  readonly per: string | null;
  readonly seen_at: string;
}

/** Money that is left, as the provider reports it. */
export interface CredentialCredits {
  readonly limit: number | null;
  readonly remaining: number | null;
  readonly used: number | null;
  readonly currency: string;
}

/** Live report of a provider about a credential. */
export interface CredentialUsage {
  readonly provider: string;
  readonly account_key: string;
  readonly checked_at: string;
  /** The provider answered and accepted the key. */
  readonly reachable: boolean;
  readonly error: string | null;
  readonly tokens: TokenUsageWindow | null;
  readonly input_tokens: TokenUsageWindow | null;
  readonly output_tokens: TokenUsageWindow | null;
  readonly requests: UsageWindow | null;
  /** Every limit that is known, also from earlier traffic. */
  readonly windows: readonly NamedUsageWindow[];
  readonly credits: CredentialCredits | null;
  readonly models: readonly string[] | null;
  readonly sample_model: string | null;
  readonly sample_input_tokens: number | null;
  readonly sample_output_tokens: number | null;
  readonly sample_latency_ms: number | null;
  /** Names of the limit headers of the answer, sorted; null where there were none. */
  readonly debug_rate_limit_headers: readonly string[] | null;
}

/** Parameters of `credential.add`: a key that becomes a credential under the next free name. */
export interface CredentialAddParams extends InOrganization {
  readonly provider: string;
  readonly api_key: string;
  readonly account_key?: string | undefined;
  /** Saves the key although its shape is unusual or the provider does not accept it. */
  readonly force?: boolean | undefined;
}

/** Parameters of `credential.import`: the text of any project's `.env`. */
export interface CredentialImportParams extends InOrganization {
  readonly text: string;
  /** Only reports what would be taken. */
  readonly dry_run?: boolean | undefined;
}

/** One key of an imported file. */
export interface ImportedKey {
  readonly provider: string;
  /** Variable in the file. */
  readonly variable: string;
  readonly masked: string;
  /** Variable that holds the same key already; null for a key that is (or would be) taken. */
  readonly known_as: string | null;
  /** Variable of `.env` that holds it now; null for a dry run and for a known key. */
  readonly key_id: string | null;
}

/** Result of `credential.import`. */
export interface CredentialImportReport {
  readonly keys: readonly ImportedKey[];
  readonly skipped: readonly { readonly variable: string; readonly reason: string }[];
}

/** An organization of the caller. */
export interface OrganizationInfo {
  readonly id: string;
  readonly slug: string;
  readonly role: 'member' | 'admin';
}
