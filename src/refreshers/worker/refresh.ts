/**
 * Renews one account's token: under its lock, from its file, into its file.
 *
 * A refresh token is sent only while the lock is held and room for its successor is set aside. What
 * was granted is written only while the file still holds the grant it came from; else the file
 * wins. New tokens are on disk before anyone hears of them.
 */

import { reserveFile, writeFileAtomic } from '../../base/atomic-write.ts';
import { AipassError } from '../../base/errors.ts';
import type { FileLock } from '../../base/file-lock.ts';
import { foregroundClock, type Clock } from '../../base/clock.ts';
import { delay } from '../../base/timers.ts';
import {
  accessTag,
  accountBasis,
  accountSignature,
  acquireLock,
  formatWithRefreshToken,
  formatWithTokens,
  lockPath,
  readAccountFile,
  type AccountFile,
  type AccountReading,
  type GrantedTokens,
} from '../account-file.ts';
import { providerOf } from '../account-name.ts';
import { explainMissingToken, explainWriteFailure } from '../messages.ts';
import type { JobAccount, MintedToken, RefreshOutcome, WorkerJob } from './job.ts';
import { missingScopes } from '../provider-presets.ts';
import { openClient, serviceAccountScopes, type OAuthClient, type WorkerDeps } from './client.ts';
import type { GrantAnswer, Unusable } from './token-answer.ts';

/**
 * Longest wait of a worker for its predecessor's lock, in milliseconds: longer than that one can
 * wait for its answers.
 */
const LOCK_WAIT_MS = 150_000;

/**
 * Waits before a refused account's file is read again, in milliseconds: another program may have
 * just rotated it.
 */
const REREAD_MS = [25, 50, 100] as const;

/**
 * Room that is set aside before an exchange, in bytes: more than an ordinary account's file needs.
 */
const RESERVED_BYTES = 64 * 1024;

/**
 * Waits before a failed write is tried again, in milliseconds: a full disk is often full for a
 * moment only.
 */
const WRITE_RETRY_MS = [200, 1_000, 3_000] as const;

/**
 * Interval of the tries of a write that keeps failing, in milliseconds, and for how long they go
 * on.
 */
const LATE_RETRY_MS = 5_000;
export const LATE_LIMIT_MS = 3_600_000;

/** Result of a refresh job. */
export interface RefreshResult {
  readonly outcome: RefreshOutcome;
  /** Token itself where there is no file to put it. */
  readonly minted?: MintedToken;
}

/** Does a refresh job. Every expected end is an outcome. */
export async function refreshAccount(
  job: Extract<WorkerJob, { kind: 'refresh' }>,
  deps: WorkerDeps,
): Promise<RefreshResult> {
  const { file } = job.account;
  let lock: FileLock | undefined;
  let room: Reservation | undefined;
  try {
    try {
      lock = await acquireLock(lockPath(file), LOCK_WAIT_MS);
      if (lock !== undefined) room = await reserveRoom(file, deps.clock);
    } catch (error) {
      return { outcome: { kind: 'unusable', ...explainWriteFailure(file, error) } };
    }
    if (lock === undefined || room === undefined) {
      const reason = 'another process is refreshing this account and does not finish';
      return { outcome: { kind: 'transient', cause: 'server', reason } };
    }
    return await refreshLocked(job, deps, room);
  } finally {
    await room?.release();
    await lock?.release();
  }
}

