/**
 * Counts the calls of the last seconds, by status and by key: apipool's questions.
 */

import { USAGE_STATUSES, type RecentCount, type RecentQuery } from '../../protocol/usage.ts';
import { answer } from './answers.ts';
import type { Names } from './names.ts';
import type { UsageDb } from './schema.ts';

/** Counts calls to providers (not releases); `keyIds` are listed even where they had none. */
export async function countRecent(
  db: UsageDb,
  names: Names,
  query: RecentQuery,
  keyIds: readonly string[],
  now: number,
): Promise<RecentCount> {
  const since = Math.max(0, now - query.seconds * 1000);
  const statuses = query.status === undefined ? USAGE_STATUSES : [query.status];
  const byStatus = { success: 0, failed: 0, reach_limit: 0 };
  const byKey = new Map<string | null, number>();
  if (query.keyId === undefined) for (const keyId of keyIds) byKey.set(keyId, 0);
  else byKey.set(query.keyId, 0);
  for (const status of statuses) {
    const { groups } = await answer(db, names, { since, by: 'key', status, limit: Infinity }, now);
    for (const { name, figures } of groups) {
      if ((query.keyId !== undefined && name !== query.keyId) || figures.requests === 0) continue;
      byStatus[status] += figures.requests;
      byKey.set(name, (byKey.get(name) ?? 0) + figures.requests);
    }
  }
  const listed = [...byKey].map(([keyId, requests]) => ({ keyId, requests }));
  return {
    total: byStatus.success + byStatus.failed + byStatus.reach_limit,
    byStatus,
    byKey: listed.sort((a, b) => b.requests - a.requests || String(a.keyId).localeCompare(String(b.keyId))),
  };
}
