/**
 * Opens the HTTP gateway: listeners, guard of the socket's path, and what they are wired with.
 */

import type { Clock } from '../base/clock.ts';
import { defer, STOP_GRACE_MS } from '../base/dispose.ts';
import type { GroupCommit } from '../base/group-commit.ts';
import type { Runtime } from '../base/runtime.ts';
import type { AccessPolicy } from '../callers/access.ts';
import type { Gate } from '../callers/gate.ts';
import { SocketGuard, assertSocketPath, changeSocketMode } from '../ipc/socket-file.ts';
import type { Dispatch } from '../operations/dispatcher.ts';
import type { RecordRefusal } from '../operations/audit-entries.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import type { Providers } from '../providers/registry.ts';
import type { GatewayDeps } from './gateway.ts';
import { GatewayListeners } from './listeners.ts';
import type { Metrics } from './metrics.ts';

export interface CreateGatewayDeps {
  readonly gate: Gate;
  readonly access: Pick<AccessPolicy, 'servesOthers'>;
  readonly providers: Pick<Providers, 'find'>;
  readonly forwarder: GatewayDeps['forwarder'];
  readonly recordRefusal: RecordRefusal;
  /** Puts what was recorded on disk before an answer is complete. */
  readonly commit: Pick<GroupCommit, 'wait'>;
}

export interface OpenGatewayDeps {
  readonly access: Pick<AccessPolicy, 'servesOthers'>;
  readonly dispatch: Dispatch;
  readonly metrics: Metrics;
  /** Called when the socket was lost and made anew. */
  readonly onLost: (problem: string) => void;
}

/**
 * Creates the listeners, which the operations refer to; `openGateway` opens them. Closing the stack
 * waits here for the requests in flight: `openGateway`, which is called after the first endpoint is
 * open, begins the stop, so that both endpoints share one grace period.
 */
export function createGateway(
  runtime: Runtime,
  deps: CreateGatewayDeps,
  stack: AsyncDisposableStack,
): GatewayListeners {
  const { config, paths, clock, state, logger, warnings } = runtime;
  const { access, providers, commit, ...wiring } = deps;
  const { defaultProvider, gateway } = config.current;
  const listeners = new GatewayListeners({
    ...wiring,
    path: paths.gatewaySocket,
    clock,
    state,
    port: gateway.port,
    servesOthers: () => access.servesOthers,
    targets: { dialectsOf: (name) => providers.find(name)?.dialects, defaultProvider },
    fallbacks: () => config.current.fallbacks,
    maxBodyBytes: () => config.current.limits.frameBytes,
    whenRecorded: () => commit.wait(),
    logger: logger.component('gateway'),
  });
  warnings.register(() => listeners.warnings);
  defer(stack, 'the gateway', () => listeners.stop(STOP_GRACE_MS));
  return listeners;
}

/**
 * Listens until the stack is closed; requests in flight then get a grace period. Throws as
 * GatewayListeners.start does.
 */
export async function openGateway(
  { config, paths, version, clock, logger }: Runtime,
  listeners: GatewayListeners,
  { access, dispatch, metrics, onLost }: OpenGatewayDeps,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { gatewaySocket: path } = paths;
  assertSocketPath(path);
  await listeners.start({
    dispatch,
    manage: manageLazily(version, clock),
    metrics: async (call, organizations) => {
      const status = organizations.includes(DEFAULT_ORGANIZATION) ? await call('status.get', {}) : undefined;
      const { type, text } = metrics.format(status, organizations);
      return { status: 200, headers: { 'content-type': type, 'cache-control': 'no-store' }, body: text };
    },
  });
  defer(stack, 'new connections to the gateway', () => void listeners.stop(STOP_GRACE_MS));
  const guard = new SocketGuard({
    path,
    clock,
    logger: logger.component('gateway'),
    restart: () => listeners.restart(),
    onLost,
  });
  defer(stack, 'the guard of the gateway', guard.start());
  const stopFollowing = config.onChange(() => changeSocketMode(path, access.servesOthers));
  defer(stack, 'the mode of the gateway', stopFollowing);
}

/** Returns the management API, loaded and made with its first request. */
function manageLazily(version: string, clock: Clock): GatewayDeps['manage'] {
  let loading: Promise<GatewayDeps['manage']> | undefined;
  const load = async (): Promise<GatewayDeps['manage']> => {
    const { answerManagement, createManagementApp } = await import('./management.ts');
    const app = createManagementApp(version, clock);
    return (request) => answerManagement(app, request);
  };
  return async (request) => (await (loading ??= load()))(request);
}
