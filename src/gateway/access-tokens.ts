/**
 * Access tokens of the loopback listener. Each is 256 random bits, belongs to one user, and to one
 * run of `aipassd exec` or one named caller.
 *
 * Only SHA-256 hashes are kept. A hash of 256 random bits cannot be searched, so that comparing
 * hashes in constant time is all that is needed. A map finds the candidate by its first bytes.
 */

import { hash as hashOnce, randomBytes, timingSafeEqual } from 'node:crypto';
import type { TokenGrant } from '../callers/access.ts';
import { TOKEN_PREFIX } from '../protocol/gateway.ts';

const TOKEN_BYTES = 32;

/** Most tokens that are valid at a time. */
const MAX_TOKENS = 4096;

/** Valid tokens. */
export class AccessTokens {
  readonly #grants = new Map<string, TokenGrant>();

  /** Number of valid tokens. */
  get size(): number {
    return this.#grants.size;
  }

  /** Creates a token; `revoke` ends it. Returns undefined where there are too many. */
  issue(grant: TokenGrant): { readonly token: string; readonly hash: string; readonly revoke: () => void } | undefined {
    const token = `${TOKEN_PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`;
    const hash = hashOf(token).toString('hex');
    return this.restore(hash, grant) ? { token, hash, revoke: () => void this.#grants.delete(hash) } : undefined;
  }

  /** Makes a token valid whose hash was stored; false where there are too many. */
  restore(hash: string, grant: TokenGrant): boolean {
    if (this.#grants.size >= MAX_TOKENS) return false;
    this.#grants.set(hash, grant);
    return true;
  }

  /** Returns whether a token with that hash is valid. */
  has(hash: string): boolean {
    return this.#grants.has(hash);
  }

  /** Ends the token with that hash. */
  revoke(hash: string): void {
    this.#grants.delete(hash);
  }

  /** Returns what a token stands for, or undefined for one that is not valid. */
  find(token: string): TokenGrant | undefined {
    if (token.length > 256) return undefined;
    const presented = hashOf(token);
    const hash = presented.toString('hex');
    const grant = this.#grants.get(hash);
    return grant !== undefined && timingSafeEqual(Buffer.from(hash, 'hex'), presented) ? grant : undefined;
  }
}

function hashOf(token: string): Buffer {
  return hashOnce('sha256', token, 'buffer');
}
