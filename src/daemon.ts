/**
 * The composition root, read top-down: runtime → keys → usage → completions → accounts →
 * endpoints. Each folder opens its own part and defers its closer on the stack, which closes in
 * reverse. Nothing starts at import.
 */

import { dirname, join } from 'node:path';
import type { AuditLog } from './audit/audit-log.ts';
import { openAudit } from './audit/open.ts';
import { systemClock } from './base/clock.ts';
import { captureConsole, openLogger, parseDebug, type Logger } from './base/logger.ts';
import { closeAll, defer } from './base/dispose.ts';
import { EventHub, type Runtime, Warnings } from './base/runtime.ts';
import { assertOwnEntries, assertTrusted, trustWarnings } from './base/file-trust.ts';
import { GroupCommit } from './base/group-commit.ts';
import { makeFolder } from './base/make-folder.ts';
import { openNetwork } from './base/network.ts';
import type { Paths } from './base/paths.ts';
import { Redactor } from './base/redactor.ts';
import { StateStore } from './base/state-store.ts';
import { VERSION } from './base/version.ts';
import { AccessPolicy } from './callers/access.ts';
import { openGate } from './callers/open.ts';
import { openCompletions } from './completions/open.ts';
import { Metrics } from './gateway/metrics.ts';
import { createGateway, openGateway } from './gateway/open.ts';
import { lostStateWarnings, takeInstance, takeState } from './ipc/instance-lock.ts';
import { openSocket } from './ipc/open.ts';
import { makeRuntimeFolder } from './ipc/socket-file.ts';
import {
  recordLostSocket,
  recordRejection,
  recordReload,
  recordRefusals,
  recordRequests,
} from './operations/audit-entries.ts';
import { createDispatcher } from './operations/dispatcher.ts';
import { openOrganizations } from './operations/open.ts';
import { createOperations } from './operations/table.ts';
import { costSources } from './operations/usage-operations.ts';
import { DEFAULT_ORGANIZATION } from './protocol/credential.ts';
import { openProviders, readUsableConfig } from './providers/open.ts';
import { openAccounts } from './refreshers/open.ts';
import { ConfigReloader } from './service/config-reloader.ts';
import { restartHint } from './service/service-manager.ts';
import { openUsage } from './usage/open.ts';

/** A running daemon. */
export interface Daemon {
  readonly logger: Logger;
  /** Returns whether the vault holds any key. */
  readonly hasKeys: () => boolean;
  /** Returns whether no request is in flight. */
  readonly isIdle: () => boolean;
  /** Reads the configuration again; one that is not valid changes nothing. */
  reload(): void;
  /**
   * Lets requests in flight finish, then closes everything in reverse order. A second call returns
   * the first one's promise.
   */
  stop(): Promise<void>;
}

/**
 * Starts the daemon; it listens, with the secrets loaded, when the promise resolves.
 *
 * @throws AipassError when the configuration is not valid, another daemon runs, or the socket
 * cannot be made.
 */
export async function startDaemon(paths: Paths, lastRun: string | null = null): Promise<Daemon> {
  const stack = new AsyncDisposableStack();
  try {
    return await openDaemon(paths, lastRun, stack);
  } catch (error) {
    // What kept the daemon from starting matters, and not what failed while it gave up.
    await closeAll(stack).catch(() => {});
    throw error;
  }
}

