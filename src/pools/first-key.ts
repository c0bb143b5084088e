/**
 * The simplest pool: always the provider's first key.
 */

import type { AipassError } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import type { KeyLease, KeySource, LeaseRequest } from './lease.ts';

/** Is what a pool knows of a key. */
export interface PooledKey {
  readonly keyId: string;
  readonly value: Secret;
}

/** Lends the first key of each provider. */
export class FirstKey implements KeySource {
  readonly #keysOf: (provider: string) => readonly PooledKey[];
  readonly #needsKey: (provider: string) => boolean;
  readonly #whyNone: (provider: string) => AipassError;

  constructor(options: {
    readonly keysOf: (provider: string) => readonly PooledKey[];
    readonly needsKey: (provider: string) => boolean;
    readonly whyNone: (provider: string) => AipassError;
  }) {
    this.#keysOf = options.keysOf;
    this.#needsKey = options.needsKey;
    this.#whyNone = options.whyNone;
  }

  lease({ provider }: LeaseRequest): KeyLease {
    const [key] = this.#keysOf(provider);
    if (!key && this.#needsKey(provider)) throw this.#whyNone(provider);
    return { provider, keyId: key?.keyId ?? null, value: key?.value ?? null, settle: () => {} };
  }
}
