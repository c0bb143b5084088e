/**
 * The part of the composition root that concerns usage: where it is kept, and who is asked what a call cost.
 */

import { randomFillSync } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { Clock } from './base/clock.ts';
import type { Config } from './base/config-schema.ts';
import type { Logger } from './base/logger.ts';
import type { Paths } from './base/paths.ts';
import type { Redactor } from './base/redactor.ts';
import type { Releasers } from './base/releasers.ts';
import { startSchedule } from './base/schedule.ts';
import type { Vault } from './credentials/vault.ts';
import type { KeyLookup } from './operations/key-lookup.ts';
import { GENERATION_PROVIDER } from './operations/usage-operations.ts';
import { fetchGeneration } from './providers/generation.ts';
import { fetchModels } from './providers/models.ts';
import type { Providers } from './providers/registry.ts';
import type { RawEvent } from './usage/event.ts';
import { judgeGeneration } from './usage/generation.ts';
import { GenerationTracker, untoldOf } from './usage/generation-tracker.ts';
import { Mark } from './usage/mark.ts';
import { PriceBook } from './usage/prices.ts';
import { isPostgresUrl } from './usage/store/open.ts';
import { Usage } from './usage/usage.ts';

/** Is how far back a new daemon asks for what one before it did not live to hear. */
const RESUME_MS = 10 * 60_000;

/** Is the length of an event's id. */
const ID_BYTES = 6;

/** Makes the recording of usage, not yet started: beside the state, or where the configuration says. */
export function createUsage(
  config: { readonly usage: Pick<Config['usage'], 'database'> },
  paths: Paths,
  clock: Clock,
  logger: Logger,
  redactor: Redactor,
): Usage {
  const { database = 'usage.db' } = config.usage;
  return new Usage({
    database: isPostgresUrl(database) ? database : resolve(paths.state, database),
    journalFolder: join(paths.state, 'usage-queue'),
    clock,
    logger,
    redact: (text) => redactor.redact(text),
    randomId: createRandomIds(),
  });
}

/** Returns a source of 48 random bits; random bytes cost little only when many are drawn at once. */
function createRandomIds(): () => number {
  const bytes = Buffer.alloc(ID_BYTES * 512);
  let used = bytes.length;
  return () => {
    if (used === bytes.length) {
      randomFillSync(bytes);
      used = 0;
    }
    used += ID_BYTES;
    return bytes.readUIntBE(used - ID_BYTES, ID_BYTES);
  };
}

/** Is what the tracker is made of. */
interface TrackerParts {
  readonly usage: Usage;
  readonly vault: Vault;
  readonly providers: Providers;
  readonly lookup: KeyLookup;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Is what the recording of usage works with. */
interface UsageSurroundings extends Omit<TrackerParts, 'usage'> {
  readonly config: Config;
  readonly redactor: Redactor;
  readonly releasers: Releasers;
}

/** Starts recording, pruning and looking up costs; all of it ends with the releasers. */
export function startUsage({ config, redactor, releasers, ...parts }: UsageSurroundings): {
  readonly usage: Usage;
  readonly record: (event: RawEvent) => void;
  readonly retention: { readonly days: number; readonly totalsDays: number };
} {
  const { clock, logger } = parts;
  const usage = createUsage(config, parts.paths, clock, logger, redactor);
  const { retentionDays: days, totalsRetentionDays: totalsDays } = config.usage;
  const prune = async (): Promise<void> => {
    logger.info('usage was pruned', { ...(await usage.prune(days, totalsDays)) });
  };
  releasers.add('the pruning', startSchedule(config.schedules.prune, prune, { name: 'usage.prune', logger, clock }));
  usage.start();
  // Closed before the pruning is waited for, which ends it: what is left is pruned another day.
  releasers.add('the usage', () => usage.close());
  const tracker = openTracker({ usage, ...parts });
  releasers.add('the generation tracker', () => tracker.close());
  const record = (event: RawEvent): void => {
    usage.record(event);
    const untold = untoldOf(event);
    if (untold) tracker.track(untold);
  };
  return { usage, record, retention: { days, totalsDays } };
}

/** Opens the tracker, and lets it go on with what the last daemon did not live to hear; the mark tells whether there is any. */
function openTracker({ usage, vault, providers, lookup, paths, clock, logger }: TrackerParts): GenerationTracker {
  const mark = new Mark(join(paths.state, 'unpriced'));
  const prices = new PriceBook((name, signal) => {
    const provider = providers.get(name);
    return fetchModels(provider, vault.keys(name)[0]?.value ?? null, signal);
  }, clock);
  const tracker = new GenerationTracker({
    clock,
    logger,
    ask: ({ provider, keyId, generationId }, signal) => {
      if (provider !== GENERATION_PROVIDER) return null;
      const key = lookup.key(provider, keyId ?? undefined).value;
      return fetchGeneration(providers.get(provider), key, generationId, signal, clock).then(judgeGeneration);
    },
    prices: (provider, model, signal) => prices.prices(provider, model, signal),
    record: (event) => usage.record(event),
    onWaiting: (isWaiting) => mark.set(isWaiting),
  });
  if (!mark.isSet()) return tracker;
  usage.ask('unpriced', { since: clock.now() - RESUME_MS, provider: GENERATION_PROVIDER }).then(
    (generations) => {
      if (generations.length === 0) mark.set(false);
      for (const generation of generations) {
        tracker.track({ ...generation, caller: null, provider: GENERATION_PROVIDER });
      }
    },
    () => logger.debug('generations without a cost were not looked up: the usage database does not work'),
  );
  return tracker;
}
