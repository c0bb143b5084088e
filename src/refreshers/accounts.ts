/**
 * All OAuth accounts of this user: finds their files, hands out their tokens, and looks after them at every tick.
 */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../base/config-schema.ts';
import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { mapConcurrently } from '../base/map-concurrently.ts';
import type { Warning } from '../base/warning.ts';
import type { AccountStatus, TokenValue } from '../protocol/oauth.ts';
import type { AccountMemory } from './account-memory.ts';
import { AccountKeeper, type TokenRequest } from './account-keeper.ts';
import {
  accountPlace,
  googleFileAccount,
  oauthFileAccount,
  parseAccountName,
  printAccountName,
  type AccountName,
} from './account-name.ts';
import type { HeldToken } from './held-token.ts';
import type { RefreshOutcome } from './outcome.ts';
import { PRESETS } from './presets.ts';
import { mergeSettings } from './provider-settings.ts';
import { unknownAccount, type AccountWant } from './unknown-account.ts';
import type { JobAccount } from './worker/job.ts';
import type { TokenWorker } from './worker-process.ts';

/** Is what the accounts work with. */
export interface AccountsParts {
  /** Is the folder of the secrets. */
  readonly secrets: string;
  readonly config: Config['oauth'];
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly worker: TokenWorker;
  /** Is what was remembered of each account when the daemon ended last. */
  readonly memories?: ReadonlyMap<string, AccountMemory>;
  readonly onOutcome: (keeper: AccountKeeper, outcome: RefreshOutcome) => void;
  /** Is told when the set of held tokens changed. */
  readonly onTokens: () => void;
}

/** Bounds how many accounts are renewed at the same time without a caller who waits: each takes a process. */
const MAX_REFRESHES = 8;

/** Bounds how many files are open at once. */
const LOOKS_AT_ONCE = 16;

/** Keeps all accounts. */
export class Accounts {
  readonly #parts: AccountsParts;
  readonly #keepers = new Map<string, AccountKeeper>();
  #folders = '';
  #lookWanted = false;
  #looking = false;

  constructor(parts: AccountsParts) {
    this.#parts = parts;
  }

