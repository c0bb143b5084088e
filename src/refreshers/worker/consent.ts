/**
 * Asks a user for consent, in a browser or by device code, and saves what was granted. State, PKCE
 * verifier and device code live in the worker and nowhere else. What was there before stays until
 * the new tokens are on disk.
 */

import { writeFileAtomic } from '../../base/atomic-write.ts';
import { AipassError } from '../../base/errors.ts';
import type { JsonObject } from '../../base/json.ts';
import { plainText } from '../../base/plain-text.ts';
import { delay } from '../../base/timers.ts';
import {
  emptyAccountFile,
  formatWithTokens,
  lockAccount,
  mcpServerOf,
  readAccountFile,
  withoutTokens,
  type GrantedTokens,
} from '../account-file.ts';
import { providerOf } from '../account-name.ts';
import { consentErrors, errorFrom } from '../messages.ts';
import { expandScopes, missingScopes } from '../provider-presets.ts';
import { openClient, type OAuthClient, type WorkerDeps } from './client.ts';
import { consentByBrowser, openRedirectListener, type RedirectListener } from './consent-browser.ts';
import type { ConsentChannel, ConsentRequest, JobAccount, WorkerJob, WorkerReport } from './job.ts';
import { proveWritable } from './refresh.ts';
import type { GrantAnswer } from './token-answer.ts';

/** Longest wait for a refresh in flight, in milliseconds: longer than one can take. */
const LOCK_WAIT_MS = 5 * 60_000;

interface ConsentPlan {
  readonly client: OAuthClient;
  readonly scopes: readonly string[];
  /** Fields of the account's file beside the tokens. */
  readonly fields?: JsonObject;
}

/** Does a consent job. @throws AipassError with what went wrong and what to do. */
export async function runConsent(
  { account, request }: Extract<WorkerJob, { kind: 'consent' }>,
  deps: WorkerDeps,
  channel: ConsentChannel,
): Promise<WorkerReport> {
  const reading = await readAccountFile(account.name, account.file);
  if (reading.kind === 'unusable')
    throw errorFrom('BAD_REQUEST', { reason: reading.warning.problem, remedy: reading.warning.hint });
  const file = reading.kind === 'read' ? reading.account : null;
  const server = request.mcpServer ?? mcpServerOf(file);
  let listener: RedirectListener | undefined;
  try {
    let plan: ConsentPlan;
    if (server === undefined) plan = await planConsent(account, request, deps);
    else {
      await proveWritable(account.file);
      listener = await openRedirectListener(undefined, request.port);
      const { planMcpConsent } = await import('./mcp.ts');
      plan = await planMcpConsent(server, account, file, request.scopes, listener.redirectUri, deps);
    }
    const { client, scopes, fields } = plan;
    let answer: GrantAnswer;
    if (request.device) answer = await consentByDevice(client, scopes, deps, channel);
    else {
      listener ??= await openRedirectListener(client.settings.redirectUri, request.port);
      answer = await consentByBrowser(listener, client, scopes, channel);
    }
    const tokens = assertGranted(account.name, answer);
    await saveConsent(client, scopes, tokens, deps, fields);
    return {
      kind: 'consented',
      scopes: tokens.scopes ?? scopes,
      refusedScopes: tokens.scopes === undefined ? [] : missingScopes(providerOf(account.name), tokens.scopes, scopes),
      renewable: tokens.refreshToken !== undefined,
    };
  } finally {
    listener?.close();
  }
}

async function planConsent(account: JobAccount, request: ConsentRequest, deps: WorkerDeps): Promise<ConsentPlan> {
  const client = await openClient(account, deps, true);
  if (client.kind === 'unusable') throw errorFrom('BAD_REQUEST', client);
  assertConsentable(client);
  const scopes = expandScopes(providerOf(account.name), chooseScopes(request.scopes, client));
  client.judging.sent?.push(...(request.scopes ?? []));
  if (client.kind === 'google' && scopes.length === 0) throw consentErrors.noScopes();
  await proveWritable(account.file);
  return { client, scopes };
}

function assertConsentable({ account, file, settings }: OAuthClient): void {
  if (file?.form === 'service-account') throw consentErrors.needless(account.name, 'is a service account');
  if (settings.clientCredentials === true) throw consentErrors.needless(account.name, 'uses client credentials');
}

