/**
 * Renews one account's token: under its lock, from its file, into its file.
 *
 * A refresh token is sent only while the lock is held and room for its successor is set aside. What was granted is
 * written only while the file still holds the grant it came from; else the file wins.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import type { FileLock } from '../../base/file-lock.ts';
import { acquireLock, lockPath } from '../account-lock.ts';
import { printWithTokens, tokenTag, type AccountDocument, type GrantedTokens } from '../account-document.ts';
import { parseAccountName } from '../account-name.ts';
import type { RefreshOutcome } from '../outcome.ts';
import { accountStamp, readAccount, type AccountReading } from '../read-account.ts';
import { missingScopes } from '../scopes.ts';
import type { JobAccount, MintedToken, WorkerJob } from './job.ts';
import { explainWriteFailure, pause, reserveRoom, type Reservation } from './save-tokens.ts';
import { openTokenClient, renew, serviceAccountScopes, type TokenClient, type WorkerTools } from './token-client.ts';

/** Is how long a worker waits for its predecessor's lock, in milliseconds: longer than that one can wait for its answers. */
export const LOCK_WAIT_MS = 150_000;

/** Are the waits before a refused account's file is read again, in milliseconds: another program may have just rotated it. */
const REREAD_MS = [25, 50, 100] as const;

/** Is what a refresh brought. */
export interface RefreshResult {
  readonly outcome: RefreshOutcome;
  /** Is the token itself where there is no file to put it. */
  readonly minted?: MintedToken;
}

/** Does a refresh job. Every expected end is an outcome. */
export async function refreshAccount(
  job: Extract<WorkerJob, { kind: 'refresh' }>,
  tools: WorkerTools,
): Promise<RefreshResult> {
  const { file } = job.account;
  let lock: FileLock | undefined;
  let room: Reservation | undefined;
  try {
    try {
      lock = await acquireLock(lockPath(file), LOCK_WAIT_MS);
      if (lock !== undefined) room = await reserveRoom(file, tools.clock);
    } catch (error) {
      return { outcome: { kind: 'unusable', ...explainWriteFailure(file, error) } };
    }
    if (lock === undefined || room === undefined) {
      const reason = 'another process is refreshing this account and does not come to an end';
      return { outcome: { kind: 'transient', cause: 'server', reason } };
    }
    return await refreshLocked(job, tools, room);
  } finally {
    await room?.release();
    await lock?.release();
  }
}

async function refreshLocked(
  job: Extract<WorkerJob, { kind: 'refresh' }>,
  tools: WorkerTools,
  room: Reservation,
): Promise<RefreshResult> {
  const stamp = await accountStamp(job.account);
  const token = await openTokenClient(job.account, tools);
  if (token.kind === 'unusable') return { outcome: token };
  if (token.document === null || token.basis !== job.basis || tokenTag(token.document) !== job.tag) {
    return { outcome: { kind: 'superseded' } };
  }
  let answer = await renew(token);
  if (answer.kind === 'rejected') {
    if (await changedSoon(job.account, stamp)) return { outcome: { kind: 'superseded' } };
    answer = await renew(token);
  }
  if (answer.kind !== 'granted') return { outcome: answer };
  const obtainedAt = tools.clock.now();
  if (token.document.form === 'service-account') return mint(token, answer.tokens, obtainedAt);
  return { outcome: await save(token, token.document, answer.tokens, { obtainedAt, room, tools }) };
}

/** Tells whether the account's files change within the next moments. */
async function changedSoon(account: JobAccount, stamp: string): Promise<boolean> {
  for (const wait of REREAD_MS) {
    await sleep(wait);
    if ((await accountStamp(account)) !== stamp) return true;
  }
  return false;
}

function mint(token: TokenClient, tokens: GrantedTokens, now: number): RefreshResult {
  const expiresAt = tokens.expiresIn === undefined ? null : now + tokens.expiresIn * 1000;
  if (tokens.expiresIn === 0) return { outcome: EXPIRED_AT_BIRTH };
  return {
    outcome: { kind: 'refreshed', rotated: false, lostScopes: [] },
    minted: { accessToken: tokens.accessToken.reveal(), expiresAt, scopes: serviceAccountScopes(token) },
  };
}

const EXPIRED_AT_BIRTH: RefreshOutcome = {
  kind: 'transient',
  cause: 'server',
  reason: 'the provider gave a token that has expired already',
};

interface Saving {
  /** Is when the tokens were granted, in epoch milliseconds. */
  readonly obtainedAt: number;
  readonly room: Reservation;
  readonly tools: WorkerTools;
}

async function save(
  token: TokenClient,
  before: AccountDocument,
  tokens: GrantedTokens,
  { obtainedAt, room, tools }: Saving,
): Promise<RefreshOutcome> {
  const { file, name } = token.account;
  const print = async (): Promise<string | undefined> => {
    const current = await readWhole(name, file, tools.clock);
    if (current.kind === 'missing' || (current.kind === 'read' && current.basis !== token.basis)) return undefined;
    // A file that stays unreadable holds no grant that could win; the new tokens mend it.
    return printWithTokens(current.kind === 'read' ? current.document : before, tokens, obtainedAt);
  };
  try {
    const isWritten = await room.write(print, (error) => tools.onUnsaved?.(unsaved(file, error)));
    if (!isWritten) return { kind: 'superseded' };
  } catch (error) {
    return unsaved(file, error);
  }
  if (tokens.expiresIn === 0) return EXPIRED_AT_BIRTH;
  const provider = parseAccountName(name)?.provider ?? name;
  return {
    kind: 'refreshed',
    rotated: tokens.refreshToken !== undefined && before.refreshToken?.equals(tokens.refreshToken) !== true,
    lostScopes: tokens.scopes === undefined ? [] : missingScopes(provider, tokens.scopes, before.scopes),
  };
}

/** Reads an account, a few times where it cannot be used: other programs write their files in place, and may be half through. */
async function readWhole(name: string, file: string, clock: Clock): Promise<AccountReading> {
  for (const wait of REREAD_MS) {
    const reading = await readAccount(name, file);
    if (reading.kind !== 'unusable' || reading.unsafe) return reading;
    await pause(clock, wait);
  }
  return await readAccount(name, file);
}

function unsaved(file: string, error: unknown): RefreshOutcome {
  const { reason, remedy } = explainWriteFailure(file, error);
  return { kind: 'unsaved', reason: `a new token was granted, but ${reason}`, remedy };
}