async function refreshLocked(
  job: Extract<WorkerJob, { kind: 'refresh' }>,
  deps: WorkerDeps,
  room: Reservation,
): Promise<RefreshResult> {
  const signature = await accountSignature(job.account);
  const client = await openClient(job.account, deps);
  if (client.kind === 'unusable') return { outcome: client };
  const { file } = client;
  if (file === null || client.basis !== job.basis || accessTag(file) !== job.tag) {
    return { outcome: { kind: 'superseded' } };
  }
  let answer = await renew(client);
  if (answer.kind === 'rejected') {
    if (await changesSoon(job.account, signature)) return { outcome: { kind: 'superseded' } };
    answer = await renew(client);
  }
  const save: Save = { client, before: file, room, deps };
  switch (answer.kind) {
    case 'granted':
      if (file.form === 'service-account') return mint(client, answer.tokens, deps.clock.now());
      return { outcome: await saveTokens(save, answer.tokens, deps.clock.now()) };
    case 'unfit': {
      const { reason, remedy, refreshToken } = answer;
      const outcome = refreshToken === null ? null : await saveRefreshToken(save, refreshToken);
      return { outcome: outcome ?? { kind: 'unusable', unsupported: true, reason, remedy } };
    }
    default:
      return { outcome: answer };
  }
}

/** Asks the provider for a new access token by the grant that the account has. */
async function renew(client: OAuthClient): Promise<GrantAnswer> {
  const { file, settings } = client;
  const refreshToken = file?.refreshToken ?? null;
  if (client.kind === 'google') {
    const { mintServiceAccountToken, refreshGoogle } = await import('./google.ts');
    if (file?.form === 'service-account') return await mintServiceAccountToken(client, serviceAccountScopes(client));
    return refreshToken === null ? missingRefreshToken(client) : await refreshGoogle(client, refreshToken);
  }
  const { clientCredentialsGrant, refreshGrant } = await import('./oauth.ts');
  if (refreshToken !== null) return await refreshGrant(client, refreshToken);
  if (settings.clientCredentials !== true) return missingRefreshToken(client);
  return await clientCredentialsGrant(client, file?.requestedScopes ?? settings.scopes ?? []);
}

function missingRefreshToken({ account }: OAuthClient): Unusable {
  return {
    kind: 'unusable',
    reason: 'the account has no refresh token',
    remedy: explainMissingToken(account.name, true).remedy,
  };
}

/** Returns whether the account's files change within the next moments. */
async function changesSoon(account: JobAccount, signature: string): Promise<boolean> {
  for (const wait of REREAD_MS) {
    await delay(foregroundClock, wait);
    if ((await accountSignature(account)) !== signature) return true;
  }
  return false;
}

function mint(client: OAuthClient, tokens: GrantedTokens, now: number): RefreshResult {
  const expiresAt = tokens.expiresIn === undefined ? null : now + tokens.expiresIn * 1000;
  if (tokens.expiresIn === 0) return { outcome: EXPIRED_AT_BIRTH };
  return {
    outcome: { kind: 'refreshed', rotated: false, lostScopes: [] },
    minted: { accessToken: tokens.accessToken.reveal(), expiresAt, scopes: serviceAccountScopes(client) },
  };
}

const EXPIRED_AT_BIRTH: RefreshOutcome = {
  kind: 'transient',
  cause: 'server',
  reason: 'the provider gave a token that has expired already',
};

/** What tokens are saved with. */
interface Save {
  readonly client: OAuthClient;
  readonly before: AccountFile;
  readonly room: Reservation;
  readonly deps: WorkerDeps;
}

async function saveTokens(save: Save, tokens: GrantedTokens, obtainedAt: number): Promise<RefreshOutcome> {
  const failure = await write(save, (file) => formatWithTokens(file, tokens, obtainedAt));
  if (failure !== null) return failure;
  if (tokens.expiresIn === 0) return EXPIRED_AT_BIRTH;
  const { before, client } = save;
  const { name } = client.account;
  const provider = providerOf(name);
  return {
    kind: 'refreshed',
    rotated: tokens.refreshToken !== undefined && before.refreshToken?.equals(tokens.refreshToken) !== true,
    lostScopes: tokens.scopes === undefined ? [] : missingScopes(provider, tokens.scopes, before.scopes),
  };
}

/**
 * Saves a refresh token whose access token cannot be used: the one before it may be spent. Returns
 * why it could not, or null.
 */
