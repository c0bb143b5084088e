/**
 * Reports how refreshes end: an event for every change that matters, and the user's own command for
 * it.
 *
 * A command is run without a shell, one at a time, within a time limit. It runs at most once per
 * account in a quarter of an hour. What was held back is reported when its time comes, if it still
 * holds. What is reported goes to the command's standard input as JSON and into a few variables;
 * none of it is a secret.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import type { Clock } from '../base/clock.ts';
import type { Config } from '../base/config-schema.ts';
import { commandFiles, trustWarnings } from '../base/file-trust.ts';
import type { Logger } from '../base/logger.ts';
import type { AccountNotice } from '../protocol/events.ts';
import type { Account } from './account.ts';
import type { Explanation } from './messages.ts';
import type { RefreshOutcome } from './worker/job.ts';

export type RefreshAlertKind = 'refreshed' | 'reauth-required' | 'reauth-soon' | 'refresh-failing';

/** One alert. Holds no secret. */
export interface RefreshAlert extends AccountNotice {
  readonly kind: RefreshAlertKind;
}

export interface RefreshAlertsDeps {
  readonly clock: Clock;
  readonly hooks: Config['hooks'];
  readonly publish: (alert: RefreshAlert) => void;
  /** Runs one command; see HookRunner. */
  readonly runHook: (command: readonly string[], alert: RefreshAlert) => void;
}

/** Shortest time between two commands for one account, in milliseconds. */
const QUIET_MS = 15 * 60_000;

/** Failures in a row before a failing account is reported; fewer are assumed to be transient. */
const FAILURES_WORTH_REPORTING = 3;

/** Decides what is reported, and when. */
export class RefreshAlerts {
  readonly #deps: RefreshAlertsDeps;
  readonly #current = new Map<string, RefreshAlertKind>();
  readonly #reportedAt = new Map<string, number>();
  readonly #held = new Map<string, RefreshAlert>();
  /** Accounts whose coming end of consent was reported. */
  readonly #ending = new Set<string>();

  constructor(deps: RefreshAlertsDeps) {
    this.#deps = deps;
  }

  /** Reports an outcome, where it is worth it. */
  note(account: Account, outcome: RefreshOutcome): void {
    const kind = this.#kindOf(account, outcome);
    if (kind === undefined) return;
    const isRepeated = this.#current.get(account.name) === kind && kind !== 'refreshed';
    this.#current.set(account.name, kind);
    if (!isRepeated) this.#report(kind, account.name, kind === 'refreshed' ? null : account.explain());
    this.#noteEnding(account);
  }

  /**
   * Forgets what is no longer so, and reports what was held back and is still so. It is called at
   * every tick, with all accounts: a consent or a fixed file ends a failure without an outcome.
   */
  tick(accounts: Iterable<Account>): void {
    const byName = new Map(Array.from(accounts, (account) => [account.name, account] as const));
    for (const [name, kind] of this.#current) {
      const account = byName.get(name);
      const isOver = account === undefined || (kind !== 'refreshed' && account.isWell() && account.failures === 0);
      if (isOver) this.#current.delete(name);
    }
    for (const name of this.#ending) if (!byName.has(name)) this.#ending.delete(name);
    for (const account of byName.values()) this.#noteEnding(account);
    this.#flush();
  }

  /** Reports, once, that an account's consent ends within days. */
  #noteEnding(account: Account): void {
    const ending = account.endingConsent();
    if (ending === null) this.#ending.delete(account.name);
    else if (!this.#ending.has(account.name)) {
      this.#ending.add(account.name);
      this.#report('reauth-soon', account.name, ending);
    }
  }

