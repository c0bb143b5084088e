/**
 * Keeps one account's token fresh. All callers share one refresh; after every await the file is asked again what the
 * account is now.
 */

import type { Clock } from '../base/clock.ts';
import type { Warning } from '../base/warning.ts';
import type { AccountStatus } from '../protocol/oauth.ts';
import type { AccountMemory } from './account-memory.ts';
import { AccountRecord } from './account-record.ts';
import { accountStatus, whyReauth, type Grant } from './account-state.ts';
import type { HeldToken } from './held-token.ts';
import type { RefreshOutcome } from './outcome.ts';
import { accountStamp, readAccount } from './read-account.ts';
import { assertScopes, whyNoToken } from './token-refusal.ts';
import type { JobAccount, WorkerReport } from './worker/job.ts';
import { waitAtMost } from './wait-at-most.ts';
import type { ReportListener, TokenWorker } from './worker-process.ts';

/** Is what a keeper works with. */
export interface KeeperParts {
  readonly account: JobAccount;
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly worker: TokenWorker;
  readonly memory: AccountMemory | undefined;
  /** Is told of every outcome, after the state has changed. */
  readonly onOutcome: (keeper: AccountKeeper, outcome: RefreshOutcome) => void;
  /** Is told when a new access token is held. */
  readonly onToken: () => void;
}

/** Says what a caller needs. */
export interface TokenRequest {
  readonly minValidMs: number;
  readonly scopes: readonly string[];
}

/** Bounds how often a refresh starts over because the file changed under it. */
const MAX_STARTS = 4;

/** Bounds a caller's wait for a provider, in milliseconds: while the old token is valid, and when it has expired. */
const VALID_WAIT_MS = 5_000;
const EXPIRED_WAIT_MS = 30_000;

/** Keeps one account. */
export class AccountKeeper {
  readonly name: string;
  readonly #parts: KeeperParts;
  readonly #record: AccountRecord;
  #flight: Promise<RefreshOutcome> | undefined;
  /** Tells that the worker under way holds tokens that it cannot write. */
  #unsaved = false;
  #reads = 0;
  #applied = 0;
  #seen: string | undefined;

  constructor(parts: KeeperParts) {
    const { account, clock, random } = parts;
    this.name = account.name;
    this.#parts = parts;
    this.#record = new AccountRecord({ name: account.name, settings: account.settings, clock, random });
    if (parts.memory !== undefined) this.#record.recall(parts.memory);
  }

  /** Returns what is worth remembering over a restart, or null. */
  readonly remember = (): AccountMemory | null => this.#record.remember();

