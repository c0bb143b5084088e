/**
 * Access tokens of the loopback listener. Each is 256 random bits, belongs to one user, and to one
 * run of `aipassd exec` or one named caller.
 *
 * Only SHA-256 hashes are kept here. A map finds the candidate by the first bytes of its hash; the
 * whole hash is compared in constant time. So is a token with the one that its connection presented
 * before, which the connection keeps.
 */

import { hash as hashOnce, randomBytes, timingSafeEqual } from 'node:crypto';
import type { TokenGrant } from '../callers/access.ts';
import { TOKEN_PREFIX } from '../protocol/gateway.ts';

const TOKEN_BYTES = 32;

/** Longest token that is looked up, in characters. */
const MAX_TOKEN_LENGTH = 256;

/** Bytes of a hash that find its candidate: two of 4,096 random tokens never share them. */
const PREFIX_BYTES = 16;

/** Most tokens that are valid at a time. */
const MAX_TOKENS = 4096;

/** Token that was valid when it was found. */
export interface FoundToken {
  readonly token: Buffer;
  readonly grant: TokenGrant;
  /** Number of revocations until then. */
  readonly revocations: number;
}

/** Valid tokens. */
export class AccessTokens {
  /** By the beginning of their hashes. */
  readonly #grants = new Map<string, { readonly hash: Buffer; readonly grant: TokenGrant }>();
  /** Number of revocations so far: a token that was found stays valid while it does not change. */
  #revocations = 0;

  /** Creates a token. Returns undefined where there are too many. */
  issue(grant: TokenGrant): { readonly token: string; readonly hash: string } | undefined {
    const token = `${TOKEN_PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`;
    const hash = hashOf(token).toString('hex');
    return this.restore(hash, grant) ? { token, hash } : undefined;
  }

  /** Makes a token valid whose hash was stored; false where there are too many. */
  restore(hash: string, grant: TokenGrant): boolean {
    if (this.#grants.size >= MAX_TOKENS) return false;
    if (this.has(hash)) this.#revocations += 1;
    this.#grants.set(prefixOf(hash), { hash: Buffer.from(hash, 'hex'), grant });
    return true;
  }

  /** Returns whether a token with that hash is valid. */
  has(hash: string): boolean {
    return this.#grants.has(prefixOf(hash));
  }

  /** Ends the token with that hash. */
  revoke(hash: string): void {
    this.#grants.delete(prefixOf(hash));
    this.#revocations += 1;
  }

  /** Returns what a token stands for, or undefined for one that is not valid. */
  find(token: string): TokenGrant | undefined {
    if (token.length > MAX_TOKEN_LENGTH) return undefined;
    const presented = hashOf(token);
    const candidate = this.#grants.get(presented.toString('hex', 0, PREFIX_BYTES));
    return candidate !== undefined && timingSafeEqual(candidate.hash, presented) ? candidate.grant : undefined;
  }

  /**
   * Does the same for a token that may be the one that was found last. Most connections present the
   * same one with each request, and its hash takes longer than all other checks.
   */
  findAgain(token: string, last: FoundToken | undefined): FoundToken | undefined {
    const presented = Buffer.from(token);
    const isSame = last?.token.length === presented.length && timingSafeEqual(last.token, presented);
    if (isSame && last.revocations === this.#revocations) return last;
    const grant = this.find(token);
    return grant && { token: presented, grant, revocations: this.#revocations };
  }
}

function hashOf(token: string): Buffer {
  return hashOnce('sha256', token, 'buffer');
}

function prefixOf(hash: string): string {
  return hash.slice(0, PREFIX_BYTES * 2);
}
