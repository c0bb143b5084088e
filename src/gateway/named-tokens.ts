/**
 * Tokens of named callers for the loopback listener: they outlive a restart, as hashes in
 * `state.json`.
 */

import type { Clock } from '../base/clock.ts';
import { isRecord } from '../base/json.ts';
import type { StateStore } from '../base/state-store.ts';
import type { Right, TokenGrant } from '../callers/access.ts';
import type { NamedToken } from '../protocol/gateway.ts';
import type { AccessTokens } from './access-tokens.ts';

const SECTION = 'gatewayTokens';

/** Most named tokens. */
const MAX_NAMED = 256;

/**
 * Rights that a token may give: never values. A token gives its user at most what that user may do
 * without one.
 */
const GRANTABLE = ['see', 'use', 'admin'] as const satisfies readonly Right[];

interface StoredToken extends NamedToken {
  readonly hash: string;
}

/** Named tokens of a daemon. */
export class NamedTokens {
  readonly #state: Pick<StateStore, 'changed'>;
  readonly #clock: Clock;
  readonly #tokens: AccessTokens;
  readonly #stored = new Map<string, StoredToken>();

  constructor(state: Pick<StateStore, 'section' | 'bind' | 'changed'>, clock: Clock, tokens: AccessTokens) {
    this.#state = state;
    this.#clock = clock;
    this.#tokens = tokens;
    const section = state.section(SECTION);
    for (const value of Array.isArray(section) ? section.slice(0, MAX_NAMED) : []) {
      const stored = readStored(value);
      if (stored !== undefined && tokens.restore(stored.hash, grantOf(stored))) this.#stored.set(stored.name, stored);
    }
    state.bind(SECTION, () => [...this.#stored.values()]);
  }

  /**
   * Creates the token of a name, which replaces an earlier one; undefined where there are too many.
   */
  create(
    name: string,
    uid: number,
    rights: readonly Right[],
  ): { readonly token: string; readonly replaced: boolean } | undefined {
    if (!this.#stored.has(name) && this.#stored.size >= MAX_NAMED) return undefined;
    const token = {
      name,
      uid,
      rights: GRANTABLE.filter((right) => rights.includes(right)),
      createdAt: this.#clock.now(),
    };
    const issued = this.#tokens.issue(grantOf(token));
    if (issued === undefined) return undefined;
    const replaced = this.remove(name);
    this.#stored.set(name, { ...token, hash: issued.hash });
    this.#state.changed();
    return { token: issued.token, replaced };
  }

  /** Ends the token of a name; false where there is none. */
  remove(name: string): boolean {
    const stored = this.#stored.get(name);
    if (stored === undefined) return false;
    this.#tokens.revoke(stored.hash);
    this.#stored.delete(name);
    this.#state.changed();
    return true;
  }

  /** Lists the tokens without their values. */
  list(): NamedToken[] {
    return [...this.#stored.values()].map(({ hash: _hash, ...token }) => token);
  }
}

function grantOf({ name, uid, rights }: NamedToken): TokenGrant {
  return { name, session: null, uid, rights: new Set(rights), providers: null, oauthAccounts: new Set() };
}

function readStored(value: unknown): StoredToken | undefined {
  if (!isRecord(value)) return undefined;
  const { name, uid, rights, createdAt, hash } = value;
  if (typeof name !== 'string' || typeof hash !== 'string' || !/^[0-9a-f]{64}$/.test(hash)) return undefined;
  if (typeof uid !== 'number' || typeof createdAt !== 'number' || !Array.isArray(rights)) return undefined;
  return { name, uid, createdAt, hash, rights: GRANTABLE.filter((right) => rights.includes(right)) };
}
