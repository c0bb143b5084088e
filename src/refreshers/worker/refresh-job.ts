/**
 * Renews one account's token: under its lock, from its file, into its file.
 *
 * A refresh token is sent only while the lock is held and room for its successor is set aside. What was granted is
 * written only while the file still holds the grant it came from; else the file wins.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { acquireLock, lockPath, type AccountLock } from '../account-lock.ts';
import { printWithTokens, tokenTag, type AccountDocument, type GrantedTokens } from '../account-document.ts';
import { parseAccountName } from '../account-name.ts';
import type { RefreshOutcome } from '../outcome.ts';
import { accountStamp, readAccount } from '../read-account.ts';
import { missingScopes } from '../scopes.ts';
import type { JobAccount, MintedToken, WorkerJob } from './job.ts';
import { explainWriteFailure, reserveRoom, type Reservation } from './save-tokens.ts';
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
  let lock: AccountLock | undefined;
  let room: Reservation | undefined;
  try {
    try {
      lock = await acquireLock(lockPath(file), LOCK_WAIT_MS);
      if (lock !== undefined) room = await reserveRoom(file);
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
  return { outcome: await save(token, token.document, answer.tokens, obtainedAt, room) };
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

async function save(
  token: TokenClient,
  before: AccountDocument,
  tokens: GrantedTokens,
  now: number,
  room: Reservation,
): Promise<RefreshOutcome> {
  const { file, name } = token.account;
  const current = await readAccount(name, file);
  if (current.kind === 'missing' || (current.kind === 'read' && current.basis !== token.basis)) {
    return { kind: 'superseded' };
  }
  // A file that became unreadable holds no grant that could win; the new tokens mend it.
  const document = current.kind === 'read' ? current.document : before;
  try {
    await room.write(file, printWithTokens(document, tokens, now));
  } catch (error) {
    const { reason, remedy } = explainWriteFailure(file, error);
    return { kind: 'unsaved', reason: `a new token was granted, but ${reason}`, remedy };
  }
  if (tokens.expiresIn === 0) return EXPIRED_AT_BIRTH;
  const provider = parseAccountName(name)?.provider ?? name;
  return {
    kind: 'refreshed',
    rotated: tokens.refreshToken !== undefined && before.refreshToken?.equals(tokens.refreshToken) !== true,
    lostScopes: tokens.scopes === undefined ? [] : missingScopes(provider, tokens.scopes, before.scopes),
  };
}
