/**
 * The keys of a pool and their billing accounts. Owns what happens when keys come, go, or change.
 *
 * Two keys of the same value are one key: the first by order serves, the others are listed as
 * duplicates. A key whose shape belongs to another provider is listed and never used.
 */

import type { Random } from '../base/backoff.ts';
import type { PoolStrategy } from '../protocol/pool.ts';
import { BillingAccount, PoolKey, type KeyEntry } from './pool-key.ts';
import type { SavedAccount, SavedKey, SavedPool } from './pool-state.ts';
import { firstTurn } from './strategy.ts';

/**
 * A key that is not used: `of` is the key that holds the same value, `owner` the provider whose
 * shape it has. One that is `off` belongs to a credential that is switched off.
 */
export type UnusedKey = { readonly entry: KeyEntry } & (
  | { readonly kind: 'duplicate'; readonly of: string }
  | { readonly kind: 'foreign'; readonly owner: string }
  | { readonly kind: 'off' }
);

/**
 * Time for which the state of a key that is gone is kept, in case it comes back: a month's quota
 * and a day.
 */
const FORGET_AFTER_MS = 32 * 86_400_000;

export class KeyRegistry {
  readonly keys = new Map<string, PoolKey>();
  readonly accounts = new Map<string, BillingAccount>();
  /** The keys in their order, for the scan. */
  list: readonly PoolKey[] = [];
  unused: readonly UnusedKey[] = [];
  readonly #gone: { keys: Map<string, SavedKey>; accounts: Map<string, SavedAccount> };

  constructor(saved: SavedPool) {
    this.#gone = { keys: new Map(Object.entries(saved.keys)), accounts: new Map(Object.entries(saved.accounts)) };
  }

  /**
   * Makes the pool hold exactly these keys. A key whose value or settings changed begins anew,
   * keeping its counters; one whose file changed leaves its quarantine.
   */
  sync(entries: readonly KeyEntry[], strategy: PoolStrategy, now: number, random: Random): void {
    const distinct = this.#distinct(entries);
    const removed: PoolKey[] = [];
    for (const [keyId, key] of this.keys) {
      const entry = distinct.get(keyId);
      if (entry && isSame(key, entry)) continue;
      this.#remove(key, entry?.value.equals(key.value) === false);
      removed.push(key);
    }
    const added: PoolKey[] = [];
    for (const entry of distinct.values()) {
      const known = this.keys.get(entry.keyId);
      if (known) known.uncheckable = entry.uncheckable === true;
      if (!known) added.push(this.#add(entry, strategy, random));
      else if (known.revision !== entry.revision) {
        known.revision = entry.revision;
        if (known.quarantine) known.breaker.halfOpen();
        known.quarantine = null;
      }
    }
    this.list = [...this.keys.values()];
    for (const account of new Set([...removed, ...added].map((key) => key.billingAccount))) account.setQuotas();
    this.#restore(added, now);
  }

  /** Returns what has to outlive a restart, of keys that are gone too while they may come back. */
  save(now: number): SavedPool {
    for (const [keyId, { lastUsedAt }] of this.#gone.keys) {
      if (lastUsedAt === null || now - lastUsedAt > FORGET_AFTER_MS) this.#gone.keys.delete(keyId);
    }
    for (const [id, account] of this.#gone.accounts) {
      if (now - lastMoment(account) > FORGET_AFTER_MS) this.#gone.accounts.delete(id);
    }
    const keys = [...this.keys.values()].flatMap((key): [string, SavedKey][] =>
      key.uses === 0 && !key.quarantine && !key.breaker.cooldown ? [] : [[key.keyId, key.save()]],
    );
    const accounts = [...this.accounts.values()].flatMap((account): [string, SavedAccount][] => {
      const saved = account.save();
      // Most of thousands have nothing to report.
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
    const unused: UnusedKey[] = [];
    for (const entry of entries) {
      const first = byValue.get(entry.value.reveal());
      if (entry.isOff === true) unused.push({ kind: 'off', entry });
      else if (entry.foreign !== undefined) unused.push({ kind: 'foreign', entry, owner: entry.foreign });
      else if (first !== undefined) unused.push({ kind: 'duplicate', entry, of: first });
      else if (!distinct.has(entry.keyId)) {
        byValue.set(entry.value.reveal(), entry.keyId);
        distinct.set(entry.keyId, entry);
      }
    }
    this.unused = unused;
    return distinct;
  }

  #add(entry: KeyEntry, strategy: PoolStrategy, random: Random): PoolKey {
    const account = this.#accountOf(entry);
    const key = new PoolKey(entry, account);
    key.turn = firstTurn(strategy, key.weight, random);
    this.keys.set(key.keyId, key);
    account.keys.add(key);
    return key;
  }

  /** Takes a key out, keeping its state. The cooldowns of another value are not the next one's. */
  #remove(key: PoolKey, isRenewed: boolean): void {
    key.isRemoved = true;
    this.keys.delete(key.keyId);
    const saved = key.save();
    this.#gone.keys.set(key.keyId, isRenewed ? { ...saved, breaker: undefined, quarantine: undefined } : saved);
    const account = key.billingAccount;
    account.keys.delete(key);
    if (account.keys.size > 0) return;
    this.accounts.delete(account.id);
    const { quotas, ...cooldowns } = account.save();
    this.#gone.accounts.set(account.id, isRenewed && account.name === null ? { quotas } : { quotas, ...cooldowns });
  }

  #accountOf(entry: KeyEntry): BillingAccount {
    const name = entry.settings?.account ?? null;
    const id = name === null ? `key ${entry.keyId}` : `account ${name}`;
    let account = this.accounts.get(id);
    if (!account) {
      account = new BillingAccount(id, name);
      this.accounts.set(id, account);
    }
    return account;
  }

  /** Gives new keys and accounts their saved state. */
  #restore(added: readonly PoolKey[], now: number): void {
    for (const key of added) {
      const saved = this.#gone.keys.get(key.keyId);
      if (saved) key.restore(saved, now);
      this.#gone.keys.delete(key.keyId);
      const savedAccount = this.#gone.accounts.get(key.billingAccount.id);
      if (savedAccount) key.billingAccount.restore(savedAccount, now);
      this.#gone.accounts.delete(key.billingAccount.id);
    }
  }
}

/** Returns the latest time in an account's state: the start of a window, or a cooldown's end. */
function lastMoment({ breaker, models = {}, quotas = {} }: SavedAccount): number {
  return Math.max(
    breaker?.cooldown.until ?? 0,
    ...Object.values(models).map(({ cooldown }) => cooldown.until),
    ...Object.values(quotas).map(({ start }) => start),
  );
}

/**
 * Returns whether a key is the same as before: another value or other settings make it another key.
 */
function isSame(key: PoolKey, entry: KeyEntry): boolean {
  const isSameAddress = key.baseUrl === (entry.baseUrl ?? null);
  return (
    isSameAddress &&
    key.value.equals(entry.value) &&
    JSON.stringify(key.settings) === JSON.stringify(entry.settings ?? {})
  );
}
