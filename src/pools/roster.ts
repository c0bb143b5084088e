/**
 * Who is in a pool: its keys in their slots, their accounts, and which models are special. Owns what happens when keys
 * come, go, or change; who is next is lanes.ts's, and what a call does to a key pool.ts's.
 *
 * Two keys of the same value are one key: the first by order serves, the others are listed as duplicates.
 */

import { Account, type SavedAccount } from './account.ts';
import type { Chance } from './backoff.ts';
import { PoolKey, type KeyAccount, type KeyEntry, type SavedKey } from './pool-key.ts';
import { firstTurn } from './strategy.ts';
import type { PoolStrategy } from '../protocol/pool.ts';
import { MAX_DAILY_REST_MS } from './verdict.ts';

/** Is what a pool looks like on disk. */
export interface SavedPool {
  readonly keys: Readonly<Record<string, SavedKey>>;
  readonly accounts: Readonly<Record<string, SavedAccount>>;
}

/** Is a key that is not used because another one holds the same value. */
export interface Duplicate {
  readonly entry: KeyEntry;
  readonly of: string;
}

/** Is how long what is known of a key that is gone is kept, in case it comes back: a month's quota and a day. */
const FORGET_AFTER_MS = 32 * 86_400_000;

/** Holds the keys of one pool. */
export class Roster {
  readonly slots: (PoolKey | undefined)[] = [];
  readonly keys = new Map<string, PoolKey>();
  readonly accounts = new Map<string, KeyAccount>();
  duplicates: readonly Duplicate[] = [];
  readonly #listedModels = new Set<string>();
  readonly #freeSlots: number[] = [];
  readonly #gone: { keys: Map<string, SavedKey>; accounts: Map<string, SavedAccount> };

  constructor(saved: SavedPool) {
    this.#gone = { keys: new Map(Object.entries(saved.keys)), accounts: new Map(Object.entries(saved.accounts)) };
  }

  /** Tells whether a model stands in an allow-list. */
  isListed(model: string): boolean {
    return this.#listedModels.has(model);
  }

  /**
   * Makes the pool hold exactly these keys. A key whose value or settings changed begins anew, keeping its counters; one
   * whose file changed leaves its quarantine. Returns the keys that are new or anew.
   */
  sync(entries: readonly KeyEntry[], strategy: PoolStrategy, now: number, chance: Chance): readonly PoolKey[] {
    const distinct = this.#distinct(entries);
    for (const [keyId, key] of this.keys) {
      const entry = distinct.get(keyId);
      if (!entry || !isSame(key, entry)) this.#remove(key, entry?.value.equals(key.value) === false);
    }
    const added: PoolKey[] = [];
    for (const entry of distinct.values()) {
      const known = this.keys.get(entry.keyId);
      if (known) known.uncheckable = entry.uncheckable === true;
      if (!known) added.push(this.#add(entry, strategy, chance));
      else if (known.revision !== entry.revision) {
        known.revision = entry.revision;
        if (known.quarantine) known.cycle.putOnProbation();
        known.quarantine = null;
      }
    }
    this.#listedModels.clear();
    for (const key of this.keys.values()) for (const model of key.models ?? []) this.#listedModels.add(model);
    this.#settle(added, now);
    return added;
  }

  /** Returns what has to outlive a restart, of keys that are gone too while they may come back. */
  save(now: number): SavedPool {
    for (const [keyId, { lastUsedAt }] of this.#gone.keys) {
      if (lastUsedAt === null || now - lastUsedAt > FORGET_AFTER_MS) {
        this.#gone.keys.delete(keyId);
        this.#gone.accounts.delete(`key ${keyId}`);
      }
    }
    const keys = [...this.keys.values()].flatMap((key): [string, SavedKey][] =>
      key.uses === 0 && !key.quarantine && !key.cycle.rest ? [] : [[key.keyId, key.save()]],
    );
    const accounts = [...this.accounts.values()].flatMap((account): [string, SavedAccount][] => {
      const saved = account.save();
      // Most of thousands have nothing to say.
      return Object.keys(saved).length === 0 ? [] : [[account.id, saved]];
    });
    return {
      keys: Object.fromEntries([...this.#gone.keys, ...keys]),
      accounts: Object.fromEntries([...this.#gone.accounts, ...accounts]),
    };
  }

  #distinct(entries: readonly KeyEntry[]): ReadonlyMap<string, KeyEntry> {
    const byValue = new Map<string, string>();
    const distinct = new Map<string, KeyEntry>();
    const duplicates: Duplicate[] = [];
    for (const entry of entries) {
      const first = byValue.get(entry.value.reveal());
      if (first !== undefined) duplicates.push({ entry, of: first });
      else if (!distinct.has(entry.keyId)) {
        byValue.set(entry.value.reveal(), entry.keyId);
        distinct.set(entry.keyId, entry);
      }
    }
    this.duplicates = duplicates;
    return distinct;
  }

  #add(entry: KeyEntry, strategy: PoolStrategy, chance: Chance): PoolKey {
    const free = this.#freeSlots.pop() ?? this.slots.length;
    const account = this.#accountOf(entry);
    const key = new PoolKey(entry, free, account);
    key.turn = firstTurn(strategy, key.weight, chance);
    this.slots[free] = key;
    this.keys.set(key.keyId, key);
    account.keys.add(key);
    return key;
  }

  /** Takes a key out, keeping what is known of it. The rests of another value are not the next one's. */
  #remove(key: PoolKey, isRenewed: boolean): void {
    key.removed = true;
    this.keys.delete(key.keyId);
    this.slots[key.slot] = undefined;
    this.#freeSlots.push(key.slot);
    const saved = key.save();
    this.#gone.keys.set(key.keyId, isRenewed ? { ...saved, cycle: undefined, quarantine: undefined } : saved);
    const account = key.account;
    account.keys.delete(key);
    if (account.keys.size > 0) return;
    this.accounts.delete(account.id);
    const { quotas, ...rests } = account.save();
    this.#gone.accounts.set(account.id, isRenewed && account.name === null ? { quotas } : { quotas, ...rests });
  }

  #accountOf(entry: KeyEntry): KeyAccount {
    const name = entry.settings?.account ?? null;
    const id = name === null ? `key ${entry.keyId}` : `account ${name}`;
    let account = this.accounts.get(id);
    if (!account) {
      account = new Account<PoolKey>(id, name);
      this.accounts.set(id, account);
    }
    return account;
  }

  /** Gives new keys and accounts their quotas, and what was saved of them. */
  #settle(added: readonly PoolKey[], now: number): void {
    for (const account of new Set(added.map((key) => key.account))) account.setQuotas();
    for (const key of added) {
      const saved = this.#gone.keys.get(key.keyId);
      if (saved) key.restore(saved, now, MAX_DAILY_REST_MS);
      this.#gone.keys.delete(key.keyId);
      const savedAccount = this.#gone.accounts.get(key.account.id);
      if (savedAccount) key.account.restore(savedAccount, now, MAX_DAILY_REST_MS);
      this.#gone.accounts.delete(key.account.id);
    }
  }
}

/** Tells whether a key is still the one that it was: another value or other settings make it another key. */
function isSame(key: PoolKey, entry: KeyEntry): boolean {
  return key.value.equals(entry.value) && JSON.stringify(key.settings) === JSON.stringify(entry.settings ?? {});
}
