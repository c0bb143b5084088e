/**
 * A secrets folder with OAuth accounts in it.
 */

import { mkdtempSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Accounts, type AccountsDeps } from '../../src/refreshers/accounts.ts';
import type { Account } from '../../src/refreshers/account.ts';
import type { RefreshOutcome } from '../../src/refreshers/worker/job.ts';
import type { TokenWorker } from '../../src/refreshers/worker-process.ts';
import { ManualClock } from './manual-clock.ts';
import { CLIENT, type OauthServer } from './oauth-server.ts';
import { InProcessWorker } from './in-process-worker.ts';

/** JSON document as tests read it. */
export type Document = Record<string, unknown>;

/** Temporary secrets folder. */
export class AccountFiles implements AsyncDisposable {
  readonly secrets: string = join(mkdtempSync(join(tmpdir(), 'aip-oauth-')), 'aipass');

  /** Writes a file under the folder, mode 0600. */
  async write(name: string, document: unknown): Promise<void> {
    const path = this.path(name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(path, typeof document === 'string' ? document : JSON.stringify(document), { mode: 0o600 });
  }

  /** Reads a file as a document. */
  async read(name: string): Promise<Document> {
    const value: unknown = JSON.parse(await readFile(this.path(name), 'utf8'));
    if (typeof value !== 'object' || value === null) throw new Error(`${name} holds no object`);
    return { ...value };
  }

  /** Lists a folder, hidden files included. */
  async list(folder = '.'): Promise<string[]> {
    return (await readdir(this.path(folder))).toSorted();
  }

  /** Deletes a file. */
  async remove(name: string): Promise<void> {
    await rm(this.path(name));
  }

  path(name: string): string {
    return join(this.secrets, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(dirname(this.secrets), { recursive: true, force: true });
  }
}

/** Returns the document of an account at a test server; more fields win. */
export function oauthDocument(issuer: string, fields: Document = {}): Document {
  return {
    issuer,
    client_id: CLIENT.id,
    client_secret: CLIENT.secret,
    token_endpoint_auth_method: 'client_secret_post',
    scopes: ['read', 'write'],
    ...fields,
  };
}

/** Writes an account that a test server granted into a secrets folder, and returns its file. */
export async function saveGrantedAccount(secrets: string, server: OauthServer): Promise<string> {
  const file = join(secrets, 'oauth', 'test.json');
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const { issuer, ...account } = oauthDocument(server.issuer, { refresh_token: await server.grant() });
  // An endpoint of its own needs no discovery.
  await writeFile(file, JSON.stringify({ token_endpoint: `${String(issuer)}/token`, ...account }), { mode: 0o600 });
  return file;
}

/** Accounts on a clock that the test moves. */
export interface Bench<Worker extends TokenWorker> {
  readonly accounts: Accounts;
  readonly clock: ManualClock;
  readonly worker: Worker;
  readonly outcomes: { readonly account: Account; readonly outcome: RefreshOutcome }[];
}

/** Makes accounts over a folder; `random` is constant, so that nothing but the clock decides. */
export function makeAccounts(
  files: AccountFiles,
  options: Partial<Pick<AccountsDeps, 'config' | 'memories'>> & { readonly random?: number } = {},
): Bench<InProcessWorker> {
  const clock = new ManualClock();
  const worker = new InProcessWorker(clock);
  return { ...makeAccountsWith(files, clock, worker, options), worker };
}

/** Makes accounts over a folder with a given worker. */
export function makeAccountsWith<Worker extends TokenWorker>(
  files: AccountFiles,
  clock: ManualClock,
  worker: Worker,
  options: Partial<Pick<AccountsDeps, 'config' | 'memories'>> & { readonly random?: number } = {},
): Bench<Worker> {
  const outcomes: { account: Account; outcome: RefreshOutcome }[] = [];
  const accounts = new Accounts({
    secrets: files.secrets,
    config: options.config ?? {},
    clock,
    random: () => options.random ?? 0.5,
    worker,
    onOutcome: (account, outcome) => outcomes.push({ account, outcome }),
    onTokens: () => {},
    ...(options.memories === undefined ? {} : { memories: options.memories }),
  });
  return { accounts, clock, worker, outcomes };
}

/** Asks for a token with the defaults of `token.get`. */
export function token(accounts: Accounts, name: string, minValidMs = 60_000, scopes: readonly string[] = []) {
  return Promise.resolve(accounts.token(name, { minValidMs, scopes }));
}
