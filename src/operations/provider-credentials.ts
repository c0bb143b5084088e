/**
 * The provider credentials of one organization: their records, their keys in `.env`, and what
 * providers report about them.
 *
 * A key is only ever written by the EnvWriter and only ever read from the vault. Duplicates are
 * decided under the writer's lock. What changes a record drops what was cached about it.
 */

import { once } from 'node:events';
import type { LookupFunction } from 'node:net';
import { AipassError } from '../base/errors.ts';
import { BoundedMap } from '../base/bounded-map.ts';
import type { Clock } from '../base/clock.ts';
import { nearestProvider } from '../base/nearest.ts';
import { plainText } from '../base/plain-text.ts';
import { maskKey, Secret } from '../base/secret.ts';
import { removeVariable, setVariable } from '../credentials/env-edit.ts';
import { freeVariable, type ChangeEnv, type EnvDecision, type EnvWriter } from '../credentials/env-writer.ts';
import type {
  CreationRequest,
  CredentialRecord,
  CredentialRecords,
  NewRecord,
  RecordChange,
} from '../credentials/credential-records.ts';
import { findKeys, variableOf, whyNoKey, type ApiKey } from '../credentials/api-keys.ts';
import type { Vault } from '../credentials/vault.ts';
import type { Pools } from '../pools/pools.ts';
import type {
  Credential,
  CredentialAddParams,
  CredentialCreateParams,
  CredentialDeleteParams,
  CredentialImportParams,
  CredentialImportReport,
  CredentialListParams,
  CredentialRotateParams,
  CredentialTestParams,
  CredentialUpdateParams,
  CredentialUsage,
  IfRevision,
  ImportedKey,
} from '../protocol/credential.ts';
import { checkCredentialUrl, createGuardedLookup, withBaseUrl } from '../providers/credential-url.ts';
import { foreignOwnerOf, suspicionOf } from '../providers/key-shape.ts';
import type { Provider } from '../providers/provider.ts';
import type { Providers } from '../providers/registry.ts';
import { fetchCredentialUsage, type TakeSample, type UsageFinding } from './credential-usage.ts';

/** Times for which a usage report, and one about a failure, are served again, in milliseconds. */
const USAGE_CACHE_MS = 60_000;
const FAILURE_CACHE_MS = 10_000;

/** Least time between two forced reports of one credential, in milliseconds. */
const REFRESH_EVERY_MS = 5000;

/** Maximum number of usage reports, and of times of forced ones, that are kept. */
const MAX_REMEMBERED = 1000;

/** Bounds of a key that is saved, in characters: a short one would be shown by its last four. */
const MIN_KEY_LENGTH = 8;
const MAX_KEY_LENGTH = 4096;

export interface ProviderCredentialsDeps {
  readonly organizationId: string;
  readonly records: CredentialRecords;
  readonly writer: EnvWriter;
  readonly vault: Vault;
  readonly providers: Providers;
  readonly pools: Pick<Pools, 'checked' | 'keyOf' | 'keysChanged'>;
  readonly clock: Clock;
  /** Hosts with private addresses that a base URL may name all the same. */
  readonly allowedHosts: () => readonly string[];
  /** Resolves the names in base URLs; the system does without it. */
  readonly resolve?: LookupFunction | undefined;
  /** Called after every change, with the names of the fields that changed. */
  readonly onChange: (
    credential: Credential,
    change: 'created' | 'updated' | 'deleted',
    fields: readonly string[],
  ) => void;
}

/** A report on usage: one that is under way has no end. */
interface UsageReport {
  readonly revision: number;
  readonly key: Secret | null;
  readonly usage: Promise<CredentialUsage>;
  until: number;
}

/** Outcome of adding a key: its credential, or the variable that holds the key already. */
type AddOutcome =
  { readonly kind: 'added'; readonly credential: Credential } | { readonly kind: 'held'; readonly keyId: string };

/** A creation with an Idempotency-Key that is under way. */
interface RunningCreation {
  readonly params: string;
  readonly key: Secret | null;
  readonly done: Promise<Credential>;
}

