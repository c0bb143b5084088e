/**
 * Renews one account's token: under its lock, from its file, into its file.
 *
 * A refresh token is sent only while the lock is held and room for its successor is set aside. What
 * was granted is written only while the file still holds the grant it came from; else the file
 * wins. New tokens are on disk before anyone hears of them.
 */

import { reserveFile, writeFileAtomic, type ReservedFile } from '../../base/atomic-write.ts';
import type { FileLock } from '../../base/file-lock.ts';
import { foregroundClock, type Clock } from '../../base/clock.ts';
import { delay } from '../../base/timers.ts';
import {
  accessTag,
  accountBasis,
  accountSignature,
  formatWithRefreshToken,
  formatWithTokens,
  lockAccount,
  readAccountFile,
  type AccountFile,
  type AccountReading,
  type GrantedTokens,
} from '../account-file.ts';
import { providerOf } from '../account-name.ts';
import { consentErrors, explainMissingToken, explainUnsaved, explainWriteFailure } from '../messages.ts';
import type { JobAccount, RefreshOutcome, WorkerJob, WorkerReport } from './job.ts';
import { missingScopes } from '../provider-presets.ts';
import { openClient, type OAuthClient, type WorkerDeps } from './client.ts';
import { loadLibrary } from './library.ts';
import type { GrantAnswer } from './token-answer.ts';

/** Longest wait for a predecessor's lock, in milliseconds. */
const LOCK_WAIT_MS = 150_000;

/** Waits before a refused account's file is read again: another program may have rotated it. */
const REREAD_MS = [25, 50, 100] as const;

/** Room that is set aside before an exchange, in bytes. */
const RESERVED_BYTES = 64 * 1024;

/** Waits before a failed write is tried again: a disk is often full for a moment only. */
const WRITE_RETRY_MS = [200, 1_000, 3_000] as const;

/** Interval and duration of further tries, in milliseconds. */
const LATE_RETRY_MS = 5_000;
export const LATE_LIMIT_MS = 3_600_000;

/** Result of a refresh job: the outcome, and a token that has no file to be put into. */
export type RefreshReport = Omit<Extract<WorkerReport, { kind: 'outcome' }>, 'kind'>;