async function openDaemon(paths: Paths, lastRun: string | null, stack: AsyncDisposableStack): Promise<Daemon> {
  // Runtime: configuration, place of this user's daemon, log, state, network, audit.
  const { runtime, reloader, access, restart, logFile, auditLog } = await openRuntime(paths, stack);
  const { clock, logger } = runtime;
  const startedAt = clock.now();
  const { defaultProvider } = reloader.current;

  // Keys: who may ask for which.
  const providers = openProviders(runtime, stack);
  const gate = openGate(runtime, access, recordRejection(auditLog, logger), stack);
  const organizations = await openOrganizations(runtime, providers, stack);
  const { vault, pools } = organizations.keys(DEFAULT_ORGANIZATION);

  // Usage: what is recorded, and asked of providers afterwards.
  const metrics = new Metrics(clock);
  defer(stack, 'the metrics', () => metrics.close());
  const { usage, record, retention } = openUsage(
    runtime,
    costSources(organizations, providers, clock),
    metrics.observe,
    stack,
  );

  // Completions: what asks providers.
  const { forwarder, completer } = openCompletions(
    runtime,
    { providers, keysOf: (slug) => organizations.keys(slug).pools, record },
    stack,
  );

  // Accounts: OAuth tokens, kept fresh.
  const { accounts, consents, worker } = await openAccounts(runtime, vault, stack);

  // Endpoints. A stop runs upwards from their last line: both refuse new connections first, and
  // share one grace period. The parts above serve what is in flight, and close after it.
  const commit = new GroupCommit(
    () => {
      auditLog.flush();
      usage.flush();
    },
    () => gate.load.requestsInFlight <= 1,
  );
  const onLost = recordLostSocket(auditLog, logger);
  const recordRefusal = recordRefusals(auditLog);
  const gateway = createGateway(runtime, { gate, access, providers, forwarder, recordRefusal, commit }, stack);

  const operations = createOperations({
    ...runtime,
    gate,
    gateway,
    startedAt,
    logFile,
    defaultProvider,
    vault,
    providers,
    pools,
    completer,
    organizations,
    accounts,
    consents,
    worker,
    usage,
    record,
    retention,
    restart,
    lastRun,
    auditEnd: () => auditLog.last,
  });
  const dispatch = createDispatcher(operations, {
    logger: logger.component('operations'),
    audit: recordRequests(auditLog),
    onRightsChange: (recheck) => defer(stack, 'the rights of requests in flight', reloader.onChange(recheck)),
  });
  await openSocket(runtime, { gate, access, dispatch, commit, onLost }, stack);
  await openGateway(runtime, gateway, { access, dispatch, metrics, onLost }, stack);

  defer(stack, 'the watcher of the configuration', reloader.watch());
  void logger.open();
  logger.info(`aipassd ${runtime.version} is ready on ${paths.socket}`, {
    pid: process.pid,
    node: process.versions.node,
  });
  let stopping: Promise<void> | undefined;
  return {
    logger,
    hasKeys: () => vault.keys().length > 0,
    isIdle: () => gate.load.requestsInFlight === 0,
    reload: () => reloader.reload(),
    stop: () => (stopping ??= closeAll(stack)),
  };
}

/** Parts that everything else is opened with. */
interface OpenRuntime {
  readonly runtime: Runtime;
  readonly reloader: ConfigReloader;
  readonly access: AccessPolicy;
  readonly auditLog: AuditLog;
  /** Path of the log file, or null where the log goes to stdout alone. */
  readonly logFile: string | null;
  /** Command that restarts this daemon. */
  readonly restart: string;
}

/**
 * Reads the configuration, takes the place of this user's daemon, and opens log, state and audit.
 *
 * @throws AipassError when another daemon runs, or a folder cannot be made or is not ours alone.
 */
async function openRuntime(paths: Paths, stack: AsyncDisposableStack): Promise<OpenRuntime> {
  const clock = systemClock;
  const read = () => readUsableConfig(paths.config, clock);
  const initial = read();
  const uid = process.getuid?.() ?? 0;
  const access = new AccessPolicy(initial, uid);
  // Before anything is made, in any of these places.
  assertTrusted('the state folder', paths.state);
  assertTrusted('the folder of the socket', dirname(paths.runtime));
  makeFolder(paths.state);
  assertOwnEntries('the state folder', paths.state);
  makeRuntimeFolder(paths.runtime, access.servesOthers);
  defer(stack, 'the instance lock', await takeInstance(paths));
  defer(stack, 'the lock of the state', await takeState(paths));

  const warnings = new Warnings();
  const redactor = new Redactor();
  const logFile = initial.log.file === undefined ? paths.log : initial.log.file;
  const debug = parseDebug(process.env['AIPASSD_DEBUG']);
  const logger = openLogger({ level: initial.log.level, file: logFile, stdout: true, redactor, debug });
  defer(stack, 'the log', () => logger.close());
  warnings.register(() => [logger.warning()].filter((warning) => warning !== null));
  defer(stack, 'the console', captureConsole(logger));
  const state = new StateStore({ path: join(paths.state, 'state.json'), clock, logger });
  await state.open();
  warnings.register(() => state.warnings);
  defer(stack, 'the state', () => state.flush());

  const network = openNetwork(initial.network);
  warnings.register(() => network.warnings);
  redactor.learn(network.secrets, 'network');

  const restart = restartHint({ env: process.env, pid: process.pid, uid });
  const reloader = new ConfigReloader({ path: paths.config, read, initial, restart, clock, logger });
  warnings.register(() => reloader.warnings());
  warnings.register(() => lostStateWarnings(paths, restart));
  warnings.register(() => trustWarnings([paths.state, paths.runtime]));
  const runtime: Runtime = {
    version: VERSION,
    paths,
    config: reloader,
    network: network.report,
    clock,
    random: Math.random,
    logger,
    redactor,
    events: new EventHub(),
    state,
    warnings,
  };
  const auditLog = openAudit(runtime, stack);
  defer(stack, 'the record of reloads', reloader.onReload(recordReload(auditLog, logger)));
  return { runtime, reloader, access, auditLog, logFile, restart };
}