export class ProviderCredentials {
  readonly #deps: ProviderCredentialsDeps;
  readonly #lookup: LookupFunction;
  readonly #reports = new BoundedMap<string, UsageReport>(MAX_REMEMBERED);
  readonly #forcedAt = new BoundedMap<string, number>(MAX_REMEMBERED);
  readonly #creating = new Map<string, RunningCreation>();

  constructor(deps: ProviderCredentialsDeps) {
    this.#deps = deps;
    this.#lookup = createGuardedLookup(deps.allowedHosts, deps.resolve);
  }

  /** Lists credentials by provider and account key. */
  list({ provider, active, limit, after }: CredentialListParams): Credential[] {
    const all = this.#deps.records.list();
    const start = after === undefined ? 0 : all.findIndex(({ id }) => id === after.toLowerCase()) + 1;
    if (after !== undefined && start === 0) throw notFound();
    const wanted = all
      .slice(start)
      .filter(
        (record) =>
          (provider === undefined || record.provider === provider) &&
          (active === undefined || record.active === active),
      );
    // One scan for all: to search the vault for each record would take the square of their number.
    const keys = new Map(this.#deps.vault.keys(provider).map((key) => [key.keyId, key]));
    return wanted.slice(0, limit ?? wanted.length).map((record) => {
      const key = keys.get(record.keyId ?? '');
      return this.#describe(record, key?.provider === record.provider ? key.value : null);
    });
  }

  get(id: string): Credential {
    return this.#describe(this.#record(id));
  }

  /**
   * Creates a credential, with or without a key.
   *
   * @throws AipassError UNSUPPORTED for an unknown provider, CONFLICT for a duplicate, BAD_REQUEST
   * for bad fields.
   */
  async create({
    idempotency_key: repeatKey,
    organization: _organization,
    ...fields
  }: CredentialCreateParams): Promise<Credential> {
    if (repeatKey === undefined) return this.#create(fields);
    const params = JSON.stringify({ ...fields, api_key: undefined });
    const apiKey = (fields.api_key ?? '').trim();
    const key = apiKey === '' ? null : new Secret(apiKey);
    const running = this.#creating.get(repeatKey);
    if (running) {
      assertRepeated(running.params === params && isSameKey(running.key, key));
      return running.done;
    }
    const earlier = this.#deps.records.createdBy(repeatKey);
    if (earlier) {
      // What key it was made with is known until it is changed.
      const isSame = earlier.revision > 1 || isSameKey(this.#keyOf(earlier), key);
      assertRepeated(earlier.request?.params === params && isSame);
      return this.#describe(earlier);
    }
    const done = this.#create(fields, { key: repeatKey, params });
    this.#creating.set(repeatKey, { params, key, done });
    try {
      return await done;
    } finally {
      this.#creating.delete(repeatKey);
    }
  }

  async #create(
    params: Omit<CredentialCreateParams, 'idempotency_key' | 'organization'>,
    request?: CreationRequest,
  ): Promise<Credential> {
    const provider = this.#supported(params.provider);
    const accountKey = checkAccountKey(params.account_key);
    const apiKey = checkApiKey(params.api_key);
    const fields = {
      provider: provider.name,
      displayName: checkDisplayName(params.display_name) || accountKey,
      baseUrl: this.#checkBaseUrl(params.base_url),
      active: params.active ?? true,
      ...(request === undefined ? {} : { request }),
    };
    const created =
      apiKey === null
        ? await this.#deps.records.create({ ...fields, accountKey, keyId: null })
        : await this.#deps.writer.alone((change) => this.#createWithKey(change, fields, apiKey, accountKey));
    return this.#changed(created, 'created', Object.keys(params));
  }

  /**
   * Adds a key under a free name: `default`, else the number of its variable.
   *
   * @throws AipassError CONFLICT for a key that is there already, naming its variable; BAD_REQUEST
   * for an unusual shape and PROVIDER_REJECTED for a key that the provider does not accept, both
   * unless `force` is set.
   */
  async add(
    { provider: name, force = false, ...params }: CredentialAddParams,
    signal: AbortSignal,
  ): Promise<Credential> {
    const provider = this.#supported(name);
    const apiKey = checkApiKey(params.api_key);
    if (apiKey === null) throw badKey('is missing');
    const key = new Secret(apiKey);
    const holder = this.#holderOf(key);
    if (holder !== undefined) throw alreadyHeld(holder);
    if (!force) {
      const suspicion = suspicionOf(provider, key);
      if (suspicion !== undefined) {
        const owner = foreignOwnerOf(provider, key);
        const isKnown = owner !== undefined && this.#deps.providers.find(owner) !== undefined;
        throw new AipassError('BAD_REQUEST', `api_key: ${suspicion}`, {
          hint: isKnown ? `run: aipassd add ${owner}` : 'copy it again, or add it with --force',
        });
      }
      const subject = { accountKey: '', provider, key, keyId: null, seenWindows: [] };
      const { refusedStatus } = await fetchCredentialUsage(subject, { clock: this.#deps.clock, signal });
      if (refusedStatus !== null) {
        throw new AipassError('PROVIDER_REJECTED', `${name} does not accept this key (${refusedStatus})`, {
          hint: 'copy it again, or add it with --force',
        });
      }
    }
    const added = await this.#addKey(
      name,
      key,
      params.account_key === undefined ? undefined : checkAccountKey(params.account_key),
    );
    if (added.kind === 'held') throw alreadyHeld(added.keyId);
    return added.credential;
  }

  /** Takes over the keys of any project's `.env` that are not there yet. */
  async import({ text, dry_run: dryRun = false }: CredentialImportParams): Promise<CredentialImportReport> {
    const { vault, providers } = this.#deps;
    const { keys, skipped } = findKeys(text, providers.names(), vault.keys());
    const imported: ImportedKey[] = [];
    for (const { provider, variable, value, knownAs } of keys) {
      const added = knownAs !== null || dryRun ? null : await this.#addKey(provider, value);
      imported.push({
        provider,
        variable,
        masked: maskKey(value),
        known_as: added?.kind === 'held' ? added.keyId : knownAs,
        key_id: added?.kind === 'added' ? added.credential.key_id : null,
      });
    }
    return { keys: imported, skipped };
  }

  /**
   * Changes a credential. Its revision and its time of change move with every call.
   *
   * @throws AipassError NOT_FOUND, CONFLICT for another revision, BAD_REQUEST for bad fields.
   */
  async update({ id, if_revision: revision, ...params }: CredentialUpdateParams): Promise<Credential> {
    assertRevision(this.#record(id), revision);
    const apiKey = params.api_key === '' ? '' : checkApiKey(params.api_key);
    const displayName = checkDisplayName(params.display_name);
    const changeOf = (record: CredentialRecord): RecordChange => ({
      ...(displayName === null ? {} : { displayName: displayName === '' ? record.accountKey : displayName }),
      ...(params.base_url === null || params.base_url === undefined
        ? {}
        : { baseUrl: this.#checkBaseUrl(params.base_url) }),
      ...(params.active === null || params.active === undefined ? {} : { active: params.active }),
    });
    const updated = await this.#setKey(id, apiKey, (record) => {
      assertRevision(record, revision);
      const change = changeOf(record);
      const movesKey = change.baseUrl !== undefined && change.baseUrl !== record.baseUrl;
      if (movesKey && apiKey === null && this.#keyOf(record) !== null) {
        // Whoever may change an address but not see the key could send the key to himself.
        throw new AipassError('BAD_REQUEST', 'base_url: a new address needs the key along', {
          hint: 'send api_key together with base_url',
        });
      }
      return change;
    });
    const fields = [...Object.keys(changeOf(updated)), ...(apiKey === null ? [] : ['api_key'])];
    return this.#changed(updated, 'updated', fields);
  }

  /** Replaces the key once the provider accepted the new one; on any failure the old stays. */
  async rotate(
    { id, api_key: apiKey, if_revision: revision }: CredentialRotateParams,
    signal: AbortSignal,
  ): Promise<Credential> {
    const record = this.#record(id);
    assertRevision(record, revision);
    const next = checkApiKey(apiKey);
    if (next === null)
      throw new AipassError('BAD_REQUEST', 'api_key: the new key is missing', { hint: 'send api_key' });
    const provider = this.#supported(record.provider);
    const { usage, refusedStatus } = await this.#ask(provider, record, new Secret(next), signal);
    if (refusedStatus !== null) {
      throw new AipassError('PROVIDER_REJECTED', `${record.provider} does not accept the new key (${refusedStatus})`, {
        hint: 'the old key stays; copy the new one again',
      });
    }
    if (!usage.reachable && isProvable(provider)) {
      throw new AipassError('PROVIDER_UNAVAILABLE', `the new key cannot be tested: ${usage.error ?? 'no answer'}`, {
        hint: 'the old key stays; try again later',
      });
    }
    const rotated = await this.#setKey(record.id, next, (current) => {
      assertRevision(current, revision);
      return {};
    });
    return this.#changed(rotated, 'updated', ['api_key']);
  }

  /** Returns a provider with the addresses of a key's credential, where it has a base URL. */
  addressed(provider: Provider, key: Pick<ApiKey, 'keyId' | 'value'>): Provider {
    return withBaseUrl(provider, this.#deps.records.of(key)?.baseUrl ?? null, this.#lookup);
  }

  /** Returns whether the credential of a key is switched off. */
  isOff(key: Pick<ApiKey, 'keyId' | 'value'>): boolean {
    return this.#deps.records.of(key)?.active === false;
  }

  /** Removes the record and its variable. Throws NOT_FOUND, CONFLICT for another revision. */
  async delete({ id, if_revision: revision }: CredentialDeleteParams): Promise<void> {
    const { records, writer } = this.#deps;
    const described = await writer.alone(async (change) => {
      const record = this.#record(id);
      assertRevision(record, revision);
      const { keyId } = record;
      const before = this.#describe(record);
      // First the key: one without its record would go to another address than its own.
      if (keyId !== null) await change((text) => ({ edit: removeVariable(text, keyId), result: undefined }));
      records.remove(record.id);
      await records.persist();
      return before;
    });
    this.#forget(described.id);
    this.#deps.onChange(described, 'deleted', []);
  }

  /**
   * Asks the provider about a credential that is not saved; changes and caches nothing. A sample is
   * taken where nothing else proves the key.
   */
  async test(params: CredentialTestParams, takeSample: TakeSample, signal: AbortSignal): Promise<CredentialUsage> {
    const provider = this.#supported(params.provider);
    const accountKey = (params.account_key ?? '').trim();
    const apiKey = checkApiKey(params.api_key, 1);
    const subject = {
      accountKey: accountKey === '' ? 'test' : accountKey,
      provider: withBaseUrl(provider, this.#checkBaseUrl(params.base_url), this.#lookup),
      key: apiKey === null ? null : new Secret(apiKey),
      keyId: null,
      seenWindows: [],
    };
    const { usage } = await fetchCredentialUsage(subject, {
      clock: this.#deps.clock,
      signal,
      takeSample: isProvable(provider) ? undefined : takeSample,
    });
    return usage;
  }

  /**
   * Returns what the provider reports about a credential, from a cache of 60 s (10 s for failures).
   * There is one request for all who ask at once. `refresh` asks anew, at most every 5 s. With
   * `takeSample` a paid sample is taken, and the answer never comes from the cache.
   */
  async usage(
    id: string,
    { refresh = false, takeSample }: { readonly refresh?: boolean; readonly takeSample?: TakeSample | undefined },
    signal: AbortSignal,
  ): Promise<CredentialUsage> {
    const found = this.#record(id);
    const key = this.#keyOf(found);
    const record =
      (key !== null && found.keyId !== null && this.#deps.records.of({ keyId: found.keyId, value: key })) || found;
    const known = this.#reports.get(record.id);
    const now = this.#deps.clock.now();
    if (known && !takeSample && known.revision === record.revision && isSameKey(known.key, key)) {
      const isUnderWay = known.until === Number.POSITIVE_INFINITY;
      if (isUnderWay || (known.until > now && !refresh)) return withSignal(known.usage, signal);
    }
    if (refresh) this.#limitRefresh(record.id, now);
    const usage = this.#fetch(record, key, takeSample);
    const report: UsageReport = { revision: record.revision, key, usage, until: Number.POSITIVE_INFINITY };
    if (!takeSample) this.#reports.set(record.id, report);
    usage.then(
      ({ reachable }) => {
        report.until = this.#deps.clock.now() + (reachable ? USAGE_CACHE_MS : FAILURE_CACHE_MS);
        if (takeSample) this.#reports.set(record.id, report);
      },
      () => {
        // The failure of a key that was changed must not end the report of its successor.
        if (this.#reports.get(record.id) === report) this.#reports.delete(record.id);
      },
    );
    return withSignal(usage, signal);
  }

  /** Gives keys that appeared in `.env` their records. */
  sync(): void {
    const { records, vault } = this.#deps;
    records.sync(vault.keys(), vault.isEnvWhole());
  }

  async #fetch(
    record: CredentialRecord,
    key: Secret | null,
    takeSample: TakeSample | undefined,
  ): Promise<CredentialUsage> {
    const { pools } = this.#deps;
    const provider = this.#supported(record.provider);
    const revision = record.keyId === null ? undefined : pools.keyOf(record.provider, record.keyId)?.revision;
    const finding = await this.#ask(provider, record, key, new AbortController().signal, takeSample);
    const { usage, refusedStatus, accepted } = finding;
    if (record.keyId !== null && revision !== undefined && (accepted || refusedStatus !== null)) {
      const verdict = refusedStatus === null ? 'valid' : 'invalid';
      pools.checked(record.provider, record.keyId, revision, verdict, refusedStatus ?? 200);
    }
    return usage;
  }

  #ask(
    provider: Provider,
    record: CredentialRecord,
    key: Secret | null,
    signal: AbortSignal,
    takeSample?: TakeSample,
  ): Promise<UsageFinding> {
    const { keyId } = record;
    const subject = {
      accountKey: record.accountKey,
      provider: withBaseUrl(provider, record.baseUrl, this.#lookup),
      key,
      keyId,
      seenWindows: keyId === null ? [] : [...(this.#deps.pools.keyOf(record.provider, keyId)?.windows.values() ?? [])],
    };
    return fetchCredentialUsage(subject, { clock: this.#deps.clock, signal, takeSample });
  }

  #limitRefresh(id: string, now: number): void {
    const before = this.#forcedAt.get(id);
    if (before !== undefined && now - before < REFRESH_EVERY_MS) {
      const retryAfterMs = REFRESH_EVERY_MS - (now - before);
      throw new AipassError('BAD_REQUEST', 'refresh: this credential was refreshed a moment ago', {
        hint: `try again in ${Math.ceil(retryAfterMs / 1000)} s, or leave out refresh`,
        retryAfterMs,
      });
    }
    this.#forcedAt.set(id, now);
  }

  /** Adds a key unless a variable holds it, which is decided under the writer's lock. */
  async #addKey(provider: string, key: Secret, accountKey?: string): Promise<AddOutcome> {
    const fields = { provider, baseUrl: null, active: true };
    const added = await this.#deps.writer.alone(async (change) => {
      const holder = this.#holderOf(key);
      return holder ?? (await this.#createWithKey(change, fields, key.reveal(), accountKey));
    });
    if (typeof added === 'string') return { kind: 'held', keyId: added };
    return { kind: 'added', credential: this.#changed(added, 'created', ['api_key']) };
  }

  /** Returns the variable that holds a key. */
  #holderOf(key: Secret): string | undefined {
    return this.#deps.vault.keys().find(({ value }) => value.equals(key))?.keyId;
  }

  /**
   * Creates a record with a key under the given account key, else under the first free one. It is
   * shown by that name where it has no other.
   */
  #createWithKey(
    change: ChangeEnv,
    fields: Omit<NewRecord, 'keyId' | 'accountKey' | 'displayName'> & { readonly displayName?: string },
    apiKey: string,
    accountKey?: string,
  ): Promise<CredentialRecord> {
    const { records } = this.#deps;
    const { provider } = fields;
    return this.#writeKey(change, async (text) => {
      if (accountKey !== undefined) records.assertFree(provider, accountKey);
      const keyId = freeVariable(text, provider, records.variables());
      const edit = setVariable(text, keyId, apiKey);
      if (edit.kind === 'refused') return { edit, result: null };
      const name = accountKey ?? records.freeAccountKey({ provider, keyId });
      const record = { displayName: name, ...fields, accountKey: name, keyId };
      return { edit, result: await records.stageNew(record, new Secret(apiKey)) };
    });
  }

  /** Changes a record, and sets its key, removes it with '' or leaves it with null. */
  #setKey(
    id: string,
    apiKey: string | null,
    changeOf: (record: CredentialRecord) => RecordChange,
  ): Promise<CredentialRecord> {
    const { records, writer } = this.#deps;
    return writer.alone(async (changeEnv) => {
      const record = this.#record(id);
      const change = changeOf(record);
      if (apiKey !== null && apiKey !== '') {
        return this.#writeKey(changeEnv, async (text) => {
          const keyId = record.keyId ?? freeVariable(text, record.provider, records.variables());
          const edit = setVariable(text, keyId, apiKey);
          if (edit.kind === 'refused') return { edit, result: null };
          return { edit, result: await records.stage(record.id, { ...change, keyId }, new Secret(apiKey)) };
        });
      }
      const { keyId } = record;
      if (apiKey === '' && keyId !== null) {
        await changeEnv((text) => ({ edit: removeVariable(text, keyId), result: undefined }));
      }
      return records.update(record.id, change);
    });
  }

  /**
   * Writes the key of a record that `stage` saves first, so that no crash leaves a key without its
   * address. Returns the record that holds with what `.env` has then.
   */
  async #writeKey(
    change: ChangeEnv,
    stage: (text: string) => Promise<EnvDecision<CredentialRecord | null>>,
  ): Promise<CredentialRecord> {
    const { records, vault } = this.#deps;
    const staged: CredentialRecord[] = [];
    const settle = (): CredentialRecord | undefined =>
      staged.map((record) => records.settle(record.id, this.#keyOf(record))).at(-1);
    try {
      await change(async (text) => {
        const decision = await stage(text);
        if (decision.result) staged.push(decision.result);
        return decision;
      });
    } catch (error) {
      // A write that failed at its end may have put the key in place all the same.
      await vault.load().catch(() => {});
      settle();
      this.sync();
      throw error;
    }
    const record = settle();
    if (record) return record;
    this.sync();
    throw new AipassError('CONFLICT', '.env was changed by another program at the same moment', { hint: 'try again' });
  }

  #changed(record: CredentialRecord, change: 'created' | 'updated', fields: readonly string[]): Credential {
    this.#forget(record.id);
    this.#deps.pools.keysChanged();
    const credential = this.#describe(record);
    this.#deps.onChange(credential, change, fields);
    return credential;
  }

  #forget(id: string): void {
    this.#reports.delete(id);
    this.#forcedAt.delete(id);
  }

  #record(id: string): CredentialRecord {
    const record = this.#deps.records.find(id);
    if (!record) throw notFound();
    return record;
  }

  #keyOf(record: CredentialRecord): Secret | null {
    const key = this.#deps.vault.keys(record.provider).find(({ keyId }) => keyId === record.keyId);
    return key?.value ?? null;
  }

  #supported(name: string): Provider {
    const { providers } = this.#deps;
    const provider = providers.find(name);
    if (provider) return provider;
    const known = [...providers.names()].toSorted().map((one) => `'${one}'`);
    const near = nearestProvider(plainText(name, 64), providers.names());
    const meant = near === undefined ? '' : `did you mean "${near}"? Else `;
    // Any name may have a key there, and makes a pool.
    const writing = /^[a-z][a-z0-9-]{0,63}$/.test(name) ? `write ${variableOf(name)}=… into the .env file, or ` : '';
    throw new AipassError('UNSUPPORTED', `Unsupported provider '${name}'. Supported: [${known.join(', ')}]`, {
      hint: `${meant}${writing}describe a provider of your own under "providers" in the configuration`,
    });
  }

  #checkBaseUrl(baseUrl: string | null | undefined): string | null {
    const text = (baseUrl ?? '').trim();
    return text === '' ? null : checkCredentialUrl(text, this.#deps.allowedHosts());
  }

  #describe(record: CredentialRecord, key = this.#keyOf(record)): Credential {
    const value = key?.reveal() ?? '';
    return {
      id: record.id,
      organization_id: this.#deps.organizationId,
      provider: record.provider,
      account_key: record.accountKey,
      display_name: record.displayName,
      api_key_last_four: value.length >= 4 ? value.slice(-4) : null,
      has_api_key: key !== null,
      base_url: record.baseUrl,
      active: record.active,
      created_at: new Date(record.createdAt).toISOString(),
      updated_at: new Date(record.updatedAt).toISOString(),
      revision: record.revision,
      key_id: record.keyId,
    };
  }
}

