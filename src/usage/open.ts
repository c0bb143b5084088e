/**
 * Opens the recording of usage: where it is kept, when it is pruned, and who is asked what a call
 * cost.
 */

import { randomFillSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { defer } from '../base/dispose.ts';
import { AipassError } from '../base/errors.ts';
import { maskKeyShapes } from '../base/redactor.ts';
import type { Runtime } from '../base/runtime.ts';
import { startSchedule } from '../base/schedule.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import type { ModelInfo } from '../protocol/provider.ts';
import type { RawEvent } from './event.ts';
import { classifyGeneration, GenerationTracker, PriceBook, setFlag, unpricedCall } from './generations.ts';
import { isPostgresUrl } from './store/open.ts';
import { Usage } from './usage.ts';

/** Age up to which costs of the previous daemon's calls are still looked up, in milliseconds. */
const RESUME_MS = 10 * 60_000;

/** Length of an event's id. */
const ID_BYTES = 6;

/** Sources that usage asks what a call cost. */
export interface CostSources {
  /** The provider that keeps records of generations. */
  readonly generationProvider: string;
  /** Asks that provider for one record, with the key of the call. */
  readonly fetchGeneration: (
    call: { readonly organization: string; readonly keyId: string | null; readonly generationId: string },
    signal: AbortSignal,
  ) => Promise<Parameters<typeof classifyGeneration>[0]>;
  /** Asks a provider for its models and their prices. */
  readonly fetchModels: (provider: string, signal: AbortSignal) => Promise<readonly ModelInfo[]>;
}

/** The recording of usage at work. */
export interface OpenUsage {
  readonly usage: Usage;
  /** Records an event, and finds its cost if the answer did not have it. */
  readonly record: (event: RawEvent) => void;
  readonly retention: { readonly days: number; readonly totalsDays: number };
}

/** Makes the recording of usage, not yet started: beside the state, or at the configured place. */
export function createUsage({
  config,
  paths,
  clock,
  logger,
}: Pick<Runtime, 'config' | 'paths' | 'clock' | 'logger'>): Usage {
  const { database = 'usage.db' } = config.current.usage;
  return new Usage({
    database: isPostgresUrl(database) ? database : resolve(paths.state, database),
    journalFolder: join(paths.state, 'usage-queue'),
    clock,
    logger: logger.component('usage'),
    redact: maskKeyShapes,
    randomId: createRandomIds(),
  });
}

/**
 * Starts recording, pruning and looking up costs; all of it ends with the stack. `observe` is
 * called with each event, and with each report on one, which has only what the event did not know.
 */
export function openUsage(
  runtime: Runtime,
  sources: CostSources,
  observe: (event: RawEvent) => void,
  stack: AsyncDisposableStack,
): OpenUsage {
  const { config, clock, warnings } = runtime;
  const logger = runtime.logger.component('usage');
  const usage = createUsage(runtime);
  const { retentionDays: days, totalsRetentionDays: totalsDays } = config.current.usage;
  const prune = async (): Promise<void> => {
    try {
      logger.info('usage was pruned', { ...(await usage.prune(days, totalsDays)) });
    } catch (error) {
      // The daemon stops: the next one prunes.
      if (!(error instanceof AipassError && error.code === 'CANCELLED')) throw error;
    }
  };
  defer(
    stack,
    'the pruning',
    startSchedule(config.current.schedules.prune, prune, { name: 'usage.prune', logger, clock }),
  );
  usage.start();
  // Closed before the pruning is waited for, which ends it: what is left is pruned another day.
  defer(stack, 'the usage', () => usage.close());
  warnings.register(() => usage.warnings());
  const tracker = openTracker(usage, sources, observe, runtime);
  defer(stack, 'the generation tracker', () => tracker.close());
  const record = (event: RawEvent): void => {
    observe(event);
    logger.debug('recorded an event', {
      operation: event.operation,
      provider: event.provider,
      keyId: event.keyId,
      model: event.model,
      status: event.status,
    });
    usage.record(event);
    const unpriced = unpricedCall(event);
    if (unpriced) tracker.track(unpriced);
  };
  return { usage, record, retention: { days, totalsDays } };
}

/**
 * Returns a source of 48 random bits; random bytes cost little only when many are drawn at once.
 */
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

/**
 * Opens the tracker, which goes on with what the last daemon was still waiting for; a flag file
 * reports whether there is any.
 */
function openTracker(
  usage: Usage,
  { generationProvider, fetchGeneration, fetchModels }: CostSources,
  observe: (event: RawEvent) => void,
  { paths, clock, logger }: Runtime,
): GenerationTracker {
  const flag = join(paths.state, 'unpriced');
  const prices = new PriceBook(fetchModels, clock);
  const tracker = new GenerationTracker({
    clock,
    logger,
    ask: ({ organization, provider, keyId, generationId }, signal) =>
      provider === generationProvider
        ? fetchGeneration({ organization: organization ?? DEFAULT_ORGANIZATION, keyId, generationId }, signal).then(
            classifyGeneration,
          )
        : null,
    prices: (provider, model, signal) => prices.prices(provider, model, signal),
    record: (event) => {
      observe(event);
      usage.record(event);
    },
    onWaiting: (isWaiting) => setFlag(flag, isWaiting),
  });
  if (!existsSync(flag)) return tracker;
  usage.ask('unpriced', clock.now() - RESUME_MS, generationProvider).then(
    (generations) => {
      // A call of this daemon may be waited for by now.
      if (generations.length === 0 && tracker.pending === 0) setFlag(flag, false);
      for (const generation of generations) {
        tracker.track({ ...generation, caller: null, provider: generationProvider, costMicros: null });
      }
    },
    () => logger.debug('generations without a cost were not looked up: the usage database does not work'),
  );
  return tracker;
}