/** Returns the scopes to ask for: as the user names them, else as before, else the default. */
function chooseScopes(asked: readonly string[] | undefined, { file, settings }: OAuthClient): readonly string[] {
  if (asked !== undefined && asked.length > 0) return asked;
  const remembered = file?.requestedScopes ?? [];
  return remembered.length > 0 ? remembered : (settings.scopes ?? []);
}

/** Seconds that `slow_down` or a failed request adds to the interval (RFC 8628 §3.5). */
const SLOW_DOWN_S = 5;

/** Longest interval between two requests that a provider may ask for, in seconds. */
const MAX_INTERVAL_S = 60;

/** Asks by device code (RFC 8628): the user enters a code, and the provider is asked until then. */
async function consentByDevice(
  client: OAuthClient,
  scopes: readonly string[],
  { clock }: WorkerDeps,
  channel: ConsentChannel,
): Promise<GrantAnswer> {
  // Google's own library does not have this flow.
  const { beginDevice, deviceGrant } = await import('./oauth.ts');
  const start = await beginDevice(client, scopes);
  if (start.kind === 'none') throw consentErrors.noDeviceFlow(client.account.name);
  if (start.kind !== 'started') return start;
  const expiresAt = clock.now() + start.expiresInS * 1000;
  channel.prompt({
    kind: 'device',
    verificationUri: plainText(start.verificationUri, 500),
    ...(start.verificationUriComplete === undefined
      ? {}
      : { verificationUriComplete: plainText(start.verificationUriComplete, 1000) }),
    userCode: plainText(start.userCode, 64),
    expiresAt,
  });
  let intervalS = Math.min(MAX_INTERVAL_S, Math.max(1, start.intervalS));
  while (clock.now() < expiresAt) {
    if ((await delay(clock, intervalS * 1000, channel.signal)) === 'aborted') throw channel.signal.reason;
    const answer = await deviceGrant(client, start.deviceCode, start.verifier);
    if (answer.kind === 'transient') intervalS = Math.min(MAX_INTERVAL_S, intervalS + SLOW_DOWN_S);
    else if (answer.kind !== 'rejected' || answer.error !== 'authorization_pending') return answer;
  }
  throw consentErrors.codeExpired();
}

/** Returns the tokens of an answer. @throws AipassError for any other answer. */
function assertGranted(account: string, answer: GrantAnswer): GrantedTokens {
  switch (answer.kind) {
    case 'granted':
      return answer.tokens;
    case 'transient':
      throw consentErrors.unreachable(answer.reason, answer.cause === 'network', answer.retryAfterMs);
    case 'unusable':
      throw errorFrom('BAD_REQUEST', answer);
    case 'unfit':
      throw errorFrom('PROVIDER_REJECTED', answer);
    case 'rejected':
      throw consentErrors.rejected(account, { code: answer.error, description: answer.description });
  }
}

/** Writes what was granted in place of the old tokens, which belong to another grant. */
async function saveConsent(
  client: OAuthClient,
  asked: readonly string[],
  tokens: GrantedTokens,
  deps: WorkerDeps,
  fields: JsonObject = {},
): Promise<void> {
  const { file } = client.account;
  const lock = await lockAccount(file, LOCK_WAIT_MS).catch((error: unknown) => {
    throw unwritable(file, error);
  });
  if (lock === undefined) throw consentErrors.held();
  try {
    // Read again: a refresh may have rewritten the file while the user was busy.
    const current = await readAccountFile(client.account.name, file);
    const before = current.kind === 'read' ? current.account : current.kind === 'missing' ? null : client.file;
    const google = client.kind === 'google';
    const base = before ?? emptyAccountFile(google, client, client.settings.tokenEndpoint);
    const kept = withoutTokens({ ...base, raw: { ...base.raw, ...ownClient(client), ...fields } });
    const text = formatWithTokens({ ...kept, scopes: asked, requestedScopes: asked }, tokens, deps.clock.now());
    await writeFileAtomic(file, text);
  } catch (error) {
    throw unwritable(file, error);
  } finally {
    await lock.release();
  }
}

/** Returns the client that the consent was given to, where the file's form needs it. */
function ownClient(client: OAuthClient): Readonly<Record<string, string>> {
  if (client.kind !== 'google') return {};
  return { client_id: client.clientId, client_secret: client.clientSecret?.reveal() ?? '' };
}

function unwritable(file: string, error: unknown): AipassError {
  return error instanceof AipassError ? error : consentErrors.unwritable(file, error);
}
