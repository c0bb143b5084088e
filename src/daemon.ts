/**
 * The composition root: configuration → parts → listen → wait for a signal → release. The only place where parts are
 * made and wired; nothing starts at import.
 */

import { mkdir } from 'node:fs/promises';
import { ALL_RIGHTS } from './callers/rights.ts';
import { systemClock } from './base/clock.ts';
import { captureConsole } from './base/console-capture.ts';
import { readConfig } from './base/config.ts';
import type { Config } from './base/config-schema.ts';
import { AipassError } from './base/errors.ts';
import { EventHub } from './base/event-hub.ts';
import { openLogger, type Logger } from './base/logger.ts';
import { resolvePaths, type Paths } from './base/paths.ts';
import { Redactor } from './base/redactor.ts';
import { Releasers } from './base/releasers.ts';
import { startSchedule } from './base/schedule.ts';
import { readVersion } from './base/version.ts';
import type { Warning } from './base/warning.ts';
import { Completer } from './completions/completer.ts';
import { initEnvFile } from './credentials/template.ts';
import { Vault } from './credentials/vault.ts';
import { takeInstance } from './ipc/instance-lock.ts';
import { SocketServer } from './ipc/socket-server.ts';
import { createDispatcher } from './operations/dispatcher.ts';
import { KeyLookup } from './operations/key-lookup.ts';
import { createOperations } from './operations/table.ts';
import { FirstKey } from './pools/first-key.ts';
import { PROTOCOL_VERSION } from './protocol/limits.ts';
import { createProviders } from './providers/registry.ts';
import type { RawEvent } from './usage/event.ts';
import { untoldOf } from './usage/generation-tracker.ts';
import { createUsage, openTracker } from './usage-parts.ts';

/** Is how long requests in flight may go on after the signal to stop. */
const STOP_GRACE_MS = 10_000;

/** Is the exit code after a failure nobody expected: EX_SOFTWARE of sysexits.h, so that a service manager restarts us. */
const EXIT_SOFTWARE = 70;

/** Is a running daemon. */
export interface Daemon {
  readonly logger: Logger;
  /** Tells whether the vault holds any key. */
  readonly hasKeys: () => boolean;
  /** Lets requests in flight finish, then releases everything in reverse order. */
  stop(): Promise<void>;
}

/**
 * Starts the daemon; it listens, with the secrets loaded, when the promise resolves.
 *
 * @throws AipassError when the configuration is wrong, another daemon runs, or the socket cannot be made.
 */
export async function startDaemon(paths: Paths): Promise<Daemon> {
  const releasers = new Releasers();
  try {
    return await openDaemon(paths, releasers);
  } catch (error) {
    await releasers.release();
    throw error;
  }
}

async function openDaemon(paths: Paths, releasers: Releasers): Promise<Daemon> {
  const config = readConfig(paths.config);
  await mkdir(paths.state, { recursive: true, mode: 0o700 });
  await mkdir(paths.runtime, { recursive: true, mode: 0o700 });
  releasers.add('the instance lock', await takeInstance(paths));

  const clock = systemClock;
  const version = readVersion();
  const redactor = new Redactor();
  const logFile = config.log.file === undefined ? paths.log : config.log.file;
  const logger = openLogger({ level: config.log.level, file: logFile, stdout: true, redactor });
  releasers.add('the log', () => logger.close());
  releasers.add('the console', captureConsole(logger));

  const providers = createProviders(config);
  const vault = new Vault({ paths, knownProviders: providers.names(), redactor, clock, logger });
  if ((await initEnvFile(paths.envFile)) === 'created') logger.info(`made ${paths.envFile} from the template`);
  releasers.add('the vault', await vault.start());

  const { defaultProvider } = config;
  const events = new EventHub();
  const lookup = new KeyLookup({ vault, providers, paths, defaultProvider });
  const keys = new FirstKey({
    keysOf: (provider) => vault.keys(provider),
    needsKey: (provider) => providers.get(provider).needsKey,
    whyNone: (provider) => lookup.whyNone(provider),
  });
  const usage = createUsage(config, paths, clock, logger, redactor);
  const { retentionDays, totalsRetentionDays } = config.usage;
  const prune = async (): Promise<void> => {
    logger.info('usage was pruned', { ...(await usage.prune(retentionDays, totalsRetentionDays)) });
  };
  releasers.add('the pruning', startSchedule(config.schedules.prune, prune, { name: 'usage.prune', logger, clock }));
  usage.start();
  // Closed before the pruning is waited for, which ends it: what is left is pruned another day.
  releasers.add('the usage', () => usage.close());
  const tracker = openTracker({ usage, vault, providers, lookup, clock, logger });
  releasers.add('the generation tracker', () => tracker.close());
  const record = (event: RawEvent): void => {
    usage.record(event);
    const untold = untoldOf(event);
    if (untold) tracker.track(untold);
  };
  const completer = new Completer({ providers, keys, redactor, clock, defaultProvider, record });
  releasers.add(
    'the news of the vault',
    vault.onChange((names) => events.publish('secrets-changed', { names })),
  );

  const server = new SocketServer({
    path: paths.socket,
    frameBytes: config.limits.frameBytes,
    maxConnections: config.limits.connections,
    maxInFlight: config.limits.inFlight,
    rights: ALL_RIGHTS,
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
        completer,
        events,
        usage,
        record,
        retention: { days: retentionDays, totalsDays: totalsRetentionDays },
        load: () => ({ connections: server.connections, requestsInFlight: server.requestsInFlight }),
        warnings: () => [...keyWarnings(vault, paths), ...configWarnings(config, paths)],
      }),
      { logger, redactor },
    ),
  });
  await server.start();
  releasers.add('the socket', () => server.stop(STOP_GRACE_MS));
  void logger.open();
  logger.info(`aipassd ${version} is ready on ${paths.socket}`, { pid: process.pid, node: process.versions.node });
  return { logger, hasKeys: () => vault.keys().length > 0, stop: () => releasers.release() };
}

