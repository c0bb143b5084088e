/**
 * `aipassd status`: what needs attention, then one line for each provider and account, then where
 * things are. `aipassd` alone: version, sockets, daemon and providers.
 */

import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { AipassError, systemErrorCode } from '../../base/errors.ts';
import { findSocket } from '../../base/find-socket.ts';
import { serviceCommands } from '../../base/start-command.ts';
import { VERSION } from '../../base/version.ts';
import type { AccountState, AccountStatus } from '../../protocol/oauth.ts';
import type { PoolInfo, PoolKeyInfo, PoolKeyState } from '../../protocol/pool.ts';
import type { KeyInfo, ProviderInfo } from '../../protocol/provider.ts';
import type { Status } from '../../protocol/status.ts';
import type { UsageStatusReport } from '../../protocol/usage.ts';
import { formatBytes, formatCount, formatDuration, formatRelative } from '../format.ts';
import type { Output } from '../output.ts';
import { type Todo, todoOf } from '../todo.ts';
import { defineVerb, flag, JSON_FLAG, type VerbContext } from '../verb.ts';

/** Prints the version, the sockets, whether the daemon is up, and the providers that have keys. */
export const introspect = defineVerb({
  name: '',
  summary: 'show version, sockets, daemon and providers',
  parameters: {},
  async run(_values, { out, paths, connect }) {
    out.line(`${out.style('bold', 'aipassd')} ${VERSION}`);
    const socket = findSocket(paths);
    const rows = [
      ['socket', socket],
      ['gateway', join(dirname(socket), basename(paths.gatewaySocket))],
      ['secrets', paths.secrets],
    ];
    try {
      const status = await (await connect(socket)).status();
      const providers = status.providers.map((one) => `${one.name} (${one.keys.length})`).join(', ');
      rows.push(['daemon', `running, pid ${status.pid}, version ${status.version}`]);
      rows.push(['providers', providers === '' ? 'none has a key yet' : providers]);
    } catch (error) {
      if (!(error instanceof AipassError)) throw error;
      rows.push(['daemon', error.code === 'DAEMON_UNREACHABLE' ? 'not running' : error.message]);
      if (error.hint !== undefined) rows.push(['', `→ ${error.hint}`]);
    }
    out.table(rows, { indent: 2, wrapLast: true });
    out.line('', 'Run aipassd --help for the commands.');
  },
});

export const status = defineVerb({
  name: 'status',
  summary: 'show what needs attention, the providers and their keys (masked), the accounts and the daemon',
  parameters: { all: flag('show every key, not only one line for each provider'), json: JSON_FLAG },
  async run({ all, json }, context) {
    const now = await askStatus(context);
    if (json) context.out.json(now);
    else printStatus(now, all, context.out);
  },
});

/** Prints a status for people; `all` shows every key and account in full. */
export function printStatus(now: Status, all: boolean, out: Output): void {
  printHeadline(now, todoOf(now), out);
  out.line('', out.style('bold', 'Providers'));
  if (now.providers.length === 0) out.line('  none has a key yet');
  if (all) for (const provider of now.providers) printKeys(provider, poolOf(now, provider), now.defaultProvider, out);
  else {
    const rows = now.providers.map((provider) => providerRow(provider, now));
    out.table(rows, { indent: 2, wrapLast: true });
  }
  if (now.accounts.length > 0) printAccounts(now.accounts, all, Date.now(), out);
  printDaemon(now, out);
}

/** Asks the daemon; where none runs, the error has how the last run ended. */
export async function askStatus({ connect, paths }: Pick<VerbContext, 'connect' | 'paths'>): Promise<Status> {
  try {
    return await (await connect()).status();
  } catch (error) {
    if (!(error instanceof AipassError) || error.code !== 'DAEMON_UNREACHABLE') throw error;
    const { describeRun, hintForRun, readRunRecord } = await import('../../service/last-exit.ts');
    const last = readRunRecord(paths.lastRun);
    if (last === null) throw error;
    const { start } = serviceCommands(paths.socket);
    const hasFailed = last.end !== null && last.end.code !== 0;
    // What connects and gives no answer is not the failure of a system call.
    const isThere = systemErrorCode(error.cause) === undefined;
    const runHint = hintForRun(last, paths.socket, isThere);
    const problem = runHint === undefined || isThere ? error.message : `no daemon answers on ${paths.socket}`;
    throw new AipassError(error.code, `${problem}; ${describeRun(last)}`, {
      hint: runHint ?? (hasFailed ? `fix what ended the last run, then start it: ${start}` : error.hint),
      cause: error,
    });
  }
}

