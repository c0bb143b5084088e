/**
 * All OAuth accounts: finds their files, under the secrets folder or where the configuration says,
 * keeps them fresh and describes them.
 *
 * One grant has one refresher: of several files with the same refresh token one is refreshed, and
 * the others are reported.
 */

import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { BoundedMap } from '../base/bounded-map.ts';
import type { Config } from '../base/config-schema.ts';
import type { Clock } from '../base/clock.ts';
import { ABSENT, readFileSignature } from '../base/file-signature.ts';
import { mapConcurrently } from '../base/map-concurrently.ts';
import { plainText } from '../base/plain-text.ts';
import type { Warning } from '../base/warning.ts';
import { OAUTH_FOLDER } from '../credentials/opaque-store.ts';
import type { AccountStatus, TokenValue } from '../protocol/oauth.ts';
import { Account, type TokenRequest } from './account.ts';
import type { AccountMemory } from './account-schema.ts';
import {
  accountFiles,
  formatAccountName,
  mcpAccountName,
  namesMeantBy,
  GOOGLE,
  GOOGLE_CLIENT_FILE,
  googleFileAccount,
  oauthFileAccount,
  originalOfCopy,
  parseAccountName,
  providerOf,
  splitAccountName,
} from './account-name.ts';
import type { HeldToken } from './held-token.ts';
import {
  explainAccountName,
  explainCopyName,
  explainUnusedClient,
  invalidAccountName,
  unknownAccount,
  type AccountPurpose,
} from './messages.ts';
import type { JobAccount, RefreshOutcome } from './worker/job.ts';
import { mergeSettings, PRESETS } from './provider-presets.ts';
import { MAX_WORKERS, type TokenWorker } from './worker-process.ts';

export interface AccountsDeps {
  readonly secrets: string;
  readonly config: Config['oauth'];
  readonly clock: Clock;
  readonly random: () => number;
  readonly worker: TokenWorker;
  /** Memory of each account from the last run. */
  readonly memories?: ReadonlyMap<string, AccountMemory>;
  readonly onOutcome: (account: Account, outcome: RefreshOutcome) => void;
  /** Called when the set of held tokens changed, with every secret that is held now. */
  readonly onTokens: (secrets: Iterable<string>) => void;
}

/** Most files that are open at once. */
const READS_AT_ONCE = 16;

/** Most tags of grants whose account is remembered, those of spent refresh tokens included. */
const MAX_GRANTS = 10_000;

export class Accounts {
  readonly #deps: AccountsDeps;
  readonly #accounts = new Map<string, Account>();
  /**
   * Account of each grant, by the grant's tags; a copy may hold a token that was spent long ago.
   */
  readonly #owners = new BoundedMap<string, string>(MAX_GRANTS);
  #grantsChanged = false;
  /** Warnings about files that belong to no account. */
  #strayFiles: readonly Warning[] = [];
  #folders = '';
  #rescanWanted = false;
  #isRescanning = false;

  constructor(deps: AccountsDeps) {
    this.#deps = deps;
  }

