/**
 * Records of provider credentials: what `.env` cannot hold of them. That is id, names, base URL,
 * switch, dates and revision.
 *
 * `.env` is the truth about keys. A key without a record gets one on sight. Its id depends only on
 * organization and variable, so that a lost state document loses no id of a key that people manage
 * by hand. A record whose variable vanished stays, without a key; a variable that returns joins its
 * record again.
 *
 * A key never goes to the address of another one. Before a key is written to `.env`, the new record
 * is saved beside the old one. The key that `.env` has then decides which of the two holds. That
 * happens at once, and after a crash as soon as `.env` can be read.
 */

import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import { compareText, type ApiKey, type KeyName } from './api-keys.ts';

/** Namespace of the ids that are derived from names (RFC 9562 §5.5); chosen at random once. */
const NAMESPACE = '6f1cf6ba-3a0c-4b0e-9a4e-2f6f0d7b9c11';

/** A record, without the key's value. Times are epoch milliseconds. */
export interface CredentialRecord {
  readonly id: string;
  readonly provider: string;
  readonly accountKey: string;
  /** Variable of `.env`, kept while it is absent; null before there was a key. */
  readonly keyId: string | null;
  readonly displayName: string;
  readonly baseUrl: string | null;
  readonly active: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly revision: number;
  /** Request that created it, where it had an Idempotency-Key; without the API key. */
  readonly request?: CreationRequest | undefined;
}

export interface CreationRequest {
  readonly key: string;
  /** Its parameters but the API key, printed. */
  readonly params: string;
}

export type NewRecord = Pick<
  CredentialRecord,
  'provider' | 'accountKey' | 'keyId' | 'displayName' | 'baseUrl' | 'active' | 'request'
>;

export type RecordChange = Partial<Pick<CredentialRecord, 'displayName' | 'baseUrl' | 'active' | 'keyId'>>;

export interface CredentialRecordsDeps {
  readonly organizationId: string;
  /** The saved section of the state document, unchecked. */
  readonly saved: unknown;
  readonly clock: Clock;
  readonly randomId: () => string;
  readonly onChange: () => void;
  /** Puts the records on disk. Rejects if that failed. */
  readonly persist: () => Promise<void>;
}

/**
 * A record whose key is about to be written: `next` holds as soon as `.env` has that key. Nothing
 * holds before for a credential that is being created.
 */
interface PendingRecord {
  readonly before: CredentialRecord | null;
  readonly next: CredentialRecord;
  /** Recognises the key; keeps no part of it. */
  readonly isNewKey: (key: Secret) => boolean;
  readonly salt: string;
  readonly hash: string;
}

/** Time for which a request with an Idempotency-Key is remembered, in milliseconds (a day). */
const IDEMPOTENCY_MS = 86_400_000;

/** Returns the id of an organization, which depends on its slug alone. */
export function organizationIdOf(slug: string): string {
  return uuidFromName(`organization/${slug}`, NAMESPACE);
}

