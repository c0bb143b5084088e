/**
 * What the daemon tells of providers, their keys and their models. Keys are always masked here.
 */

/** Describes a provider. */
export interface ProviderInfo {
  readonly name: string;
  readonly baseUrl: string;
  /** Tells where the description comes from: built in, built in and changed by configuration, or configuration alone. */
  readonly source: 'built-in' | 'overridden' | 'configured' | 'unknown';
  readonly keys: KeyInfo[];
  /** Tells whether the provider needs a key at all (a local one may not). */
  readonly needsKey: boolean;
}

/** Describes a key. */
export interface KeyInfo {
  readonly provider: string;
  /** Is the name of its variable in `.env`, which is no secret. */
  readonly keyId: string;
  /** Is first 6 + `****` + last 4. */
  readonly masked: string;
  readonly state: 'ready' | 'suspect';
  /** Tells why the key is suspect: a shape that is not the provider's. It is lent all the same. */
  readonly reason?: string;
}

/** Is the judgement of one key. */
export interface KeyVerdict extends KeyInfo {
  /** Is `valid` by shape or by the provider's word, `invalid` by the provider's word, `suspect` by shape, `unknown` where the provider gave no verdict. */
  readonly verdict: 'valid' | 'suspect' | 'invalid' | 'unknown';
  /** Tells who judged: nobody but the shape rules, or the provider. */
  readonly checked: 'offline' | 'online';
  readonly detail: string;
}

/** Describes a model. Prices are US dollars for one token, as texts, as providers print them. */
export interface ModelInfo {
  readonly id: string;
  readonly name?: string;
  readonly contextLength?: number;
  readonly promptPrice?: string;
  readonly completionPrice?: string;
}