/** Absent and of another organization are the same error. */
function notFound(): AipassError {
  return new AipassError('NOT_FOUND', 'Not Found', { hint: 'aipassd credential list shows what there is' });
}

/** Throws unless a request with an Idempotency-Key is the one that came with it before. */
function assertRepeated(isSame: boolean): void {
  if (isSame) return;
  throw new AipassError('CONFLICT', 'this Idempotency-Key was used for another request', {
    hint: 'choose another key',
  });
}

function assertRevision(record: CredentialRecord, wanted: IfRevision | undefined): void {
  if (wanted === undefined || [wanted].flat().includes(record.revision)) return;
  throw new AipassError('CONFLICT', `the credential changed meanwhile (its revision is ${record.revision})`, {
    hint: 'read it again, then repeat the change',
  });
}

/** Returns the account key without blanks around it, in composed form. Throws BAD_REQUEST. */
function checkAccountKey(text: string): string {
  const accountKey = text.normalize('NFC').trim();
  // Invisible characters would make two names appear the same; half a surrogate pair is not a
  // character.
  if (accountKey !== '' && accountKey.length <= 128 && !/[\p{C}\p{Zl}\p{Zp}]/u.test(accountKey)) return accountKey;
  throw new AipassError('BAD_REQUEST', 'account_key: needs 1 to 128 printable characters', { hint: 'choose a name' });
}

