/**
 * Finds generations whose cost nobody told yet, broken off ones too (what was generated is paid for), so that a daemon that was killed while it waited for them asks again.
 */

import type { Names } from './names.ts';
import type { UsageDb } from './schema.ts';

/** Bounds the list; older ones stay unknown. */
const MAX_LISTED = 200;

/** Is a generation without a cost, and the key that paid for it. */
export interface UnpricedGeneration {
  readonly generationId: string;
  readonly keyId: string | null;
  readonly model: string | null;
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
}

/** Lists a provider's generations since a time whose cost is unknown, newest first. */
export async function listUnpriced(
  db: UsageDb,
  names: Names,
  since: number,
  provider: string,
): Promise<UnpricedGeneration[]> {
  const id = await names.find(db, provider);
  if (id === null) return [];
  const rows = await db
    .selectFrom('events')
    .select(['generation', 'key', 'model', 'prompt_tokens', 'completion_tokens'])
    .where('at', '>=', since)
    .where('provider', '=', id)
    .where('generation', 'is not', null)
    .where('cost_micros', 'is', null)
    .orderBy('at', 'desc')
    .limit(MAX_LISTED)
    .execute();
  const text = await names.texts(
    db,
    rows.flatMap((row) => [row.key, row.model]),
  );
  return rows.flatMap((row) =>
    row.generation === null
      ? []
      : [
          {
            generationId: row.generation,
            keyId: text(row.key),
            model: text(row.model),
            promptTokens: row.prompt_tokens,
            completionTokens: row.completion_tokens,
          },
        ],
  );
}
