/**
 * Providers, their keys and their models on the wire. Keys are always masked here.
 */

/** Description of a provider. */
export interface ProviderInfo {
  readonly name: string;
  readonly baseUrl: string;
  /** Built in, built in and changed by the configuration, or the configuration alone. */
  readonly source: 'built-in' | 'overridden' | 'configured' | 'unknown';
  readonly keys: KeyInfo[];
  /** True where the provider needs a key (a local one may not). */
  readonly needsKey: boolean;
  /** True where a request that is free of charge proves a key. */
  readonly hasFreeCheck: boolean;
}

/** Description of a key. */
export interface KeyInfo {
  readonly provider: string;
  /** Name of its variable in `.env`, which is not a secret. */
  readonly keyId: string;
  /** First 6 characters + `****` + last 4. */
  readonly masked: string;
  readonly state: 'ready' | 'suspect';
  /**
   * Why the key is suspect: a shape that is not the provider's. It is used all the same, unless it
   * belongs to another provider.
   */
  readonly reason?: string;
  /** Set where `.env` cannot be read now, so that the key from before stays in use. */
  readonly fromBefore?: true;
}

export interface KeyVerdict extends KeyInfo {
  /**
   * `valid` by shape or by the provider's answer, `invalid` by the provider's answer, `suspect` by
   * shape, `unknown` where the provider gave no verdict.
   */
  readonly verdict: 'valid' | 'suspect' | 'invalid' | 'unknown';
  /** Whether the provider was asked, or the shape alone was checked. */
  readonly checked: 'offline' | 'online';
  readonly detail: string;
}

/** A model. Prices are US dollars for one token, as texts, as providers print them. */
export interface ModelInfo {
  readonly id: string;
  readonly name?: string;
  readonly contextLength?: number;
  readonly promptPrice?: string;
  readonly completionPrice?: string;
}
