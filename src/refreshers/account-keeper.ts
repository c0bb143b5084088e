/**
 * Keeps one account's token fresh. All callers share one refresh; after every await the file is asked again what the
 * account is now. No state is sticky: whatever is wrong, the next look at the file can make it right.
 */

import { AipassError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import { Secret } from '../base/secret.ts';
import type { Warning } from '../base/warning.ts';
import type { AccountStatus } from '../protocol/oauth.ts';
import { tokenTag, type AccountDocument } from './account-document.ts';
import { parseAccountName } from './account-name.ts';
import { accountState, accountStatus, grantOf, whyReauth, type AccountView, type Grant, type LastOutcome } from './account-state.ts';
import { HeldToken } from './held-token.ts';
import type { RefreshOutcome } from './outcome.ts';
import { mergeSettings } from './provider-settings.ts';
import { readAccount, type AccountReading } from './read-account.ts';
import { reauthArguments } from './remedy.ts';
import { RetryGate } from './retry-gate.ts';
import { missingScopes } from './scopes.ts';
import type { JobAccount, WorkerReport } from './worker/job.ts';
import type { TokenWorker } from './worker-process.ts';

/** Is what a keeper works with. */
export interface KeeperParts {
  readonly account: JobAccount;
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly worker: TokenWorker;
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

/** Keeps one account. */
export class AccountKeeper {
  readonly name: string;
  readonly #parts: KeeperParts;
  readonly #gate: RetryGate;
  #grant: Grant | null = null;
  #held: HeldToken | null = null;
  #problem: (Warning & { readonly unsafe: boolean }) | null = null;
  #warnings: readonly Warning[] = [];
  #rejection: { readonly basis: string; readonly reason: string; readonly remedy: string } | null = null;
  #last: LastOutcome | null = null;
  #remedy: string | null = null;
  #lastCause: 'network' | 'server' | 'local' = 'server';
  #flight: Promise<RefreshOutcome> | undefined;
  #reads = 0;
  #applied = 0;

  constructor(parts: KeeperParts) {
    this.name = parts.account.name;
    this.#parts = parts;
    this.#gate = new RetryGate(parts.clock, parts.random);
  }

  /** Reads the account's file again and takes over what it says. */
  async reload(): Promise<void> {
    const read = ++this.#reads;
    const reading = await readAccount(this.name, this.#parts.account.file);
    // A slower, older look must not undo a newer one.
    if (read < this.#applied) return;
    this.#applied = read;
    this.#apply(reading);
  }

  /**
   * Returns a token that is good for what the caller needs, renewed first where it is not.
   *
   * @throws AipassError NOT_FOUND, REAUTH_REQUIRED, UNSAFE_PERMISSIONS or PROVIDER_UNAVAILABLE, each with what to do.
   */
  async token(request: TokenRequest): Promise<HeldToken> {
    if (!this.#isWell()) await this.reload();
    this.#assertScopes(request.scopes);
    if (this.#held?.suffices(request.minValidMs) === true) return this.#held;
    if (this.#mayTry()) await this.refresh();
    this.#assertScopes(request.scopes);
    if (this.#held !== null && this.#held.remaining() > 0) return this.#held;
    throw this.#whyNone();
  }

  /** Renews the token now, whatever its age. Everybody who asks meanwhile gets the same outcome. */
  refresh(): Promise<RefreshOutcome> {
    this.#flight ??= this.#run().finally(() => {
      this.#flight = undefined;
    });
    return this.#flight;
  }

  /** Tells whether the regular look has anything to do here; costs next to nothing. */
  needsAttention(): boolean {
    if (this.#flight !== undefined) return false;
    return !this.#isWell() || this.#gate.failures > 0 || this.#held === null || this.#held.isDue();
  }

  /** Does what the regular look finds to do: reads a file that was bad, renews a token that is due. */
  async attend(): Promise<void> {
    if (!this.#isWell()) await this.reload();
    if (!this.#isWell() || this.#grant?.renewable !== true) return;
    // Being online again is reason enough to try; a server that asked for patience gets it.
    if (this.#gate.failures > 0 && this.#lastCause === 'server' && this.#gate.remaining() > 0) return;
    if (this.#held === null || this.#held.isDue() || this.#gate.failures > 0) await this.refresh();
  }

  status(): AccountStatus {
    return accountStatus(this.#view());
  }

  /** Lists what is wrong with the account's file. */
  warnings(): readonly Warning[] {
    return this.#problem === null ? this.#warnings : [this.#problem];
  }

  /** Lists the secrets that are held, for the redactor. */
  *secrets(): Generator<string> {
    if (this.#held !== null) yield this.#held.facts.accessToken.reveal();
  }

  /** Says why the account needs its user, or is failing. */
  explain(): { readonly reason: string; readonly remedy: string } {
    if (this.#last !== null && this.#rejection === null && this.#gate.failures > 0) {
      return { reason: this.#last.reason ?? this.#last.kind, remedy: this.#remedy ?? 'nothing: it is tried again by itself' };
    }
    return whyReauth(this.#view());
  }

  /** Returns how many tries have failed since the last success. */
  get failures(): number {
    return this.#gate.failures;
  }

  /** Calls nobody back any more. */
  stop(): void {
    this.#gate.stop();
  }

  async #run(): Promise<RefreshOutcome> {
    const asked = this.#held;
    let outcome: RefreshOutcome = { kind: 'superseded' };
    for (let start = 0; start < MAX_STARTS; start++) {
      await this.reload();
      const grant = this.#grant;
      // Another program, or a worker that outlived an earlier daemon, has brought what was wanted.
      if (this.#held !== asked && this.#held !== null && !this.#held.isDue() && this.#isWell()) {
        outcome = { kind: 'superseded' };
        break;
      }
      if (grant === null || this.#problem !== null || !grant.renewable) {
        const { reason, remedy } = this.#unusableWords();
        outcome = { kind: 'unusable', reason, remedy };
        break;
      }
      const report = await this.#runWorker(grant);
      if (report.kind !== 'outcome') {
        const reason = report.kind === 'refused' ? report.error.message : 'the worker gave no outcome';
        outcome = { kind: 'transient', cause: 'server', reason };
        break;
      }
      outcome = report.outcome;
      await this.reload();
      if (report.minted !== undefined && this.#grant?.basis === grant.basis) this.#holdMinted(report.minted);
      if (outcome.kind !== 'superseded') {
        this.#record(outcome, grant);
        return outcome;
      }
    }
    this.#record(outcome, this.#grant);
    return outcome;
  }

  async #runWorker(grant: Grant): Promise<WorkerReport> {
    try {
      const { account, worker } = this.#parts;
      return await worker.run({ kind: 'refresh', account, basis: grant.basis, tag: grant.tag });
    } catch (error) {
      const message = error instanceof Error ? error.message : 'no worker could be started';
      return { kind: 'outcome', outcome: { kind: 'transient', cause: 'server', reason: message } };
    }
  }

  #record(outcome: RefreshOutcome, grant: Grant | null): void {
    this.#last = {
      kind: outcome.kind,
      at: this.#parts.clock.now(),
      reason: 'reason' in outcome ? outcome.reason : null,
    };
    this.#remedy = null;
    switch (outcome.kind) {
      case 'refreshed':
      case 'superseded':
        this.#gate.reset();
        if (outcome.kind === 'refreshed') this.#rejection = null;
        break;
      case 'rejected':
        this.#gate.reset();
        // A file that changed while the answer travelled has a new chance.
        if (grant !== null && this.#grant?.basis === grant.basis) {
          this.#rejection = { basis: grant.basis, reason: outcome.reason, remedy: outcome.remedy };
        }
        break;
      case 'transient':
        this.#lastCause = outcome.cause;
        this.#fail(outcome.retryAfterMs);
        break;
      case 'unsaved':
      case 'unusable':
        this.#lastCause = 'local';
        this.#remedy = outcome.remedy;
        if (grant?.renewable === true) this.#fail(undefined);
        break;
    }
    this.#parts.onOutcome(this, outcome);
  }

  #fail(retryAfterMs: number | undefined): void {
    this.#gate.fail(retryAfterMs, () => {
      // An outcome is all that can come of it; nobody waits for it here.
      void this.refresh();
    });
  }

  #apply(reading: AccountReading): void {
    switch (reading.kind) {
      case 'missing':
        this.#grant = null;
        this.#held = null;
        this.#problem = null;
        this.#warnings = [];
        this.#rejection = null;
        this.#gate.reset();
        return;
      case 'unusable':
        // The last good token stays in use for as long as it is valid.
        this.#problem = { ...reading.warning, unsafe: reading.unsafe };
        return;
      case 'read':
        this.#problem = null;
        this.#warnings = reading.warnings;
        this.#adopt(reading.document, reading.basis);
        return;
    }
  }

  #adopt(document: AccountDocument, basis: string): void {
    const settings = mergeSettings(document.settings, this.#parts.account.settings);
    const before = this.#grant;
    const grant = grantOf(document, settings, basis, tokenTag(document));
    this.#grant = grant;
    if (this.#rejection !== null && this.#rejection.basis !== basis) this.#rejection = null;
    if (before !== null && before.basis !== basis) this.#gate.reset();
    if (grant.kind === 'service-account') {
      if (before?.basis !== basis) this.#held = null;
      return;
    }
    const { accessToken, tokenType, scopes, expiresAt, obtainedAt } = document;
    if (accessToken === null) this.#held = null;
    else if (before?.tag !== grant.tag || this.#held?.facts.expiresAt !== expiresAt || before.scopes.join(' ') !== scopes.join(' ')) {
      this.#hold({ accessToken, tokenType, scopes, expiresAt, obtainedAt });
    }
  }

  #holdMinted(minted: { readonly accessToken: string; readonly expiresAt: number | null; readonly scopes: readonly string[] }): void {
    this.#hold({
      accessToken: new Secret(minted.accessToken),
      tokenType: 'Bearer',
      scopes: minted.scopes,
      expiresAt: minted.expiresAt,
      obtainedAt: this.#parts.clock.now(),
    });
  }

  #hold(facts: HeldToken['facts']): void {
    this.#held = new HeldToken(facts, this.#parts.clock, this.#parts.random());
    this.#parts.onToken();
  }

  #isWell(): boolean {
    return this.#grant !== null && this.#problem === null && this.#rejection === null;
  }

  /** Tells whether a caller's wish may start a refresh: not against a refusal, and not against a server's plea. */
  #mayTry(): boolean {
    if (this.#flight !== undefined) return true;
    if (!this.#isWell() || this.#grant?.renewable !== true) return false;
    if (this.#gate.failures === 0) return true;
    return this.#lastCause === 'server' ? this.#gate.remaining() === 0 : this.#gate.allowsUrgent();
  }

  #assertScopes(wanted: readonly string[]): void {
    if (wanted.length === 0 || this.#grant === null) return;
    const provider = parseAccountName(this.name)?.provider ?? this.name;
    const held = this.#held?.facts.scopes ?? this.#grant.scopes;
    // A service account's scopes are known once a token was minted.
    if (this.#grant.kind === 'service-account' && this.#held === null) return;
    const missing = missingScopes(provider, held, wanted);
    if (missing.length === 0) return;
    const all = [...held, ...missing].join(',');
    throw new AipassError('REAUTH_REQUIRED', `the token of ${this.name} lacks ${missing.join(', ')}`, {
      hint:
        this.#grant.kind === 'service-account'
          ? `add them to "scopes" in ${this.#parts.account.file}`
          : `run: aipassd reauth ${reauthArguments(this.name)} --scopes ${all}`,
    });
  }

  #whyNone(): AipassError {
    if (this.#problem !== null) {
      return new AipassError(
        this.#problem.unsafe ? 'UNSAFE_PERMISSIONS' : 'NOT_FOUND',
        `the file of ${this.name} cannot be used: ${this.#problem.subject}: ${this.#problem.problem}`,
        { hint: this.#problem.hint },
      );
    }
    const view = this.#view();
    if (accountState(view) === 'reauth-required') {
      const { reason, remedy } = whyReauth(view);
      return new AipassError('REAUTH_REQUIRED', `${this.name}: ${reason}`, { hint: remedy });
    }
    const reason = this.#last?.reason ?? 'its token could not be renewed yet';
    return new AipassError(this.#lastCause === 'local' ? 'INTERNAL' : 'PROVIDER_UNAVAILABLE', `${this.name}: ${reason}`, {
      hint: this.#remedy ?? 'it is tried again by itself; aipassd status tells more',
      retryAfterMs: Math.max(1, this.#gate.remaining()),
    });
  }

  #unusableWords(): { readonly reason: string; readonly remedy: string } {
    if (this.#problem !== null) return { reason: this.#problem.problem, remedy: this.#problem.hint };
    return whyReauth({ ...this.#view(), rejection: null });
  }

  #view(): AccountView {
    return {
      name: this.name,
      grant: this.#grant,
      held: this.#held,
      problem: this.#problem,
      rejection: this.#rejection,
      refreshing: this.#flight !== undefined,
      failures: this.#gate.failures,
      retryAt: this.#gate.nextAt,
      remedy: this.#remedy,
      last: this.#last,
    };
  }
}
