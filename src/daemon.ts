/**
 * The composition root: configuration → parts → listen → wait for a signal → release. The only place where parts are
 * made and wired; nothing starts at import.
 */

import { join } from 'node:path';
import { startAuditUpkeep } from './audit/upkeep.ts';
import { AccessPolicy } from './callers/access-policy.ts';
import { Gate } from './callers/gate.ts';
import { limitRejections } from './callers/rejection-log.ts';
import { UserLimits, userLimits } from './callers/user-limits.ts';
import { systemClock } from './base/clock.ts';
import { EventHub } from './base/event-hub.ts';
import type { Logger } from './base/logger.ts';
import { startMemoryTidy } from './base/memory-tidy.ts';
import type { Paths } from './base/paths.ts';
import { Releasers } from './base/releasers.ts';
import { StateStore } from './base/state-store.ts';
import { startSchedule } from './base/schedule.ts';
import { readVersion } from './base/version.ts';
import { Completer } from './completions/completer.ts';
import { offerEnvFile } from './credentials/template.ts';
import { Vault } from './credentials/vault.ts';
import { blockedPathWarnings } from './ipc/runtime-folder.ts';
import { SocketGuard } from './ipc/socket-guard.ts';
import { changeSocketMode } from './ipc/socket-path.ts';
import { SocketServer } from './ipc/socket-server.ts';
import { createDispatcher } from './operations/dispatcher.ts';
import { KeyLookup } from './operations/key-lookup.ts';
import { openPools } from './operations/open-pools.ts';
import { recordRequests } from './operations/request-audit.ts';
import { referenceWarnings } from './operations/reference-warnings.ts';
import { configWarnings, keyWarnings } from './operations/standing-warnings.ts';
import { recordLostSocket, recordReload, recordRejection } from './operations/daemon-audit.ts';
import { createOperations } from './operations/table.ts';
import { PROTOCOL_VERSION } from './protocol/limits.ts';
import { startRefreshing } from './refreshers/start.ts';
import { createReloadableProviders } from './providers/reloadable.ts';
import { readUsableConfig } from './providers/usable-config.ts';
import { ConfigKeeper } from './service/config-keeper.ts';
import { restartHint } from './service/restart-hint.ts';
import { openRun } from './run-parts.ts';
import { startUsage } from './usage-parts.ts';

/** Is how long requests in flight may go on after the signal to stop. */
const STOP_GRACE_MS = 10_000;

/** Is the pause before a failing provider is asked again within one request, in milliseconds. */
const RETRY_BACKOFF = { firstMs: 250, maxMs: 4000 };

/** Is a running daemon. */
export interface Daemon {
  readonly logger: Logger;
  /** Tells whether the vault holds any key. */
  readonly hasKeys: () => boolean;
  /** Reads the configuration anew; one that is wrong changes nothing. */
  reload(): void;
  /** Lets requests in flight finish, then releases everything in reverse order. */
  stop(): Promise<void>;
}

/**
 * Starts the daemon; it listens, with the secrets loaded, when the promise resolves.
 *
 * @throws AipassError when the configuration is wrong, another daemon runs, or the socket cannot be made.
 */
export async function startDaemon(paths: Paths, lastRun: string | null = null): Promise<Daemon> {
  const releasers = new Releasers();
  try {
    return await openDaemon(paths, releasers, lastRun);
  } catch (error) {
    await releasers.release();
    throw error;
  }
}