  /** Reports what was held back and is still so. */
  #flush(): void {
    for (const [key, alert] of this.#held) {
      const isStill =
        alert.kind === 'reauth-soon'
          ? this.#ending.has(alert.account)
          : this.#current.get(alert.account) === alert.kind;
      if (isStill) this.#runHook(alert);
      else this.#held.delete(key);
    }
  }

  #kindOf(account: Account, outcome: RefreshOutcome): RefreshAlertKind | undefined {
    const state = account.state();
    switch (outcome.kind) {
      case 'refreshed':
        return 'refreshed';
      case 'kept':
        return undefined;
      case 'superseded':
        this.#current.delete(account.name);
        return undefined;
      case 'rejected':
        return account.isConsentable ? 'reauth-required' : 'refresh-failing';
      case 'unusable':
        return state === 'reauth-required' ? 'reauth-required' : 'refresh-failing';
      case 'unsaved':
        return 'refresh-failing';
      case 'transient':
        return state === 'failing' || account.failures >= FAILURES_WORTH_REPORTING ? 'refresh-failing' : undefined;
    }
  }

  #report(kind: RefreshAlertKind, account: string, why: Explanation | null): void {
    const at = this.#deps.clock.now();
    const alert: RefreshAlert = { kind, account, at, reason: why?.reason ?? null, action: why?.remedy ?? null };
    this.#deps.publish(alert);
    this.#runHook(alert);
  }

  #runHook(alert: RefreshAlert): void {
    const command = this.#commandFor(alert.kind);
    if (command === undefined) return;
    const { clock, runHook } = this.#deps;
    // The end of a consent is reported beside the outcomes of refreshes, and must not be lost
    // between two of them.
    const key = alert.kind === 'reauth-soon' ? `${alert.account} ends` : alert.account;
    const last = this.#reportedAt.get(key);
    // A monotonic reading: a clock that is set must neither silence an account nor make it chatter.
    if (last !== undefined && clock.monotonic() - last < QUIET_MS) {
      this.#held.set(key, alert);
      return;
    }
    this.#held.delete(key);
    this.#reportedAt.set(key, clock.monotonic());
    runHook(command, alert);
  }

  #commandFor(kind: RefreshAlertKind): readonly string[] | undefined {
    const { onRefreshed, onReauthRequired, onReauthSoon = onReauthRequired, onRefreshFailing } = this.#deps.hooks;
    const commands = {
      refreshed: onRefreshed,
      'reauth-required': onReauthRequired,
      'reauth-soon': onReauthSoon,
      'refresh-failing': onRefreshFailing,
    };
    return commands[kind];
  }
}

/** Longest run of a command, in milliseconds. */
const HOOK_LIMIT_MS = 30_000;

/** Most commands that wait for their turn; the oldest is dropped. */
const MAX_WAITING = 100;

export class HookRunner {
  readonly #logger: Logger;
  readonly #limitMs: number;
  readonly #waiting: { readonly command: readonly string[]; readonly alert: RefreshAlert }[] = [];
  #running: Promise<void> | undefined;
  #kill: (() => void) | undefined;
  #stopped = false;

  constructor(logger: Logger, limitMs = HOOK_LIMIT_MS) {
    this.#logger = logger;
    this.#limitMs = limitMs;
  }

  /** Runs a command as soon as those before it have ended. */
  run(command: readonly string[], alert: RefreshAlert): void {
    if (this.#stopped) return;
    this.#waiting.push({ command, alert });
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    this.#running ??= this.#drain();
  }

  /** Ends the running command, drops the waiting ones, and resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#waiting.length = 0;
    this.#kill?.();
    await this.#running;
  }

  async #drain(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const { command, alert } = next;
      try {
        await this.#runOne(command, alert);
      } catch (error) {
        this.#logger.warn('a hook could not be started', { event: alert.kind, error });
      }
    }
    this.#running = undefined;
  }

  /** Runs one command to its end. @throws the system's error where it cannot be started. */
  async #runOne(command: readonly string[], alert: RefreshAlert): Promise<void> {
    const [program, ...parameters] = command;
    if (program === undefined) return;
    const [fault] = trustWarnings(commandFiles(command));
    if (fault) {
      const { subject, problem, hint } = fault;
      this.#logger.warn('a hook was not started', { event: alert.kind, subject, problem, hint });
      return;
    }
    const { promise: ended, resolve, reject } = Promise.withResolvers<object | undefined>();
    const child: ChildProcess = spawn(program, parameters, {
      // A group of its own, so that what the command started ends with it; the time limit of
      // execFile would not do that.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...process.env, AIPASSD_EVENT: alert.kind, AIPASSD_ACCOUNT: alert.account },
    });
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : { code, signal }));
    // Without a free file descriptor there is a child without a standard input, and its error.
    child.stdin?.on('error', () => {});
    child.stdin?.end(`${JSON.stringify(alert)}\n`);
    const kill = (): void => killGroup(child.pid);
    const limit = setTimeout(() => {
      this.#logger.warn('a hook was ended because it ran too long', { event: alert.kind, limitMs: this.#limitMs });
      kill();
    }, this.#limitMs);
    this.#kill = kill;
    try {
      const failure = await ended;
      if (failure !== undefined) this.#logger.warn('a hook failed', { event: alert.kind, ...failure });
    } finally {
      clearTimeout(limit);
      this.#kill = undefined;
    }
  }
}

/** Ends a process and all it started; a group that has ended already is as good. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Ended already.
  }
}