async function saveRefreshToken(
  save: Save,
  refreshToken: GrantedTokens['accessToken'],
): Promise<RefreshOutcome | null> {
  if (save.before.refreshToken?.equals(refreshToken) === true) return null;
  return await write(save, (file) => formatWithRefreshToken(file, refreshToken));
}

/**
 * Writes an account's file while it still holds the grant that was used. Returns why it could not,
 * or null.
 */
async function write(
  { client, before, room, deps }: Save,
  format: (file: AccountFile) => string,
): Promise<RefreshOutcome | null> {
  const { file, name } = client.account;
  const text = async (): Promise<string | undefined> => {
    const current = await readWhole(name, file, deps.clock);
    if (current.kind === 'missing') return undefined;
    if (current.kind === 'read' && accountBasis(current.account) !== client.basis) return undefined;
    // A file that stays unreadable holds no grant that could win; the new tokens repair it.
    return format(current.kind === 'read' ? current.account : before);
  };
  try {
    const isWritten = await room.write(text, (error) => deps.onUnsaved?.(unsaved(file, error)));
    return isWritten ? null : { kind: 'superseded' };
  } catch (error) {
    return unsaved(file, error);
  }
}

/**
 * Reads an account, a few times where it cannot be used: other programs write their files in place,
 * and may be half through.
 */
async function readWhole(name: string, file: string, clock: Clock): Promise<AccountReading> {
  for (const wait of REREAD_MS) {
    const reading = await readAccountFile(name, file);
    if (reading.kind !== 'unusable' || reading.unsafe) return reading;
    await delay(clock, wait);
  }
  return await readAccountFile(name, file);
}

function unsaved(file: string, error: unknown): RefreshOutcome {
  const { reason, remedy } = explainWriteFailure(file, error);
  return { kind: 'unsaved', reason: `a new token was granted, but ${reason}`, remedy };
}

/** Room on the disk for the tokens to come. */
interface Reservation {
  /**
   * Writes an account's file into the room that was kept. `text` is asked for before each try,
   * because the file may have changed. Where there is none, nothing is written, and the promise
   * resolves with false. A write that fails again and again is reported to `onFailure`, once, and
   * tried for an hour more. Whoever fixes the disk meanwhile has lost nothing. Throws the system's
   * error after that.
   */
  write(text: () => Promise<string | undefined>, onFailure: (error: unknown) => void): Promise<boolean>;
  release(): Promise<void>;
}

/**
 * Proves that an account's folder can be written and reserves room in it. A provider that rotates
 * refresh tokens must not be asked for one that cannot be saved.
 *
 * @throws the system's error.
 */
async function reserveRoom(file: string, clock: Clock): Promise<Reservation> {
  const room = await reserveFile(file, RESERVED_BYTES);
  return {
    release: () => room.release(),
    async write(text, onFailure) {
      const deadline = clock.monotonic() + LATE_LIMIT_MS;
      for (let tries = 1; ; tries++) {
        const content = await text();
        if (content === undefined) return false;
        try {
          await (tries === 1 ? room.write(content) : writeFileAtomic(file, content));
          return true;
        } catch (error) {
          if (tries === WRITE_RETRY_MS.length + 1) onFailure(error);
          if (clock.monotonic() >= deadline) throw error;
        }
        await delay(clock, WRITE_RETRY_MS[tries - 1] ?? LATE_RETRY_MS);
      }
    },
  };
}

/** Proves that the tokens will have a place, before the user is asked for anything. */
export async function proveWritable(file: string, deps: WorkerDeps): Promise<void> {
  try {
    await (await reserveRoom(file, deps.clock)).release();
  } catch (error) {
    const { reason, remedy } = explainWriteFailure(file, error);
    throw new AipassError('INTERNAL', reason, { hint: `${remedy}, then start again`, cause: error });
  }
}