function checkDisplayName(text: string | null | undefined): string | null {
  if (text === null || text === undefined) return null;
  if (text.length <= 256 && !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(text)) return text.trim();
  throw new AipassError('BAD_REQUEST', 'display_name: needs at most 256 printable characters', {
    hint: 'choose a shorter name',
  });
}

/** Returns whether a free endpoint proves a key; else only a paid call can. */
function isProvable({ keyCheck, modelsUrl, modelsArePublic }: Provider): boolean {
  return keyCheck !== null || (modelsUrl !== null && !modelsArePublic);
}

function alreadyHeld(keyId: string): AipassError {
  return new AipassError('CONFLICT', `${keyId} already holds this key`, { hint: 'nothing needs to be done' });
}

function badKey(problem: string): AipassError {
  return new AipassError('BAD_REQUEST', `api_key: ${problem}`, { hint: "copy the key again from the provider's page" });
}

/** Returns the key, or null where none was given. Throws BAD_REQUEST without quoting it. */
function checkApiKey(text: string | null | undefined, minLength = MIN_KEY_LENGTH): string | null {
  if (text === null || text === undefined || text === '') return null;
  const key = text.trim();
  if (key === '') throw badKey('holds nothing but blanks');
  const problem = whyNoKey(key);
  if (problem !== undefined) throw badKey(problem);
  if (key.length < minLength) throw badKey(`has fewer than ${minLength} characters`);
  if (key.length > MAX_KEY_LENGTH) throw badKey(`has more than ${MAX_KEY_LENGTH} characters`);
  return key;
}

function isSameKey(a: Secret | null, b: Secret | null): boolean {
  return a === null || b === null ? a === b : a.equals(b);
}

/** Rejects when the signal aborts; what is under way goes on for others. */
async function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const ended = new AbortController();
  const aborted = once(signal, 'abort', { signal: ended.signal }).then(() => signal.throwIfAborted());
  // Ending the wait for the abort rejects it; nobody is interested then.
  aborted.catch(() => {});
  try {
    signal.throwIfAborted();
    await Promise.race([promise, aborted]);
    return await promise;
  } finally {
    ended.abort();
  }
}
