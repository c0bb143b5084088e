/**
 * What is remembered of accounts over a restart, in `state.json`: how the last refresh ended, and that a grant was
 * refused. Holds no secret, and nothing made of one: a refusal is of the files as they were then, by their times and sizes.
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { ProviderSettings } from './provider-settings.ts';

const schema = z.object({
  last: z.object({ kind: z.string(), at: z.number(), reason: z.string().nullable() }).nullable(),
  rejection: z.object({ stamp: z.string(), settings: z.string(), reason: z.string(), remedy: z.string() }).nullable(),
});

/** Is what is remembered of one account. */
export type AccountMemory = z.infer<typeof schema>;

/** Reads what was remembered, by account; what has another shape is forgotten. */
export function parseMemories(section: unknown): ReadonlyMap<string, AccountMemory> {
  const entries = typeof section === 'object' && section !== null ? Object.entries(section) : [];
  return new Map(
    entries.flatMap(([name, value]): [string, AccountMemory][] => {
      const parsed = schema.safeParse(value);
      return parsed.success ? [[name, parsed.data]] : [];
    }),
  );
}

/** Names a provider's settings, so that a change of the configuration is seen. They hold no secret. */
export function settingsStamp(settings: ProviderSettings): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);
}