/** Runs the daemon in the foreground until a signal, and returns the exit code. */
export async function runDaemon(): Promise<number> {
  process.umask(0o077);
  // Whoever read our output may be gone: that is no reason to stop.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  const paths = resolvePaths();
  let daemon: Daemon;
  try {
    daemon = await startDaemon(paths);
  } catch (error) {
    return reportStartFailure(error);
  }
  const { logger } = daemon;
  if (!daemon.hasKeys()) {
    logger.info(`there is no API key yet: put one into ${paths.envFile}; it is picked up at once`);
    logger.info('then, in another terminal: aipassd status (in a clone: npx aipassd status)');
  }

  const ending = await waitForEnd();
  if (ending.kind === 'failure') logger.error('stopping after a failure that nobody expected', { error: ending.error });
  else logger.info(`stopping on ${ending.signal}`);
  // A second signal means now.
  for (const signal of STOP_SIGNALS)
    process.once(signal, () => process.exit(ending.kind === 'failure' ? EXIT_SOFTWARE : 0));
  await daemon.stop();
  return ending.kind === 'failure' ? EXIT_SOFTWARE : 0;
}

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

type Ending =
  { readonly kind: 'signal'; readonly signal: NodeJS.Signals } | { readonly kind: 'failure'; readonly error: unknown };

function waitForEnd(): Promise<Ending> {
  return new Promise((resolve) => {
    // The server's handles do not keep an otherwise idle process alive on every path: this does.
    const keepAlive = setInterval(() => {}, 30_000);
    const end = (ending: Ending): void => {
      clearInterval(keepAlive);
      resolve(ending);
    };
    for (const signal of STOP_SIGNALS) process.once(signal, () => end({ kind: 'signal', signal }));
    process.on('uncaughtException', (error) => end({ kind: 'failure', error }));
  });
}

function reportStartFailure(error: unknown): number {
  const failure = error instanceof AipassError ? error : new AipassError('INTERNAL', `cannot start: ${String(error)}`);
  process.stderr.write(`aipassd: ${failure.message} [${failure.code}]\n`);
  if (failure.hint !== undefined) process.stderr.write(`  → ${failure.hint}\n`);
  return 2;
}

/** Says so when there is nothing to lend. */
function keyWarnings(vault: Vault, paths: Paths): Warning[] {
  if (vault.keys().length > 0) return [];
  return [
    {
      subject: paths.envFile,
      problem: 'no API key is set',
      hint: `put one into the file, as OPENROUTER_API_KEY=…; it is picked up at once`,
    },
  ];
}

/** Lists settings that are legal but unwise. */
function configWarnings(config: Config, paths: Paths): Warning[] {
  return Object.entries(config.providers).flatMap(([name, { baseUrl }]) => {
    if (baseUrl === undefined) return [];
    const { protocol, hostname } = new URL(baseUrl);
    if (protocol === 'https:' || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.'))
      return [];
    return [
      {
        subject: `providers.${name}.baseUrl`,
        problem: `keys and prompts go to ${hostname} unencrypted`,
        hint: `use https in ${paths.config}`,
      },
    ];
  });
}