/** Does a refresh job. Every expected end is an outcome. */
export async function refreshAccount(
  job: Extract<WorkerJob, { kind: 'refresh' }>,
  deps: WorkerDeps,
): Promise<RefreshReport> {
  const { file } = job.account;
  let lock: FileLock | undefined;
  let room: ReservedFile | undefined;
  try {
    try {
      lock = await lockAccount(file, LOCK_WAIT_MS);
      if (lock !== undefined) room = await reserveFile(file, RESERVED_BYTES);
    } catch (error) {
      return { outcome: { kind: 'unusable', ...explainWriteFailure(file, error) } };
    }
    if (room === undefined) {
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
  room: ReservedFile,
): Promise<RefreshReport> {
  const signature = await accountSignature(job.account);
  const client = await openClient(job.account, deps);
  if (client.kind === 'unusable') return { outcome: client };
  const { file } = client;
  if (file === null || accountBasis(file) !== job.basis || accessTag(file) !== job.tag) {
    return { outcome: { kind: 'superseded' } };
  }
  let answer = await renew(client, file);
  if (answer.kind === 'rejected') {
    if (await changesSoon(job.account, signature)) return { outcome: { kind: 'superseded' } };
    answer = await renew(client, file);
  }
  const save = async (format: (current: AccountFile) => string): Promise<RefreshOutcome | null> =>
    await saveAccount(job.account, file, room, deps, format);
  switch (answer.kind) {
    case 'granted':
      return await keepTokens(file, answer.tokens, job.account.name, deps.clock.now(), save);
    case 'unfit': {
      const { reason, remedy, refreshToken } = answer;
      // The refresh token before it may be spent.
      const isNew = refreshToken !== null && file.refreshToken?.equals(refreshToken) !== true;
      const failure = isNew ? await save((current) => formatWithRefreshToken(current, refreshToken)) : null;
      return { outcome: failure ?? { kind: 'unusable', unsupported: true, reason, remedy } };
    }
    default:
      return { outcome: answer };
  }
}

/** Asks the provider for a new access token by the grant that the account has. */
async function renew(client: OAuthClient, { refreshToken }: AccountFile): Promise<GrantAnswer> {
  const { account, judging } = client;
  const library = await loadLibrary(client);
  if (refreshToken !== null) return await library.refreshGrant(client, refreshToken);
  if (!judging.isConsentable) return await library.ownGrant(client);
  return { kind: 'unusable', ...explainMissingToken(account.name, true) };
}

async function changesSoon(account: JobAccount, signature: string): Promise<boolean> {
  for (const wait of REREAD_MS) {
    await delay(foregroundClock, wait);
    if ((await accountSignature(account)) !== signature) return true;
  }
  return false;
}

/** Saves new tokens, or passes on that of a service account, whose file is not ours to write. */
async function keepTokens(
  before: AccountFile,
  tokens: GrantedTokens,
  name: string,
  now: number,
  save: (format: (current: AccountFile) => string) => Promise<RefreshOutcome | null>,
): Promise<RefreshReport> {
  const isMinted = before.form === 'service-account';
  const failure = isMinted ? null : await save((current) => formatWithTokens(current, tokens, now));
  if (failure !== null) return { outcome: failure };
  if (tokens.expiresIn === 0) {
    const reason = 'the provider gave a token that has already expired';
    return { outcome: { kind: 'transient', cause: 'server', reason } };
  }
  const { accessToken, refreshToken, expiresIn, scopes } = tokens;
  const rotated = refreshToken !== undefined && before.refreshToken?.equals(refreshToken) !== true;
  const lostScopes = isMinted || !scopes ? [] : missingScopes(providerOf(name), scopes, before.scopes);
  const outcome = { kind: 'refreshed', rotated, lostScopes } as const;
  if (!isMinted) return { outcome };
  const expiresAt = expiresIn === undefined ? null : now + expiresIn * 1000;
  return {
    outcome,
    minted: { accessToken: accessToken.reveal(), expiresAt, tokenType: 'Bearer', scopes: scopes ?? [] },
  };
}

/**
 * Writes an account's file into the room that was kept, while the file still holds the grant that
 * was used. Returns why it could not, or null.
 *
 * A write that fails again and again is reported once, and tried for an hour more. Whoever fixes
 * the disk meanwhile has lost nothing.
 */
async function saveAccount(
  { name, file }: JobAccount,
  before: AccountFile,
  room: ReservedFile,
  { clock, onUnsaved }: WorkerDeps,
  format: (current: AccountFile) => string,
): Promise<RefreshOutcome | null> {
  const deadline = clock.monotonic() + LATE_LIMIT_MS;
  for (let tries = 0; ; tries++) {
    const current = await readWhole(name, file, clock);
    const isSame = current.kind !== 'read' || accountBasis(current.account) === accountBasis(before);
    if (current.kind === 'missing' || !isSame) return { kind: 'superseded' };
    // A file that stays unreadable holds no grant that could win; the new tokens repair it.
    const text = format(current.kind === 'read' ? current.account : before);
    try {
      await (tries === 0 ? room.write(text) : writeFileAtomic(file, text));
      return null;
    } catch (error) {
      const outcome: RefreshOutcome = { kind: 'unsaved', ...explainUnsaved(file, error) };
      if (tries === WRITE_RETRY_MS.length) onUnsaved?.(outcome);
      if (clock.monotonic() >= deadline) return outcome;
    }
    await delay(clock, WRITE_RETRY_MS[tries] ?? LATE_RETRY_MS);
  }
}

/** Reads an account, a few times: other programs write in place, and may be half through. */
async function readWhole(name: string, file: string, clock: Clock): Promise<AccountReading> {
  for (const wait of REREAD_MS) {
    const reading = await readAccountFile(name, file);
    if (reading.kind !== 'unusable' || reading.unsafe) return reading;
    await delay(clock, wait);
  }
  return await readAccountFile(name, file);
}

/** Proves that the tokens will have a place, before the user is asked for anything. */
export async function proveWritable(file: string): Promise<void> {
  try {
    await (await reserveFile(file, RESERVED_BYTES)).release();
  } catch (error) {
    throw consentErrors.unwritable(file, error, false);
  }
}
