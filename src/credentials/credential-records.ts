/**
 * What `.env` cannot hold of a provider credential: its id, names, base URL, switch, dates and revision.
 *
 * `.env` is the truth about keys. A key without a record gets one on sight, with an id that depends only on organization
 * and variable, so that a lost state document loses no id of a key that people manage by hand. A record whose variable
 * vanished stays, without a key; a variable that returns joins its record again.
 */

import { v5 as uuidFromName } from 'uuid';
import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { isRecord } from '../base/json.ts';
import type { KeyName } from './api-keys.ts';

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
}

/** What can change in a record. */
export type RecordChange = Partial<Pick<CredentialRecord, 'displayName' | 'baseUrl' | 'active' | 'keyId'>>;

/** What the records of one organization are wired with. */
export interface CredentialRecordsDeps {
  readonly organizationId: string;
  /** The saved section of the state document, unchecked. */
  readonly saved: unknown;
  readonly clock: Clock;
  readonly randomId: () => string;
  /** Called after every change. */
  readonly onChange: () => void;
}

/** Returns the id of an organization, which depends on its slug alone. */
export function organizationIdOf(slug: string): string {
  return uuidFromName(`organization/${slug}`, NAMESPACE);
}

/** Holds the records of one organization. */
export class CredentialRecords {
  readonly #deps: CredentialRecordsDeps;
  readonly #records = new Map<string, CredentialRecord>();
  /** Index of the records, made when it is needed. */
  #idsByKeyId: ReadonlyMap<string, string> | undefined;

  constructor(deps: CredentialRecordsDeps) {
    this.#deps = deps;
    for (const record of readSaved(deps.saved)) this.#records.set(record.id, record);
  }

  /** Returns the section for the state document. */
  save(): readonly CredentialRecord[] {
    return [...this.#records.values()];
  }

  /** Gives every key that has no record one. */
  sync(keys: readonly KeyName[]): void {
    const known = new Set([...this.#records.values()].map(({ keyId }) => keyId));
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
    return this.save().toSorted(
      (a, b) => compareText(a.provider, b.provider) || compareText(a.accountKey, b.accountKey),
    );
  }

  /** Returns a record, or undefined. */
  find(id: string): CredentialRecord | undefined {
    return this.#records.get(id.toLowerCase());
  }

  /** Returns the record of a variable, or undefined. */
  findByKeyId(keyId: string): CredentialRecord | undefined {
    this.#idsByKeyId ??= new Map(
      [...this.#records.values()].flatMap(({ id, keyId: own }) => (own === null ? [] : [[own, id]])),
    );
    return this.#records.get(this.#idsByKeyId.get(keyId) ?? '');
  }

  /** Returns the variables that belong to records, whether or not they are set. */
  variables(): ReadonlySet<string> {
    return new Set([...this.#records.values()].flatMap(({ keyId }) => (keyId === null ? [] : [keyId])));
  }

  /** Throws CONFLICT, in the web app's words, where a provider has a credential of that name. */
  assertFree(provider: string, accountKey: string): void {
    const taken = [...this.#records.values()].some(
      (record) => record.provider === provider && record.accountKey === accountKey,
    );
    if (!taken) return;
    throw new AipassError('CONFLICT', `A '${provider}' credential with account key '${accountKey}' already exists.`, {
      hint: 'choose another account key, or change the existing credential',
    });
  }

  /** Adds a record. Throws CONFLICT for a duplicate. */
  create(
    fields: Pick<CredentialRecord, 'provider' | 'accountKey' | 'keyId' | 'displayName' | 'baseUrl' | 'active'>,
  ): CredentialRecord {
    this.assertFree(fields.provider, fields.accountKey);
    const now = this.#deps.clock.now();
    const record = { ...fields, id: this.#deps.randomId(), createdAt: now, updatedAt: now, revision: 1 };
    this.#records.set(record.id, record);
    this.#changed();
    return record;
  }

  /** Changes a record; its time of change and revision move also where nothing else does. */
  update(id: string, change: RecordChange): CredentialRecord {
    const record = this.#records.get(id);
    if (!record) throw new AipassError('NOT_FOUND', 'Not Found');
    // Two changes within a millisecond still have different times.
    const updatedAt = Math.max(this.#deps.clock.now(), record.updatedAt + 1);
    const next = { ...record, ...change, updatedAt, revision: record.revision + 1 };
    this.#records.set(id, next);
    this.#changed();
    return next;
  }

  /** Removes a record; returns whether there was one. */
  remove(id: string): boolean {
    const existed = this.#records.delete(id);
    if (existed) this.#changed();
    return existed;
  }

  #changed(): void {
    this.#idsByKeyId = undefined;
    this.#deps.onChange();
  }

  /** Returns `default` for an unnumbered variable and its number for others, or the variable's name where that is taken. */
  freeAccountKey({ provider, keyId }: KeyName): string {
    const number = /_API_KEY_(\d+)$/i.exec(keyId)?.[1];
    const usual = number ?? 'default';
    const taken = (name: string): boolean =>
      [...this.#records.values()].some((record) => record.provider === provider && record.accountKey === name);
    if (!taken(usual)) return usual;
    const named = keyId.toLowerCase();
    for (let copy = 1; ; copy += 1) {
      const candidate = copy === 1 ? named : `${named}-${copy}`;
      if (!taken(candidate)) return candidate;
    }
  }
}

/** Returns the records that are whole; a damaged one is rebuilt from `.env`. */
function readSaved(saved: unknown): CredentialRecord[] {
  if (!Array.isArray(saved)) return [];
  return saved.filter((value): value is CredentialRecord => {
    if (!isRecord(value)) return false;
    const { id, provider, accountKey, keyId, displayName, baseUrl, active, createdAt, updatedAt, revision } = value;
    return (
      [id, provider, accountKey, displayName].every((field) => typeof field === 'string' && field !== '') &&
      [keyId, baseUrl].every((field) => field === null || typeof field === 'string') &&
      typeof active === 'boolean' &&
      [createdAt, updatedAt, revision].every((field) => Number.isSafeInteger(field))
    );
  });
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
