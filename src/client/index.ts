/**
 * The thin client library of aipassd: `import { connect } from 'aipassd'`. It knows the wire and
 * the paths, nothing of the daemon, and loads `node:` modules only, so that importing it is cheap.
 */

import { findSocket } from '../base/find-socket.ts';
import { resolvePaths } from '../base/paths.ts';
import { VERSION } from '../base/version.ts';
import { Aipass } from './aipass.ts';
import { assertConnectOptions, assertNodeVersion } from './failures.ts';

export { AipassError, ERROR_CODES, type ErrorCode } from '../base/errors.ts';
export type * from '../protocol/completion.ts';
export type * from '../protocol/credential.ts';
export type { AccountStatus, TokenValue } from '../protocol/oauth.ts';
export type { AccountNotice, EventName, Events } from '../protocol/events.ts';
export type { KeyValue, OperationName, Operations, SecretInfo } from '../protocol/operations.ts';
export type * from '../protocol/pool.ts';
export type { PooledOptions, ThrownError } from './pooled-caller.ts';
export type { Pooled } from './pooled.ts';
export type { KeyInfo, KeyVerdict, ModelInfo, ProviderInfo } from '../protocol/provider.ts';
export type { Status } from '../protocol/status.ts';
export type {
  EventPage,
  EventQuery,
  ImportReport,
  PruneReport,
  RecentCount,
  RecentQuery,
  RecordedEvent,
  SessionUsage,
  UsageAnswer,
  UsageFigures,
  UsageGroup,
  UsageGrouping,
  UsageQuery,
  UsageStatus,
  UsageStatusReport,
} from '../protocol/usage.ts';
export type { Warning } from '../base/warning.ts';
export type { CallOptions } from './session.ts';
export type { CredentialCalls, OrganizationCallOptions, RevisionCallOptions } from './credential-calls.ts';
export type { Moment, UsageCalls, WithMoments } from './usage-calls.ts';
export type { CompletionStream } from './completion-stream.ts';
export type { GatewayFetch } from './gateway-fetch.ts';
export type { OpenaiOptions } from './openai.ts';
export type { GoogleOptions } from './google-services.ts';
export { withRetry, type RetryAttempt, type RetryOptions } from './with-retry.ts';
export { Aipass, type AipassFetch, type CompleteParams } from './aipass.ts';

/** Location of the daemon and name of the caller; both may be left out. */
export interface ConnectOptions {
  /** Name of this program in the daemon's records. */
  readonly caller?: string | undefined;
  /** The daemon's socket; without it, the one of this user's daemon. */
  readonly socket?: string | undefined;
}

/**
 * Connects to this user's daemon.
 *
 * @throws AipassError DAEMON_UNREACHABLE with what to do, VERSION_MISMATCH, FORBIDDEN, or
 * BAD_REQUEST for invalid options, or a Node that is too old.
 */
export async function connect(options: ConnectOptions = {}): Promise<Aipass> {
  assertNodeVersion();
  assertConnectOptions(options);
  const socket = options.socket ?? findSocket(resolvePaths());
  return new Aipass({ socket, caller: options.caller, client: `aipassd-node/${VERSION}` }).open();
}