  /**
   * Finds the accounts that have a file now, reads the new ones, and drops those without a file.
   */
  async scan(): Promise<void> {
    const { secrets } = this.#deps;
    this.#folders = await folderTimes(secrets);
    const google = await listFolder(secrets);
    const oauth = await listFolder(join(secrets, OAUTH_FOLDER));
    const copies = [
      ...findCopies(secrets, google, googleFileAccount),
      ...findCopies(join(secrets, OAUTH_FOLDER), oauth, oauthFileAccount),
    ];
    const ignored = new Set(copies.map(({ name }) => name));
    const isOwn = (file: string): boolean => !ignored.has(file);
    const found = new Set([
      ...google.filter(isOwn).flatMap((file) => googleFileAccount(file) ?? []),
      ...oauth.filter(isOwn).flatMap((file) => oauthFileAccount(file) ?? []),
    ]);
    for (const { name, file } of this.#elsewhere()) if ((await readFileSignature(file)) !== ABSENT) found.add(name);
    const isUsed = !google.includes(GOOGLE_CLIENT_FILE) || [...found].some((name) => providerOf(name) === GOOGLE);
    this.#strayFiles = [
      ...copies.map(({ file, original }) => explainCopyName(file, original)),
      ...oauth
        .filter((file) => /^[^.].*\.json$/.test(file) && isOwn(file) && oauthFileAccount(file) === undefined)
        .map((file) => explainAccountName(join(secrets, OAUTH_FOLDER, plainText(file, 128)))),
      ...(isUsed ? [] : [explainUnusedClient(join(secrets, GOOGLE_CLIENT_FILE))]),
    ];
    for (const [name, account] of this.#accounts) {
      if (found.has(name)) continue;
      account.stop();
      this.#accounts.delete(name);
      this.#grantsChanged = true;
    }
    const added = [...found].filter((name) => !this.#accounts.has(name)).map((name) => this.#add(name));
    await mapConcurrently(added, READS_AT_ONCE, (account) => account.rescan());
    for (const account of added) this.#recallCopy(account);
    this.#markCopies();
    if (added.length > 0) this.#deps.onTokens(this.#secrets());
  }

  /** Reads the files again that changed; a change meanwhile causes another reading. */
  rescan(): void {
    this.#rescanWanted = true;
    if (this.#isRescanning) return;
    this.#isRescanning = true;
    // What cannot be read now is read at the next tick.
    const end = (): void => {
      this.#isRescanning = false;
    };
    this.#rescanAll().then(end, end);
  }

  /**
   * Returns an access token; in the ordinary case from memory, at once.
   *
   * @throws AipassError NOT_FOUND for an account that does not exist, and as Account.token does.
   */
  token(name: string, request: TokenRequest): TokenValue | Promise<TokenValue> {
    const held = this.#accounts.get(name)?.heldFor(request);
    return held === undefined ? this.#renewed(name, request) : tokenValue(held);
  }

  /**
   * Returns an account. @throws AipassError BAD_REQUEST for an invalid name, NOT_FOUND where there
   * is no such account.
   */
  async find(name: string, purpose: AccountPurpose = 'existing'): Promise<Account> {
    const names = namesMeantBy(name).flatMap((one) => parseAccountName(one) ?? []);
    if (names.length === 0) throw invalidAccountName(name);
    if (!names.some((one) => this.#accounts.has(one))) await this.scan();
    for (const one of names) {
      const account = this.#accounts.get(one);
      if (account !== undefined) return account;
    }
    throw unknownAccount(name, purpose, [...this.#accounts.keys()], Object.keys(this.#deps.config));
  }

  /** Describes an account as a worker needs it; the account need not exist yet. */
  describe(name: string): JobAccount {
    const { provider, account } = splitAccountName(name);
    const { files = {}, ...configured } = ownEntry(this.#deps.config, provider) ?? {};
    const elsewhere = ownEntry(files, account);
    const settings = mergeSettings(configured, ownEntry(PRESETS, provider));
    const own = accountFiles(this.#deps.secrets, name);
    return { name, ...own, file: elsewhere === undefined ? own.file : expandHome(elsewhere), settings };
  }

  /** Describes the account for an MCP server, named after its host. */
  async describeMcp(server: URL): Promise<JobAccount> {
    await this.scan();
    const taken = this.#accounts.get(mcpAccountName(server))?.mcpServer;
    return this.describe(mcpAccountName(server, taken !== undefined && taken !== server.href));
  }

  /** Renews what is due, reads again what was bad. Costs next to nothing where nothing is to do. */
  async tick(): Promise<void> {
    if ((await folderTimes(this.#deps.secrets)) !== this.#folders) await this.scan();
    for (const { name } of this.#elsewhere()) {
      // Nothing watches files outside the folder of the secrets.
      const account = this.#accounts.get(name);
      if (account === undefined) await this.scan();
      else await account.rescan();
    }
    const waiting = [...this].filter((account) => account.needsAttention());
    await mapConcurrently(waiting, MAX_WORKERS, (account) => account.attend());
    this.#markCopies();
  }

  /**
   * Renews all accounts, or the named one; `isLimited` for who may force only so many refreshes.
   */
  async refresh(
    name?: string,
    isLimited = false,
  ): Promise<{ readonly name: string; readonly outcome: RefreshOutcome }[]> {
    await this.scan();
    const accounts = name === undefined ? [...this] : [await this.find(name)];
    return await mapConcurrently(accounts, MAX_WORKERS, async (account) => ({
      name: account.name,
      outcome: await (isLimited ? account.forceRefresh() : account.refreshNow()),
    }));
  }

  /** Describes all accounts by name; the unwell are read again first, as they may be fixed. */
  async statuses(): Promise<AccountStatus[]> {
    await this.scan();
    const unwell = [...this].filter((account) => !account.isWell());
    await mapConcurrently(unwell, READS_AT_ONCE, (account) => account.reload());
    this.#markCopies();
    return [...this].map((account) => account.status()).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  remember(): Readonly<Record<string, AccountMemory>> {
    const memories = [...this.#accounts].map(([name, account]) => [name, account.remember()] as const);
    return Object.fromEntries(memories.flatMap(([name, memory]) => (memory === null ? [] : [[name, memory]])));
  }

  warnings(): Warning[] {
    return [...[...this].flatMap((account) => account.warnings()), ...this.#strayFiles];
  }

  [Symbol.iterator](): IterableIterator<Account> {
    return this.#accounts.values();
  }

  /** Cancels all planned tries; what is under way comes to its end. */
  stop(): void {
    for (const account of this) account.stop();
  }

  *#secrets(): Generator<string> {
    for (const account of this) yield* account.secrets();
  }

  async #rescanAll(): Promise<void> {
    while (this.#rescanWanted) {
      this.#rescanWanted = false;
      await this.scan();
      await mapConcurrently([...this], READS_AT_ONCE, (account) => account.rescan());
      this.#markCopies();
    }
  }

  async #renewed(name: string, request: TokenRequest): Promise<TokenValue> {
    const account = await this.find(name, 'token');
    return tokenValue(await account.token(request));
  }

  /** Lists the accounts whose files are outside the folder of the secrets. */
  #elsewhere(): readonly JobAccount[] {
    return Object.entries(this.#deps.config).flatMap(([provider, { files = {} }]) =>
      Object.keys(files).map((account) => this.describe(formatAccountName(provider, account))),
    );
  }

  #add(name: string): Account {
    const { clock, random, worker, onOutcome, onTokens } = this.#deps;
    const account = new Account({
      account: this.describe(name),
      clock,
      random,
      worker,
      onOutcome: (changed, outcome) => {
        this.#markCopies();
        onOutcome(changed, outcome);
      },
      onToken: () => onTokens(this.#secrets()),
      onGrant: () => {
        this.#grantsChanged = true;
      },
      memory: this.#deps.memories?.get(name),
    });
    this.#accounts.set(name, account);
    return account;
  }

  /** Takes over that an account was a copy at the last end, if its file is still the same. */
  #recallCopy(account: Account): void {
    const copyOf = this.#deps.memories?.get(account.name)?.copyOf;
    if (copyOf?.stamp !== account.signature) return;
    for (const tag of account.grantTags) this.#owners.set(tag, copyOf.name);
  }

  /**
   * Decides whose a grant is: the first that held it, of several the one with the shortest name.
   */
  #markCopies(): void {
    if (!this.#grantsChanged) return;
    this.#grantsChanged = false;
    const byName = [...this].toSorted((a, b) => a.name.length - b.name.length || (a.name < b.name ? -1 : 1));
    for (const account of byName) {
      const owner = account.grantTags
        .map((tag) => this.#accounts.get(this.#owners.get(tag) ?? ''))
        .find((other) => other !== undefined && other !== account);
      if (owner === undefined) for (const tag of account.grantTags) this.#owners.set(tag, account.name);
      account.copyOf = owner ?? null;
    }
  }
}

function expandHome(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}

/** Returns an entry of a record by a name from outside. */
function ownEntry<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/**
 * Finds the files that are named like a copy of an account's file. A name that can be an account's
 * own counts only beside the original.
 */
function findCopies(
  folder: string,
  names: readonly string[],
  accountOf: (fileName: string) => string | undefined,
): { readonly name: string; readonly file: string; readonly original: string }[] {
  const all = new Set(names);
  return names.flatMap((name) => {
    const original = originalOfCopy(name);
    if (original === undefined || accountOf(original) === undefined) return [];
    if (!all.has(original) && !name.includes('.sync-conflict-')) return [];
    return [{ name, file: join(folder, name), original: join(folder, original) }];
  });
}

function tokenValue({ accessToken, expiresAt, tokenType, scopes }: HeldToken): TokenValue {
  return { accessToken: accessToken.reveal(), expiresAt, tokenType, scopes };
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    // A folder that is missing or closed holds no account; the vault reports what is wrong with it.
    return [];
  }
}

/** Returns a text that changes when a file appears in, or goes from, a folder of accounts. */
async function folderTimes(secrets: string): Promise<string> {
  const times = await Promise.all(
    [secrets, join(secrets, OAUTH_FOLDER)].map(async (folder) => {
      try {
        return (await stat(folder, { bigint: true })).mtimeNs;
      } catch {
        return 0n;
      }
    }),
  );
  return times.join(' ');
}