function printHeadline(now: Status, todos: readonly Todo[], out: Output): void {
  const colour = todos.length === 0 ? 'green' : todos.some((todo) => todo.verdict === 'problem') ? 'red' : 'yellow';
  const work = todos.length === 0 ? 'nothing to do' : `${formatCount(todos.length, 'thing')} to do`;
  out.line(`${out.style(colour, '●')} ${out.style('bold', `aipassd ${now.version}`)} is running, ${work}`);
  for (const [index, { problem, hint }] of todos.entries()) {
    out.todo(`${String(index + 1).padStart(String(todos.length).length + 2)}. `, problem, hint);
  }
}

function poolOf({ pools }: Status, { name }: ProviderInfo): PoolInfo | undefined {
  return pools.find((pool) => pool.provider === name);
}

/** Words for the states of a key, in the order in which they are listed. */
const KEY_STATES: Readonly<Record<PoolKeyState, string>> = {
  ready: 'ready',
  quarantined: 'refused',
  foreign: "another provider's",
  'cooling-down': 'cooling down',
  busy: 'busy',
  'half-open': 'being tried again',
  duplicate: 'duplicate',
  off: 'switched off',
};

/** `50 keys: 48 ready, 1 refused, 1 cooling down (ready in 2 min)`. */
function providerRow(provider: ProviderInfo, now: Status): readonly string[] {
  const name = `${provider.name}${provider.name === now.defaultProvider ? ' (default)' : ''}`;
  if (provider.keys.length === 0) return [name, 'needs no key'];
  const pool = poolOf(now, provider);
  const keys = pool?.keys ?? [];
  const today = keys.reduce((sum, key) => sum + key.usesToday, 0);
  const calls = today === 0 ? '' : `; ${formatCount(today, 'call')} today`;
  const [only] = provider.keys;
  if (provider.keys.length === 1 && only) {
    const state = keys[0] === undefined ? 'ready' : describeStates(keys).replace(/^1 /, '');
    const from = only.fromBefore ? ` (from before: .env cannot be read)` : '';
    return [name, `1 key: ${state}${from}, ${only.masked}${calls}`];
  }
  const kept = provider.keys.filter((key) => key.fromBefore).length;
  const from = kept === 0 ? '' : ` (${kept} from before: .env cannot be read)`;
  return [name, `${formatCount(provider.keys.length, 'key')}: ${describeStates(keys)}${from}${calls}`];
}

function describeStates(keys: readonly PoolKeyInfo[]): string {
  const parts: string[] = [];
  for (const [state, words] of Object.entries(KEY_STATES)) {
    const such = keys.filter((key) => key.state === state);
    if (such.length === 0) continue;
    const waits = such.flatMap((key) => key.cooldownLeftMs ?? []);
    const soonest = waits.length === 0 ? '' : ` (ready in ${formatDuration(Math.min(...waits))})`;
    parts.push(`${such.length} ${words}${soonest}`);
  }
  return parts.join(', ');
}

/** Prints every key of a provider, those that are not ready first. */
function printKeys(provider: ProviderInfo, pool: PoolInfo | undefined, defaultProvider: string, out: Output): void {
  const suffix = provider.name === defaultProvider ? ' (default)' : '';
  out.line(`  ${out.style('cyan', provider.name)}${suffix}${provider.keys.length === 0 ? '  needs no key' : ''}`);
  const rows = provider.keys.map((key) => ({ key, pooled: pool?.keys.find((one) => one.keyId === key.keyId) }));
  const isReady = ({ pooled }: (typeof rows)[number]): boolean => pooled === undefined || pooled.state === 'ready';
  out.table(
    rows
      .toSorted((a, b) => Number(isReady(a)) - Number(isReady(b)))
      .map(({ key, pooled }) => [key.keyId, key.masked, describeKey(key, pooled)]),
    { indent: 4, wrapLast: true },
  );
}