  /** Finds the accounts that have a file now, and reads those that are new. Accounts whose file went are dropped. */
  async scan(): Promise<void> {
    const { secrets } = this.#parts;
    this.#folders = await folderTimes(secrets);
    const found = new Set([
      ...(await listFolder(secrets)).flatMap((file) => printed(googleFileAccount(file))),
      ...(await listFolder(join(secrets, 'oauth'))).flatMap((file) => printed(oauthFileAccount(file))),
    ]);
    for (const [name, keeper] of this.#keepers) {
      if (found.has(name)) continue;
      keeper.stop();
      this.#keepers.delete(name);
    }
    const fresh = [...found].filter((name) => !this.#keepers.has(name)).map((name) => this.#add(name));
    await mapConcurrently(fresh, LOOKS_AT_ONCE, (keeper) => keeper.look());
    if (fresh.length > 0) this.#parts.onTokens();
  }

  /** Reads the files again that changed: something happened in the folder. One look at a time; a change during one causes another. */
  look(): void {
    this.#lookWanted = true;
    if (!this.#looking) void this.#lookAll();
  }

  /**
   * Releases an access token; in the ordinary case from memory, at once.
   *
   * @throws AipassError NOT_FOUND for an account that there is not, and as AccountKeeper.token does.
   */
  token(name: string, request: TokenRequest): TokenValue | Promise<TokenValue> {
    const held = this.#keepers.get(name)?.heldFor(request);
    return held === undefined ? this.#renewed(name, request) : tokenValue(held);
  }

  /** Returns an account's keeper. @throws AipassError BAD_REQUEST for what is no name, NOT_FOUND where there is no such account. */
  async find(name: string, want: AccountWant = 'existing'): Promise<AccountKeeper> {
    if (parseAccountName(name) === undefined) {
      throw new AipassError('BAD_REQUEST', 'that is no name of an account', {
        hint: 'a name is a provider such as "google", or a provider and an account such as "google.work"',
      });
    }
    if (!this.#keepers.has(name)) await this.scan();
    const keeper = this.#keepers.get(name);
    if (keeper !== undefined) return keeper;
    throw unknownAccount(name, want, [...this.#keepers.keys()], Object.keys(this.#parts.config));
  }

  /** Says everything about an account that a worker needs; the account need not exist yet. */
  describe(name: AccountName): JobAccount {
    const place = accountPlace(this.#parts.secrets, name);
    const configured = Object.hasOwn(this.#parts.config, name.provider) ? this.#parts.config[name.provider] : undefined;
    const preset = Object.hasOwn(PRESETS, name.provider) ? PRESETS[name.provider] : undefined;
    return { name: printAccountName(name), ...place, settings: mergeSettings(configured, preset) };
  }

  /** Looks after every account: renews what is due, reads again what was bad. Costs next to nothing where nothing is to do. */
  async tick(): Promise<void> {
    if ((await folderTimes(this.#parts.secrets)) !== this.#folders) await this.scan();
    const waiting = [...this.#keepers.values()].filter((keeper) => keeper.needsAttention());
    await mapConcurrently(waiting, MAX_REFRESHES, (keeper) => keeper.attend());
  }

  /** Renews all accounts, or the named one, now. */
  async refresh(name?: string): Promise<{ readonly name: string; readonly outcome: RefreshOutcome }[]> {
    await this.scan();
    const keepers = name === undefined ? [...this.#keepers.values()] : [await this.find(name)];
    return await mapConcurrently(keepers, MAX_REFRESHES, async (keeper) => ({
      name: keeper.name,
      outcome: await keeper.refresh(),
    }));
  }

  /** Describes all accounts by name; those that were unwell are read again first, so that no mended one is blamed. */
  async statuses(): Promise<AccountStatus[]> {
    await this.scan();
    const unwell = [...this.#keepers.values()].filter((keeper) => !keeper.isWell());
    await Promise.all(unwell.map((keeper) => keeper.reload()));
    return [...this.#keepers.values()].map((keeper) => keeper.status()).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Returns what is worth remembering of each account over a restart. */
  remember(): Readonly<Record<string, AccountMemory>> {
    const memories = [...this.#keepers].map(([name, keeper]) => [name, keeper.remember()] as const);
    return Object.fromEntries(memories.flatMap(([name, memory]) => (memory === null ? [] : [[name, memory]])));
  }

  /** Lists what is wrong with the accounts' files. */
  warnings(): Warning[] {
    return [...this.#keepers.values()].flatMap((keeper) => keeper.warnings());
  }

  /** Lists the secrets that are held, for the redactor. */
  *secrets(): Generator<string> {
    for (const keeper of this.#keepers.values()) yield* keeper.secrets();
  }

  /** Ends all waiting, looks included; what is under way comes to its end. */
  stop(): void {
    for (const keeper of this.#keepers.values()) keeper.stop();
  }

  async #lookAll(): Promise<void> {
    this.#looking = true;
    try {
      while (this.#lookWanted) {
        this.#lookWanted = false;
        await this.scan();
        await mapConcurrently([...this.#keepers.values()], LOOKS_AT_ONCE, (keeper) => keeper.look());
      }
    } catch {
      // What could not be read now is read at the next tick.
    } finally {
      this.#looking = false;
    }
  }

  async #renewed(name: string, request: TokenRequest): Promise<TokenValue> {
    const keeper = await this.find(name, 'token');
    return tokenValue(await keeper.token(request));
  }

  #add(name: string): AccountKeeper {
    const { clock, random, worker, onOutcome, onTokens } = this.#parts;
    const parsed = parseAccountName(name) ?? { provider: name, account: 'default' };
    const keeper = new AccountKeeper({
      account: this.describe(parsed),
      clock,
      random,
      worker,
      onOutcome,
      onToken: onTokens,
      memory: this.#parts.memories?.get(name),
    });
    this.#keepers.set(name, keeper);
    return keeper;
  }
}

function tokenValue(held: HeldToken): TokenValue {
  const { accessToken, expiresAt, tokenType, scopes } = held.facts;
  return { accessToken: accessToken.reveal(), expiresAt, tokenType, scopes };
}

function printed(name: AccountName | undefined): string[] {
  return name === undefined ? [] : [printAccountName(name)];
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
    [secrets, join(secrets, 'oauth')].map(async (folder) => {
      try {
        return (await stat(folder, { bigint: true })).mtimeNs;
      } catch {
        return 0n;
      }
    }),
  );
  return times.join(' ');
}