async function openDaemon(paths: Paths, releasers: Releasers, lastRun: string | null): Promise<Daemon> {
  const clock = systemClock;
  const config = readUsableConfig(paths.config, clock);
  const uid = process.getuid?.() ?? 0;
  const access = new AccessPolicy(config.access, uid);
  const restart = restartHint({ env: process.env, pid: process.pid, uid });
  const version = readVersion();
  const { redactor, logFile, logger, journal } = await openRun({ config, access, paths, clock, releasers });

  const limits = new UserLimits(userLimits(config), clock);
  const providers = createReloadableProviders(config);
  const keeper = new ConfigKeeper({
    path: paths.config,
    read: () => readUsableConfig(paths.config, clock),
    initial: config,
    restart,
    clock,
    logger,
    apply: (next) => {
      providers.replace(next);
      access.replace(next.access);
      limits.change(userLimits(next));
    },
    onReload: (outcome) => {
      recordReload(journal, logger)(outcome);
      if (outcome.kind !== 'reloaded') return;
      vault.providersChanged();
      pools.keysChanged();
      changeSocketMode(paths.socket, access.servesOthers);
    },
  });
  const vault = new Vault({ paths, knownProviders: () => providers.names(), redactor, clock, logger });
  const templateWarnings = await offerEnvFile(paths.envFile, logger);
  releasers.add('the vault', await vault.start());

  const { defaultProvider } = config;
  const events = new EventHub();
  const lookup = new KeyLookup({ vault, providers, paths, defaultProvider });
  const surroundings = { config, paths, vault, providers, lookup, clock, logger };
  const state = new StateStore({ path: join(paths.state, 'state.json'), clock, logger });
  await state.open();
  releasers.add('the state', () => state.flush());
  const { pools, checks, release } = openPools({ ...surroundings, config: () => keeper.current, state, events });
  releasers.add('the pools', release);
  const { usage, record, retention } = startUsage({ ...surroundings, redactor, releasers });
  const completer = new Completer({
    providers,
    keys: pools,
    redactor,
    clock,
    defaultProvider,
    retry: { attempts: 3, backoff: RETRY_BACKOFF, chance: Math.random },
    fallbacks: config.fallbacks,
    record,
  });
  releasers.add(
    'the news of the vault',
    vault.onChange((names) => events.publish('secrets-changed', { names })),
  );

  const { accounts, consents, worker, tick } = await startRefreshing({
    secrets: paths.secrets,
    oauth: config.oauth,
    hooks: config.hooks,
    clock,
    logger,
    redactor,
    releasers,
    state,
    publish: (event, data) => events.publish(event, data),
  });
  releasers.add(
    'the looks of the vault',
    vault.onRescan(() => accounts.look()),
  );
  releasers.add(
    'the refresh schedule',
    startSchedule(config.schedules.refresh, tick, { name: 'refresh', logger, clock }),
  );

  const server = new SocketServer({
    path: paths.socket,
    get frameBytes() {
      return keeper.current.limits.frameBytes;
    },
    maxConnections: config.limits.connections,
    get maxInFlight() {
      return keeper.current.limits.inFlight;
    },
    gate: new Gate({
      grants: () => access.grants,
      limits,
      onRejected: limitRejections(clock, recordRejection(journal, logger)),
    }),
    servesOthers: () => access.servesOthers,
    beforeWrite: () => {
      journal.flush();
      usage.flush();
    },
    welcome: { protocol: PROTOCOL_VERSION, version, pid: process.pid },
    logger,
    dispatch: createDispatcher(
      createOperations({
        version,
        paths,
        logFile,
        defaultProvider,
        clock,
        startedAt: clock.now(),
        vault,
        providers,
        lookup,
        pools,
        checks,
        completer,
        events,
        accounts,
        consents,
        worker,
        usage,
        record,
        retention,
        load: () => ({ connections: server.connections, requestsInFlight: server.requestsInFlight }),
        restart,
        lastRun,
        auditEnd: () => journal.last,
        warnings: () => [
          ...keyWarnings(vault, paths),
          ...keeper.warnings(),
          ...access.warnings(),
          ...blockedPathWarnings(paths.runtime, access.servesOthers),
          ...[journal.warning(), logger.warning()].filter((warning) => warning !== null),
          ...templateWarnings(),
          ...referenceWarnings(keeper.current, { vault, providers, lookup, paths }),
          ...configWarnings(keeper.current, paths),
          ...state.warnings,
        ],
      }),
      { logger, redactor, audit: recordRequests(journal, redactor) },
    ),
  });
  await server.start();
  releasers.add('the socket', () => server.stop(STOP_GRACE_MS));
  const guard = new SocketGuard({
    path: paths.socket,
    clock,
    logger,
    restart: () => server.restart(),
    onLost: recordLostSocket(journal, logger),
  });
  releasers.add('the guard of the socket', guard.start());
  releasers.add('the watch over the configuration', keeper.watch());
  releasers.add(
    'the upkeep of the audit',
    startAuditUpkeep(journal, () => keeper.current.audit, clock, logger),
  );
  releasers.add(
    'the memory tidy',
    startMemoryTidy(clock, () => server.requestsInFlight === 0),
  );
  void logger.open();
  logger.info(`aipassd ${version} is ready on ${paths.socket}`, { pid: process.pid, node: process.versions.node });
  return {
    logger,
    hasKeys: () => vault.keys().length > 0,
    reload: () => keeper.reload(),
    stop: () => releasers.release(),
  };
}
