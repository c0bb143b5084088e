/**
 * The saved form of the pools, checked when it is read back. The file is ours, but a broken or
 * foreign one must never keep the daemon from starting. So what does not fit is dropped.
 */

import { z } from 'zod';
import { COOLDOWN_REASONS, COOLDOWN_SCOPES, COOLDOWN_SOURCES } from '../protocol/pool.ts';

const time = z.number().min(0).max(8.64e15);
const count = z.int().min(0);
const amount = z.number().min(0);

const cooldown = z.object({
  scope: z.enum(COOLDOWN_SCOPES),
  reason: z.enum(COOLDOWN_REASONS),
  source: z.enum(COOLDOWN_SOURCES),
  since: time,
  until: time,
  bound: time,
  model: z.string().exactOptional(),
  thenCheck: z.boolean(),
});

const breaker = z.object({ cooldown, failures: count });

export type SavedBreaker = z.infer<typeof breaker>;

const key = z.object({
  uses: count,
  day: count,
  dayUses: count,
  lastUsedAt: time.nullable(),
  breaker: breaker.optional(),
  quarantine: z
    .object({
      since: time,
      /** Status with which the provider refused the key; 0 where it cannot be sent at all. */
      status: z.int(),
      revision: z.string(),
    })
    .optional(),
});

export type SavedKey = z.infer<typeof key>;

const quota = z.object({ start: time, calls: count, tokens: amount, dollars: amount });

export type SavedQuota = z.infer<typeof quota>;

const account = z.object({
  breaker: breaker.optional(),
  models: z.record(z.string(), breaker).optional(),
  quotas: z.record(z.string(), quota).optional(),
});

export type SavedAccount = z.infer<typeof account>;

export interface SavedPool {
  readonly keys: Readonly<Record<string, SavedKey>>;
  readonly accounts: Readonly<Record<string, SavedAccount>>;
}

const pools = z.record(
  z.string(),
  z.object({ keys: z.record(z.string(), z.unknown()), accounts: z.record(z.string(), z.unknown()) }),
);

/** Parses the saved form of all pools; an entry that is not valid is left out. */
export function parseSavedPools(document: unknown): ReadonlyMap<string, SavedPool> {
  const parsed = pools.safeParse(document);
  if (!parsed.success) return new Map();
  return new Map(
    Object.entries(parsed.data).map(([provider, saved]) => [
      provider,
      { keys: parseEntries(saved.keys, key), accounts: parseEntries(saved.accounts, account) },
    ]),
  );
}

function parseEntries<T>(entries: Readonly<Record<string, unknown>>, schema: z.ZodType<T>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(entries).flatMap(([name, entry]) => {
      const parsed = schema.safeParse(entry);
      return parsed.success ? [[name, parsed.data]] : [];
    }),
  );
}