/** Describes why a key is not ready, or else what is odd about its shape. */
function describeKey(key: KeyInfo, pooled: PoolKeyInfo | undefined): string {
  const from = key.fromBefore ? '; from before: .env cannot be read' : '';
  if (pooled && pooled.state !== 'ready') {
    return `${KEY_STATES[pooled.state]}${pooled.reason === null ? '' : `: ${pooled.reason}`}${from}`;
  }
  return `${key.state}${key.reason === undefined ? '' : `: ${key.reason}`}${from}`;
}

const ACCOUNT_COLOURS: Readonly<Record<AccountState, 'green' | 'yellow' | 'red'>> = {
  fresh: 'green',
  due: 'green',
  refreshing: 'green',
  stale: 'yellow',
  failing: 'red',
  'reauth-required': 'red',
  unusable: 'red',
};

/** Prints a line for each account; with `all`, its refreshes and scopes too. */
function printAccounts(accounts: readonly AccountStatus[], all: boolean, now: number, out: Output): void {
  out.line('', out.style('bold', 'Accounts'));
  for (const account of accounts) {
    const { name, state, kind, expiresAt, refreshExpiresAt, nextRefreshAt, scopes, missingScopes, lastOutcome } =
      account;
    const expiry =
      expiresAt === null ? '' : `, ${expiresAt >= now ? 'expires' : 'expired'} ${formatRelative(expiresAt, now)}`;
    const consent = refreshExpiresAt === null ? '' : `, refresh token ends ${formatRelative(refreshExpiresAt, now)}`;
    const missing = missingScopes.length === 0 ? '' : `, not granted: ${missingScopes.join(' ')}`;
    const words = `${out.style(ACCOUNT_COLOURS[state], state)}${expiry}${consent}${missing}`;
    out.line(`  ${out.style('cyan', name)}  ${words}  (${kind})`);
    if (!all) continue;
    const rows = [
      ['refresh', nextRefreshAt === null ? 'none planned' : formatRelative(nextRefreshAt, now)],
      ['scopes', scopes.join(' ') || 'none named'],
    ];
    if (lastOutcome !== null) {
      const reason = lastOutcome.reason === null ? '' : `: ${lastOutcome.reason}`;
      rows.push(['last', `${lastOutcome.kind} ${formatRelative(lastOutcome.at, now)}${reason}`]);
    }
    out.table(rows, { indent: 4, wrapLast: true });
  }
}

/** Prints where the daemon's things are, and its load without the command that asks. */
function printDaemon(now: Status, out: Output): void {
  const connections = Math.max(0, now.connections - 1);
  const requests = Math.max(0, now.requestsInFlight - 1);
  out.line('', out.style('bold', 'Daemon'));
  out.table(
    [
      ['process', `pid ${now.pid}, up ${formatDuration(now.uptimeMs)}`],
      ['clients', `${formatCount(connections, 'connection')}, ${formatCount(requests, 'request')} in flight`],
      ['socket', now.socket],
      ['secrets', `${shortPath(now.paths.secrets)} (${formatCount(now.secrets.count, 'opaque secret')})`],
      ['log', now.paths.log === null ? 'none' : shortPath(now.paths.log)],
      ['usage', `${now.usage.kind}, ${formatUsageState(now.usage)}`],
    ],
    { indent: 2, wrapLast: true },
  );
}

/** Shortens a path in the home folder as shells do. */
function shortPath(path: string): string {
  const home = homedir();
  return home !== '/' && path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}

function formatUsageState({ database, queued, queuedBytes }: UsageStatusReport): string {
  if (database === 'asleep') return 'idle until something is recorded or queried';
  return queued ? `${database}: events are queued on disk (${formatBytes(queuedBytes)})` : database;
}