  /** Reads the account's file again and takes over what it says. */
  async reload(): Promise<void> {
    const read = ++this.#reads;
    const stamp = await accountStamp(this.#parts.account);
    const reading = await readAccount(this.name, this.#parts.account.file);
    // A slower, older look must not undo a newer one.
    if (read < this.#applied) return;
    this.#applied = read;
    this.#seen = stamp;
    const before = this.#record.held;
    this.#record.apply(reading, stamp);
    if (this.#record.held !== before) this.#parts.onToken();
  }

  /** Reads the account's file again if it, or the file of its client, is not the one that was read last. */
  async look(): Promise<void> {
    if ((await accountStamp(this.#parts.account)) !== this.#seen) await this.reload();
  }

  /** Returns the held token where it is good for a caller without special wishes; looks at nothing but memory. */
  heldFor(request: TokenRequest): HeldToken | undefined {
    const { held } = this.#record;
    if (held === null || request.scopes.length > 0 || !this.#record.isWell()) return undefined;
    return held.suffices(request.minValidMs) ? held : undefined;
  }

  /**
   * Returns a token that is good for what the caller needs, renewed first where it is not.
   *
   * @throws AipassError NOT_FOUND, REAUTH_REQUIRED, UNSAFE_PERMISSIONS or PROVIDER_UNAVAILABLE, each with what to do.
   */
  async token(request: TokenRequest): Promise<HeldToken> {
    // What fails may have been mended by hand a moment ago.
    if (!this.#record.isWell() || this.#record.gate.failures > 0) await this.reload();
    assertScopes(this.#parts.account, this.#record, request.scopes);
    if (this.#record.held?.suffices(request.minValidMs) === true) return this.#record.held;
    if (this.#flight !== undefined || this.#record.mayTry()) {
      const isValid = (this.#record.held?.remaining() ?? 0) > 0;
      await waitAtMost(this.#parts.clock, isValid ? VALID_WAIT_MS : EXPIRED_WAIT_MS, this.refresh());
    }
    assertScopes(this.#parts.account, this.#record, request.scopes);
    const { held } = this.#record;
    if (held !== null && held.remaining() > 0) return held;
    throw whyNoToken(this.name, this.#record);
  }

  /** Tells whether there is a token, or one can be had without the user. */
  isWell(): boolean {
    return this.#record.isWell();
  }

  /**
   * Renews the token now, whatever its age. Everybody who asks meanwhile gets the same outcome. While a worker still holds
   * tokens that it cannot write, that is `unsaved` at once, and no other refresh begins.
   */
  refresh(): Promise<RefreshOutcome> {
    if (this.#flight !== undefined) return this.#flight;
    const { promise: told, resolve: tell } = Promise.withResolvers<RefreshOutcome>();
    const whole = this.#run(tell).finally(() => {
      this.#flight = undefined;
      this.#unsaved = false;
    });
    this.#flight = Promise.race([told, whole]);
    return this.#flight;
  }

  /** Tells whether the regular look has anything to do here; costs next to nothing. */
  needsAttention(): boolean {
    const { held, gate } = this.#record;
    if (this.#flight !== undefined) return false;
    return !this.#record.isWell() || gate.failures > 0 || held === null || held.isDue();
  }

  /** Does what the regular look finds to do: reads a file that was bad, renews a token that is due. */
  async attend(): Promise<void> {
    if (!this.#record.isWell()) await this.reload();
    const { held, gate, cause, grant } = this.#record;
    if (!this.#record.isWell() || grant?.renewable !== true) return;
    // Being online again is reason enough to try; a server that asked for patience gets it.
    if (gate.failures > 0 && cause === 'server' && gate.remaining() > 0) return;
    if (held === null || held.isDue() || gate.failures > 0) await this.refresh();
  }

  status(): AccountStatus {
    return accountStatus(this.#record.view(this.#flight !== undefined && !this.#unsaved));
  }

  /** Lists what is wrong with the account's file; its mode and owner are the vault's to judge. */
  warnings(): readonly Warning[] {
    const { problem } = this.#record;
    return problem === null || problem.unsafe ? [] : [problem];
  }

  /** Lists the secrets that are held, for the redactor. */
  *secrets(): Generator<string> {
    const { held } = this.#record;
    if (held !== null) yield held.facts.accessToken.reveal();
  }

  /** Says why the account needs its user, or is failing. */
  explain(): { readonly reason: string; readonly remedy: string } {
    const { gate, last, remedy } = this.#record;
    if (gate.failures > 0 && last !== null) {
      return { reason: last.reason ?? last.kind, remedy: remedy ?? 'nothing: it is tried again by itself' };
    }
    return whyReauth(this.#record.view(false));
  }

  /** Tells whether only the user can bring the next token. */
  needsUser(): boolean {
    return this.status().state === 'reauth-required';
  }

  /** Returns how many tries have failed since the last success. */
  get failures(): number {
    return this.#record.gate.failures;
  }

  /** Calls nobody back any more. */
  stop(): void {
    this.#record.gate.stop();
  }

  async #run(tell: (outcome: RefreshOutcome) => void): Promise<RefreshOutcome> {
    const before = this.#record.held;
    let outcome: RefreshOutcome = { kind: 'superseded' };
    let grant: Grant | null = null;
    for (let start = 0; start < MAX_STARTS && outcome.kind === 'superseded'; start++) {
      await this.reload();
      const { held } = this.#record;
      grant = this.#record.grant;
      // Another program, or a worker that outlived an earlier daemon, has brought what was wanted.
      if (held !== before && held !== null && !held.isDue() && this.#record.isWell()) break;
      outcome = await this.#exchange(grant, tell);
    }
    this.#settle(outcome, grant);
    return outcome;
  }

  #settle(outcome: RefreshOutcome, grant: Grant | null): void {
    this.#record.record(outcome, grant, () => {
      // Nobody waits for it here; what it brings is in the state.
      this.refresh().catch(() => {});
    });
    this.#parts.onOutcome(this, outcome);
  }

  async #exchange(grant: Grant | null, tell: (outcome: RefreshOutcome) => void): Promise<RefreshOutcome> {
    const { problem } = this.#record;
    if (problem !== null) return { kind: 'unusable', reason: problem.problem, remedy: problem.hint };
    if (grant === null || !grant.renewable) {
      return { kind: 'unusable', ...whyReauth({ ...this.#record.view(false), rejection: null }) };
    }
    const report = await this.#runWorker(grant, (outcome) => {
      if (outcome.kind !== 'unsaved' || this.#unsaved) return;
      this.#unsaved = true;
      this.#settle(outcome, grant);
      tell(outcome);
    });
    await this.reload();
    if (report.kind !== 'outcome') {
      const reason = report.kind === 'refused' ? report.error.message : 'the worker gave no outcome';
      return { kind: 'transient', cause: 'server', reason };
    }
    if (report.minted !== undefined && this.#record.grant?.basis === grant.basis) {
      this.#record.holdMinted(report.minted);
      this.#parts.onToken();
    }
    return report.outcome;
  }

  async #runWorker(grant: Grant, onReport: ReportListener): Promise<WorkerReport> {
    try {
      const { account, worker } = this.#parts;
      return await worker.run({ kind: 'refresh', account, basis: grant.basis, tag: grant.tag }, undefined, onReport);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'no worker could be started';
      return { kind: 'outcome', outcome: { kind: 'transient', cause: 'server', reason } };
    }
  }
}