/** Returns the UUID of a name in a namespace (RFC 9562 §5.5). */
function uuidFromName(name: string, namespace: string): string {
  const hash = createHash('sha1').update(namespace.replaceAll('-', ''), 'hex').update(name).digest();
  hash[6] = (hash.readUInt8(6) & 0x0f) | 0x50;
  hash[8] = (hash.readUInt8(8) & 0x3f) | 0x80;
  const hex = hash.toString('hex', 0, 16);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

export class CredentialRecords {
  readonly #deps: CredentialRecordsDeps;
  readonly #records = new Map<string, CredentialRecord>();
  readonly #pending = new Map<string, PendingRecord>();
  /** Changes that an earlier run left open, until `.env` decides them. */
  readonly #leftOver = new Set<PendingRecord>();
  /** Index of the records, made when it is needed. */
  #idsByKeyId: ReadonlyMap<string, string> | undefined;

  constructor(deps: CredentialRecordsDeps) {
    this.#deps = deps;
    for (const value of Array.isArray(deps.saved) ? deps.saved : []) {
      const pending = readPending(value);
      const record = pending ? pending.before : readRecord(value);
      if (record) this.#records.set(record.id, record);
      if (!pending) continue;
      this.#pending.set(pending.next.id, pending);
      this.#leftOver.add(pending);
    }
  }

  /** Returns the section for the state document. */
  save(): readonly unknown[] {
    const pending = [...this.#pending.values()].map(({ before, next, salt, hash }) => ({
      ...(before ?? next),
      pending: { next, isNew: before === null, salt, hash },
    }));
    const now = this.#deps.clock.now();
    const settled = [...this.#records.values()].filter(({ id }) => !this.#pending.has(id));
    return [
      ...settled.map((record) => (isRemembered(record, now) ? record : { ...record, request: undefined })),
      ...pending,
    ];
  }

  /**
   * Gives every key that has no record one, and decides what an interrupted change left open. A key
   * that is absent decides only where `isWhole`, the vault's `isEnvWhole()`, is set.
   */
  sync(keys: readonly ApiKey[], isWhole: boolean): void {
    const values = new Map(keys.map(({ keyId, value }) => [keyId, value]));
    // What this run stages is settled by whoever staged it.
    for (const pending of this.#leftOver) {
      const key = values.get(pending.next.keyId ?? '') ?? null;
      if (key === null && !isWhole) continue;
      this.#leftOver.delete(pending);
      this.settle(pending.next.id, key);
    }
    const known = this.variables();
    const added = keys.filter(({ keyId }) => !known.has(keyId));
    for (const key of added) {
      const now = this.#deps.clock.now();
      const accountKey = this.freeAccountKey(key);
      const id = uuidFromName(key.keyId, this.#deps.organizationId);
      // The derived id can be taken by a record that was moved to another variable.
      const free = this.#records.has(id) ? this.#deps.randomId() : id;
      this.#records.set(free, {
        id: free,
        provider: key.provider,
        accountKey,
        keyId: key.keyId,
        displayName: accountKey,
        baseUrl: null,
        active: true,
        createdAt: now,
        updatedAt: now,
        revision: 1,
      });
    }
    if (added.length > 0) this.#changed();
  }

  /** Lists the records by provider and account key, in code-point order. */
  list(): CredentialRecord[] {
    return [...this.#records.values()].toSorted(
      (a, b) => compareText(a.provider, b.provider) || compareText(a.accountKey, b.accountKey),
    );
  }

  find(id: string): CredentialRecord | undefined {
    return this.#records.get(id.toLowerCase());
  }

  /** Returns the record that holds for a key: of a variable that changes, the key decides. */
  of({ keyId, value }: Pick<ApiKey, 'keyId' | 'value'>): CredentialRecord | undefined {
    for (const { next, isNewKey } of this.#pending.values()) {
      if (next.keyId === keyId && isNewKey(value)) return next;
    }
    this.#idsByKeyId ??= new Map(
      [...this.#records.values()].flatMap(({ id, keyId: own }) => (own === null ? [] : [[own, id]])),
    );
    return this.#records.get(this.#idsByKeyId.get(keyId) ?? '');
  }

  /** Returns the record that a request with this key created within a day, or undefined. */
  createdBy(idempotencyKey: string): CredentialRecord | undefined {
    const now = this.#deps.clock.now();
    return [...this.#records.values()].find(
      (record) => record.request?.key === idempotencyKey && isRemembered(record, now),
    );
  }

  /** Returns the variables that belong to records, whether or not they are set. */
  variables(): ReadonlySet<string> {
    return new Set(this.#all().flatMap(({ keyId }) => keyId ?? []));
  }

  /** Throws CONFLICT, in the web app's words, where a provider has a credential of that name. */
  assertFree(provider: string, accountKey: string): void {
    if (!this.#isTaken(provider, accountKey)) return;
    throw new AipassError('CONFLICT', `A '${provider}' credential with account key '${accountKey}' already exists.`, {
      hint: 'choose another account key, or change the existing credential',
    });
  }

  /**
   * Adds a record without a key; it is on disk when the promise resolves.
   *
   * @throws AipassError CONFLICT for a duplicate, INTERNAL where the disk takes nothing; then there
   * is no record.
   */
  async create(fields: NewRecord): Promise<CredentialRecord> {
    const record = this.#newRecord(fields);
    this.#put(record);
    try {
      await this.#deps.persist();
    } catch (error) {
      this.remove(record.id);
      throw error;
    }
    return record;
  }

  /**
   * Changes a record; its time of change and revision move also where nothing else does. The change
   * is on disk when the promise resolves.
   *
   * @throws AipassError NOT_FOUND, CONFLICT while an interrupted change of it is undecided, or
   * INTERNAL where the disk takes nothing; then nothing is changed.
   */
  async update(id: string, change: RecordChange): Promise<CredentialRecord> {
    const before = this.#existing(id);
    const next = this.#changedRecord(before, change);
    this.#put(next);
    try {
      await this.#deps.persist();
    } catch (error) {
      if (this.#records.get(id) === next) this.#put(before);
      throw error;
    }
    return next;
  }

  /**
   * Saves the record of a new credential whose key is about to be written. `settle` has to follow.
   *
   * @throws AipassError CONFLICT for a duplicate, INTERNAL where the disk takes nothing.
   */
  stageNew(fields: NewRecord, key: Secret): Promise<CredentialRecord> {
    return this.#stage(null, this.#newRecord(fields), key);
  }

  /** Saves what a record will be with the key that is about to be written, for `settle`. */
  stage(id: string, change: RecordChange, key: Secret): Promise<CredentialRecord> {
    const before = this.#existing(id);
    return this.#stage(before, this.#changedRecord(before, change), key);
  }

  /**
   * Ends what was staged: the record becomes what was staged for this key, the one that `.env` has
   * now, or stays what it was. Returns it; undefined where there is none.
   */
  settle(id: string, key: Secret | null): CredentialRecord | undefined {
    const pending = this.#pending.get(id);
    if (!pending) return this.#records.get(id);
    this.#pending.delete(id);
    const record = key !== null && pending.isNewKey(key) ? pending.next : pending.before;
    if (record) this.#records.set(id, record);
    else this.#records.delete(id);
    this.#changed();
    return record ?? undefined;
  }

  /** Removes a record; returns whether there was one. */
  remove(id: string): boolean {
    const pending = this.#pending.get(id);
    if (pending && this.#leftOver.delete(pending)) this.#pending.delete(id);
    const existed = this.#records.delete(id);
    if (existed) this.#changed();
    return existed;
  }

  /** Puts the records on disk. Rejects if that failed. */
  persist(): Promise<void> {
    return this.#deps.persist();
  }

  async #stage(before: CredentialRecord | null, next: CredentialRecord, key: Secret): Promise<CredentialRecord> {
    const salt = randomBytes(16).toString('hex');
    this.#pending.set(next.id, {
      before,
      next,
      isNewKey: (value) => value.equals(key),
      salt,
      hash: hashOf(salt, key),
    });
    this.#changed();
    try {
      await this.#deps.persist();
    } catch (error) {
      this.settle(next.id, null);
      throw error;
    }
    return next;
  }

  #newRecord(fields: NewRecord): CredentialRecord {
    this.assertFree(fields.provider, fields.accountKey);
    const now = this.#deps.clock.now();
    return { ...fields, id: this.#deps.randomId(), createdAt: now, updatedAt: now, revision: 1 };
  }

  #changedRecord(record: CredentialRecord, change: RecordChange): CredentialRecord {
    // Two changes within a millisecond still have different times.
    const updatedAt = Math.max(this.#deps.clock.now(), record.updatedAt + 1);
    return { ...record, ...change, updatedAt, revision: record.revision + 1 };
  }

  #existing(id: string): CredentialRecord {
    const record = this.#records.get(id);
    if (!record) throw new AipassError('NOT_FOUND', 'Not Found');
    const pending = this.#pending.get(id);
    if (pending && this.#leftOver.has(pending)) {
      throw new AipassError('CONFLICT', 'an interrupted change of this credential waits for .env, which was not read', {
        hint: 'fix .env as aipassd doctor shows, then try again',
      });
    }
    return record;
  }

  #put(record: CredentialRecord): void {
    this.#records.set(record.id, record);
    this.#changed();
  }

  /** Returns the records, and those of changes that are not decided yet. */
  #all(): CredentialRecord[] {
    return [...this.#records.values(), ...[...this.#pending.values()].map(({ next }) => next)];
  }

  #isTaken(provider: string, accountKey: string): boolean {
    return this.#all().some((record) => record.provider === provider && record.accountKey === accountKey);
  }

  #changed(): void {
    this.#idsByKeyId = undefined;
    this.#deps.onChange();
  }

  /** Returns `default`, the number of the variable, or its name where that is taken. */
  freeAccountKey({ provider, keyId }: KeyName): string {
    const number = /_API_KEY_(\d+)$/i.exec(keyId)?.[1];
    const usual = number ?? 'default';
    if (!this.#isTaken(provider, usual)) return usual;
    const named = keyId.toLowerCase();
    for (let copy = 1; ; copy += 1) {
      const candidate = copy === 1 ? named : `${named}-${copy}`;
      if (!this.#isTaken(provider, candidate)) return candidate;
    }
  }
}

const text = z.string().min(1);

/** A saved record that is whole; a damaged one is rebuilt from `.env`. */
const savedRecord = z.object({
  id: text,
  provider: text,
  accountKey: text,
  keyId: z.string().nullable(),
  displayName: text,
  baseUrl: z.string().nullable(),
  active: z.boolean(),
  createdAt: z.int(),
  updatedAt: z.int(),
  revision: z.int(),
  request: z.object({ key: text, params: text }).optional().catch(undefined),
});

const savedPending = z.object({
  pending: z.object({ next: savedRecord, isNew: z.unknown(), salt: text, hash: text }),
});

function readRecord(value: unknown): CredentialRecord | undefined {
  return savedRecord.safeParse(value).data;
}

/** Returns what was staged when the record was saved, or undefined. */
function readPending(value: unknown): PendingRecord | undefined {
  const pending = savedPending.safeParse(value).data?.pending;
  if (!pending) return undefined;
  const { next, isNew, salt, hash } = pending;
  const before = isNew === true ? null : (readRecord(value) ?? null);
  return { before, next, isNewKey: (key) => hashOf(salt, key) === hash, salt, hash };
}

function hashOf(salt: string, key: Secret): string {
  return createHash('sha256').update(salt).update(key.reveal()).digest('hex');
}

/** Returns whether the request that created a record is still remembered. */
function isRemembered({ request, createdAt }: CredentialRecord, now: number): boolean {
  return request !== undefined && now - createdAt < IDEMPOTENCY_MS;
}
