/**
 * One account: what its file has, the token that is held, and how its last refreshes ended. Keeps
 * the token fresh.
 *
 * All callers share one refresh. After every await the file is asked again what the account is now.
 * No state is sticky: it follows from the last reading of the file and the last outcome, and the
 * next reading can change it.
 */

import { createHash } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { AipassError, type ErrorCode } from '../base/errors.ts';
import { Secret } from '../base/secret.ts';
import { wakeAt, withTimeout } from '../base/timers.ts';
import type { Warning } from '../base/warning.ts';
import type { AccountState, AccountStatus } from '../protocol/oauth.ts';
import { tokenTag } from '../protocol/token-tag.ts';
import {
  accountBasis,
  accountSignature,
  mcpServerOf,
  readAccountFile,
  accessTag,
  type AccountFile,
  type AccountReading,
} from './account-file.ts';
import { providerOf } from './account-name.ts';
import { checkAccountFile, type AccountMemory } from './account-schema.ts';
import { HeldToken } from './held-token.ts';
import {
  errorFrom,
  explainConsentEnd,
  explainCopy,
  explainKept,
  explainMissingToken,
  explainWaiting,
  lacksScopes,
  RENEWED_OFTEN,
  type Explanation,
} from './messages.ts';
import type { JobAccount, RefreshOutcome, WorkerReport } from './worker/job.ts';
import { mergeSettings, missingScopes, type ProviderSettings } from './provider-presets.ts';
import { ForcedRefreshBudget, MAX_BACKOFF_MS, RetryGate } from './retry-gate.ts';
import type { TokenWorker } from './worker-process.ts';

export interface AccountDeps {
  readonly account: JobAccount;
  readonly clock: Clock;
  readonly random: () => number;
  readonly worker: TokenWorker;
  readonly memory: AccountMemory | undefined;
  /** Called with every outcome, after the state has changed. */
  readonly onOutcome: (account: Account, outcome: RefreshOutcome) => void;
  readonly onToken: () => void;
  readonly onGrant: () => void;
}

/** Token that a caller needs. */
export interface TokenRequest {
  readonly minValidMs: number;
  readonly scopes: readonly string[];
  /** Tag of a token that an API has refused; see protocol/oauth.ts. */
  readonly refused?: string | undefined;
}

/** Account's file when a refresh began, by which the end is judged. */
interface FileVersion {
  readonly file: AccountFile;
  readonly signature: string;
}

/** Refresh that is under way. */
interface Flight {
  /** Resolves when a worker has taken it. */
  readonly begun: PromiseWithResolvers<void>;
  readonly outcome: PromiseWithResolvers<RefreshOutcome>;
  /** Whether the worker holds tokens that it cannot write. */
  isUnsaved: boolean;
}

/** Most times that a refresh starts over because the file changed under it. */
const MAX_STARTS = 4;

/**
 * Longest waits of a caller, in milliseconds: while the old token is valid, and when it expired.
 */
const VALID_WAIT_MS = 5_000;
const EXPIRED_WAIT_MS = 30_000;

/** Time before the end of a consent in which its user is warned, in milliseconds (3 days). */
const CONSENT_WARNING_MS = 3 * 86_400_000;

/** Longest wait, in milliseconds, that a timer plans and not the tick. */
const KEEP_ALIVE_TIMER_MS = 5 * 60_000;

/** Difference of two ends of a refresh token that counts as none, in milliseconds. */
const SAME_END_MS = 60_000;

/** Returns a tag of settings, which hold no secret, so that a change of them is noticed. */
function settingsTag(settings: ProviderSettings): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);
}

/**
 * Shortest refresh token that is taken for unique: guessable ones are shorter (RFC 6749 §10.10).
 */
const UNIQUE_LENGTH = 16;

/** Returns the tags of a grant: of the whole document, and of its refresh token at its provider. */
function grantTagsOf(
  { raw, refreshToken }: AccountFile,
  { issuer, tokenEndpoint }: ProviderSettings,
): readonly string[] {
  if (refreshToken === null) return [];
  const document = tokenTag(JSON.stringify(raw));
  const token = refreshToken.reveal();
  if (token.length < UNIQUE_LENGTH) return [document];
  return [document, tokenTag(`${tokenEndpoint ?? issuer ?? ''}\n${token}`)];
}

/** One OAuth account. */
export class Account {
  readonly name: string;
  /** Account whose file holds the same refresh token, and which is the one that is refreshed. */
  copyOf: { readonly name: string; readonly file: string } | null = null;
  /** Tags by which another file with the same grant is recognized. */
  grantTags: readonly string[] = [];
  /** Signature of the account's files when they were read last. */
  signature = '';
  readonly #deps: AccountDeps;
  readonly #gate: RetryGate;
  readonly #forced: ForcedRefreshBudget;
  #file: AccountFile | null = null;
  #settings: ProviderSettings;
  #held: HeldToken | null = null;
  #problem: Extract<AccountReading, { kind: 'unusable' }> | null = null;
  #rejection: (Explanation & { readonly stamp: string }) | null = null;
  #last: AccountStatus['lastOutcome'] = null;
  /** Outcome of the last try, where that failed without a refusal. */
  #failure: Extract<RefreshOutcome, { kind: 'transient' | 'unsaved' | 'unusable' }> | null = null;
  #flight: Flight | undefined;
  /** Number of callers that wait for the refresh under way. */
  #waiting = 0;
  /** End of the refresh token that a refresh did not move. */
  #fixedEnd: number | null = null;
  #cancelKeepAlive: (() => void) | undefined;
  #isStopped = false;
  #reads = 0;
  #applied = 0;

  constructor(deps: AccountDeps) {
    const { account, clock, random, memory } = deps;
    this.name = account.name;
    this.#deps = deps;
    this.#settings = account.settings;
    this.#gate = new RetryGate(clock, random);
    this.#forced = new ForcedRefreshBudget(clock);
    if (memory === undefined) return;
    this.#last = memory.last;
    // The next reading drops a refusal of files that changed meanwhile.
    if (memory.rejection?.settings === settingsTag(account.settings)) this.#rejection = memory.rejection;
  }

  async reload(): Promise<void> {
    const read = ++this.#reads;
    const { account } = this.#deps;
    const signature = await accountSignature(account);
    const reading = await readAccountFile(this.name, account.file, checkAccountFile);
    // A slower, older reading must not undo a newer one.
    if (read < this.#applied) return;
    this.#applied = read;
    const before = this.#held;
    this.#apply(reading, signature);
    if (this.#held !== before) this.#deps.onToken();
  }

  /** Reads the account's file again if it, or the file of its client, changed. */
  async rescan(): Promise<void> {
    if ((await accountSignature(this.#deps.account)) !== this.signature) await this.reload();
  }

  /** Returns the held token where it is good for a caller without special wishes. */
  heldFor(request: TokenRequest): HeldToken | undefined {
    const held = this.#held;
    if (held === null || request.scopes.length > 0 || request.refused !== undefined || !this.isWell()) return undefined;
    return held.suffices(request.minValidMs) ? held : undefined;
  }

  /**
   * Returns a token that is good for what the caller needs, renewed first where it is not.
   *
   * @throws AipassError NOT_FOUND, REAUTH_REQUIRED, UNSAFE_PERMISSIONS, PROVIDER_REJECTED or
   * PROVIDER_UNAVAILABLE, each with what to do.
   */
  async token(request: TokenRequest): Promise<HeldToken> {
    // What fails may have been fixed by hand a moment ago.
    if (!this.isWell() || this.#gate.failures > 0) await this.reload();
    this.#assertScopes(request.scopes);
    if (!this.#isRefused(request) && this.#held?.suffices(request.minValidMs) === true) return this.#held;
    if (this.#mayTry(request)) await this.#awaitRefresh();
    this.#assertScopes(request.scopes);
    if (this.#held !== null && this.#isValid()) return this.#held;
    throw this.#whyNoToken();
  }

  /**
   * Renews the token now, whatever its age. Everybody who asks meanwhile gets the same outcome.
   * While a worker still holds tokens that it cannot write, that is `unsaved` at once, and no other
   * refresh begins.
   */
  refresh(): Promise<RefreshOutcome> {
    if (this.#flight === undefined) {
      const flight: Flight = { begun: Promise.withResolvers(), outcome: Promise.withResolvers(), isUnsaved: false };
      this.#flight = flight;
      this.#run(flight).catch((error: unknown) => {
        this.#land(flight);
        flight.outcome.reject(error);
      });
    }
    return this.#flight.outcome.promise;
  }

  /** Renews the token for a user who waits: before refreshes that nobody waits for. */
  async refreshNow(): Promise<RefreshOutcome> {
    this.#waiting += 1;
    try {
      return await this.refresh();
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Renews the token for a caller that may force only so many refreshes. */
  async forceRefresh(): Promise<RefreshOutcome> {
    if (this.#flight !== undefined || this.#forced.take()) return await this.refreshNow();
    return { kind: 'kept', reason: RENEWED_OFTEN };
  }

  /** Returns whether the regular tick has anything to do here; costs next to nothing. */
  needsAttention(): boolean {
    // A copy is left alone until its file, or the original's, changes.
    if (this.#flight !== undefined || this.copyOf !== null) return false;
    return !this.isWell() || this.#gate.failures > 0 || this.#held === null || this.#held.isDue();
  }

  /** Does what a tick finds to do: reads a file that was bad, renews a token that is due. */
  async attend(): Promise<void> {
    if (!this.isWell()) await this.reload();
    if (!this.isWell() || !this.#isRenewable()) return;
    // Being online again is reason enough to try; a server that asked for patience gets it.
    if (this.#gate.failures > 0 && this.#isServerFailure() && this.#gate.remaining() > 0) return;
    if (this.#held === null || this.#held.isDue() || this.#gate.failures > 0) await this.refresh();
  }

  /** Returns whether there is a token, or one can be had without the user. */
  isWell(): boolean {
    if (this.#file === null || this.#problem !== null || this.copyOf !== null || this.#rejection !== null) return false;
    return this.#isRenewable() || this.#isValid();
  }

  #isValid(): boolean {
    return this.#held !== null && this.#held.remaining() > 0;
  }

  status(): AccountStatus {
    const state = this.state();
    const held = this.#held;
    const isGranted = this.isConsentable && (this.#file?.accessToken ?? null) !== null;
    return {
      name: this.name,
      kind: this.#kind(),
      state,
      scopes: held?.scopes ?? this.#file?.scopes ?? [],
      missingScopes: isGranted ? this.#missing(this.#file?.requestedScopes ?? []) : [],
      expiresAt: held?.expiresAt ?? null,
      refreshExpiresAt: this.#file?.refreshExpiresAt ?? null,
      nextRefreshAt: this.#nextRefresh(state),
      lastOutcome: this.#last,
      action: this.#action(state),
    };
  }

  state(): AccountState {
    const isValid = this.#isValid();
    if (this.#flight?.isUnsaved === false) return 'refreshing';
    if (this.#problem !== null || this.copyOf !== null) return isValid ? 'stale' : 'unusable';
    if (this.#file === null) return 'reauth-required';
    if (this.#rejection !== null) return this.isConsentable ? 'reauth-required' : isValid ? 'stale' : 'failing';
    if (!this.#isRenewable() && !isValid) return 'reauth-required';
    if (this.#gate.failures > 0) return isValid ? 'stale' : 'failing';
    return isValid && this.#held?.isDue() !== true ? 'fresh' : this.#isRenewable() ? 'due' : 'fresh';
  }

  /** Lists what is wrong with the account's file; its mode and owner are the vault's to judge. */
  warnings(): readonly Warning[] {
    const warning = this.#fileWarning();
    return warning === null || (this.copyOf === null && this.#problem?.unsafe === true) ? [] : [warning];
  }

  /** Explains why the account needs its user, or is failing. */
  explain(): Explanation {
    const isFailing = this.#gate.failures > 0 && this.#rejection === null;
    return isFailing ? this.#whyFailing() : this.#whyReauth();
  }

  /** Explains that the consent ends within days, whatever is refreshed; null where it does not. */
  endingConsent(): Explanation | null {
    const end = this.#file?.refreshExpiresAt ?? null;
    if (end === null || this.#fixedEnd === null || this.state() === 'reauth-required') return null;
    const remaining = end - this.#deps.clock.now();
    return remaining > 0 && remaining <= CONSENT_WARNING_MS ? explainConsentEnd(this.name, end) : null;
  }

  get failures(): number {
    return this.#gate.failures;
  }

  get mcpServer(): string | undefined {
    return mcpServerOf(this.#file);
  }

  get file(): string {
    return this.#deps.account.file;
  }

  /**
   * Returns what to remember over a restart, or null; a refusal lasts where only a consent ends it.
   */
  remember(): AccountMemory | null {
    const copyOf = this.copyOf === null ? null : { name: this.copyOf.name, stamp: this.signature };
    if (this.#last === null && copyOf === null) return null;
    const rejection = this.#rejection;
    const isLasting = rejection !== null && this.#file !== null && this.isConsentable;
    const settings = settingsTag(this.#deps.account.settings);
    return { last: this.#last, rejection: isLasting ? { ...rejection, settings } : null, copyOf };
  }

  *secrets(): Generator<string> {
    if (this.#held !== null) yield this.#held.accessToken.reveal();
  }

  /** Cancels the planned tries. A refresh under way comes to its end, and plans no further one. */
  stop(): void {
    this.#isStopped = true;
    this.#gate.stop();
    this.#cancelKeepAlive?.();
  }

  #kind(): AccountStatus['kind'] {
    if (this.#file === null) return 'unknown';
    if (this.#file.form === 'service-account') return 'service-account';
    if (this.#settings.clientCredentials === true && this.#file.refreshToken === null) return 'client-credentials';
    return this.#file.form === 'oauth' ? 'oauth' : 'google';
  }

  get isConsentable(): boolean {
    const kind = this.#kind();
    return kind !== 'service-account' && kind !== 'client-credentials';
  }

  /** Returns whether a new token can be had without the user. */
  #isRenewable(): boolean {
    return this.#file !== null && (this.#file.refreshToken !== null || !this.isConsentable);
  }

  #isRefused({ refused }: TokenRequest): boolean {
    return refused !== undefined && this.#held !== null && tokenTag(this.#held.accessToken.reveal()) === refused;
  }

  /** Returns whether the server failed, so that its wait is kept. */
  #isServerFailure(): boolean {
    return this.#failure === null || (this.#failure.kind === 'transient' && this.#failure.cause === 'server');
  }

  /** Returns whether a caller may start a refresh: not against a refusal or a server's plea. */
  #mayTry(request: TokenRequest): boolean {
    if (this.#flight !== undefined) return true;
    if (!this.isWell() || !this.#isRenewable()) return false;
    if (this.#gate.failures > 0) {
      return this.#isServerFailure() ? this.#gate.remaining() === 0 : this.#gate.allowsUrgent();
    }
    const isEnough = this.#held?.suffices(request.minValidMs) === true;
    return !isEnough || this.#forced.take();
  }

  /** Waits for a refresh from when a worker takes it; with a valid token for a moment in all. */
  async #awaitRefresh(): Promise<void> {
    const isValid = this.#isValid();
    const refresh = this.refreshNow();
    if (!isValid) await this.#flight?.begun.promise;
    await withTimeout<unknown, void>(this.#deps.clock, isValid ? VALID_WAIT_MS : EXPIRED_WAIT_MS, refresh, () => {});
  }

  /** Throws where a wanted scope is lacking: a Drive token is never handed out for Calendar. */
  #assertScopes(wanted: readonly string[]): void {
    // A service account's scopes are known once a token was minted.
    if (wanted.length === 0 || this.#file === null) return;
    if (this.#kind() === 'service-account' && this.#held === null) return;
    const missing = this.#missing(wanted);
    if (missing.length === 0) return;
    throw lacksScopes(this.#deps.account, this.isConsentable, this.#file.requestedScopes, missing);
  }

  #missing(wanted: readonly string[]): string[] {
    return missingScopes(providerOf(this.name), this.#held?.scopes ?? this.#file?.scopes ?? [], wanted);
  }

  /** Explains why there is no valid token after all that could be tried was tried. */
  #whyNoToken(): AipassError {
    const warning = this.#fileWarning();
    if (warning !== null) {
      const { unsafe = false, unsupported = false } = this.#problem ?? {};
      const code = unsafe ? 'UNSAFE_PERMISSIONS' : unsupported ? 'UNSUPPORTED' : 'NOT_FOUND';
      return new AipassError(
        this.copyOf === null ? code : 'CONFLICT',
        `the file of ${this.name} cannot be used: ${warning.subject}: ${warning.problem}`,
        { hint: warning.hint },
      );
    }
    if (this.#rejection !== null || this.state() === 'reauth-required') {
      const { reason, remedy } = this.#whyReauth();
      const code = this.isConsentable ? 'REAUTH_REQUIRED' : 'PROVIDER_REJECTED';
      return errorFrom(code, { reason: `${this.name}: ${reason}`, remedy });
    }
    const { reason, remedy } = this.#whyFailing();
    return new AipassError(this.#failureCode(), `${this.name}: ${reason}`, {
      hint: remedy,
      retryAfterMs: Math.max(1, this.#gate.remaining()),
    });
  }

  /** Only a file that cannot be written has no better code than INTERNAL. */
  #failureCode(): ErrorCode {
    if (this.#failure === null || this.#failure.kind === 'transient') return 'PROVIDER_UNAVAILABLE';
    if (this.#failure.kind === 'unsaved') return 'INTERNAL';
    return this.#failure.unsupported === true ? 'UNSUPPORTED' : 'NOT_FOUND';
  }

  #whyFailing(): Explanation {
    return explainWaiting(this.#last?.reason, this.#failure?.remedy);
  }

  #whyReauth(): Explanation {
    return this.#rejection ?? explainMissingToken(this.name, this.#file !== null && this.#held !== null);
  }

  #fileWarning(): Warning | null {
    if (this.copyOf !== null) return explainCopy(this.#deps.account.file, this.copyOf.file);
    return this.#problem?.warning ?? null;
  }

  #nextRefresh(state: AccountState): number | null {
    if (!this.#isRenewable() || this.#problem !== null || this.copyOf !== null) return null;
    if (state === 'reauth-required') return this.#gate.nextAt;
    return this.#gate.nextAt ?? this.#held?.dueAt ?? null;
  }

  #action(state: AccountState): string | null {
    const warning = this.#fileWarning();
    if (warning !== null) return warning.hint;
    if (this.#rejection !== null || state === 'reauth-required') return this.#whyReauth().remedy;
    if (state === 'stale' || state === 'failing') return this.#failure?.remedy ?? null;
    return this.endingConsent()?.remedy ?? null;
  }

  /** Takes over a reading of the file; `signature` is that of the files that were read. */
  #apply(reading: AccountReading, signature: string): void {
    const before = this.signature;
    this.signature = signature;
    switch (reading.kind) {
      case 'missing':
        this.#file = null;
        this.#setGrant(null);
        this.#held = null;
        this.#problem = null;
        this.#rejection = null;
        this.#gate.reset();
        return;
      case 'unusable':
        // The last good token stays in use for as long as it is valid.
        this.#problem = reading;
        return;
      case 'read':
        this.#problem = null;
        this.#adopt(reading.account, signature, before);
        return;
    }
  }

  #adopt(file: AccountFile, signature: string, signatureBefore: string): void {
    const before = this.#file;
    this.#file = file;
    this.#settings = mergeSettings(file.settings, this.#deps.account.settings);
    this.#setGrant(file);
    // Whatever was changed by hand, a client's secret or an endpoint too, deserves a try.
    if (this.#rejection !== null && this.#rejection.stamp !== signature) {
      this.#rejection = null;
      this.#gate.reset();
    }
    const isSameGrant = before !== null && accountBasis(before) === accountBasis(file);
    if (before !== null && !isSameGrant) this.#gate.reset();
    const isLocal = this.#failure !== null && this.#failure.kind !== 'transient';
    if (before !== null && signatureBefore !== signature && isLocal) this.#gate.reset();
    if (file.form === 'service-account') {
      if (!isSameGrant) this.#held = null;
      return;
    }
    if (file.accessToken === null) {
      this.#held = null;
      return;
    }
    // A provider may grant the same token again.
    const isSameToken =
      before !== null && accessTag(before) === accessTag(file) && before.obtainedAt === file.obtainedAt;
    const isUnchanged =
      isSameToken &&
      this.#held !== null &&
      before.expiresAt === file.expiresAt &&
      before.refreshExpiresAt === file.refreshExpiresAt &&
      before.scopes.join(' ') === file.scopes.join(' ');
    if (isUnchanged) return;
    // A token that came while the daemon ran was obtained now, where its file does not have the
    // time.
    const isNew = before !== null && !isSameToken;
    const obtainedAt = file.obtainedAt ?? (isNew ? this.#deps.clock.now() : null);
    const wasCertain = isSameToken && this.#held?.isCertain === true;
    const isCertain = isNew || wasCertain || (file.expiresAt !== null && !file.isGuessed);
    this.#hold({ ...file, accessToken: file.accessToken, obtainedAt }, isCertain);
  }

  #setGrant(file: AccountFile | null): void {
    const tags = file === null ? [] : grantTagsOf(file, this.#settings);
    if (tags.join(' ') === this.grantTags.join(' ')) return;
    this.grantTags = tags;
    this.#deps.onGrant();
  }

  #hold(file: AccountFile & { readonly accessToken: Secret }, isCertain: boolean): void {
    const { clock, random } = this.#deps;
    const held = new HeldToken(file, isCertain, clock, random());
    this.#held = held;
    this.#cancelKeepAlive?.();
    this.#cancelKeepAlive = undefined;
    // The tick, which comes once a minute, may be too late for a session of a minute.
    if (this.#isStopped || held.keepAliveAt === null) return;
    if (held.keepAliveAt - clock.now() > KEEP_ALIVE_TIMER_MS) return;
    this.#cancelKeepAlive = wakeAt(clock, held.keepAliveAt, () => {
      this.attend().catch(() => {});
    });
  }

  async #run(flight: Flight): Promise<void> {
    const before = this.#held;
    const endBefore = this.#file?.refreshExpiresAt ?? null;
    let outcome: RefreshOutcome = { kind: 'superseded' };
    let start: FileVersion | null = null;
    for (let tries = 0; tries < MAX_STARTS && outcome.kind === 'superseded'; tries++) {
      await this.reload();
      const held = this.#held;
      start = this.#file && { file: this.#file, signature: this.signature };
      // Another program, or a worker that outlived an earlier daemon, has brought what was wanted.
      if (held !== before && held !== null && !held.isDue() && this.isWell()) break;
      outcome = await this.#exchange(start, flight);
    }
    if (outcome.kind === 'refreshed') this.#noteEnd(endBefore);
    this.#note(outcome, start);
    // Whoever hears of the outcome sees the account as it is now, not as refreshing.
    this.#land(flight);
    this.#deps.onOutcome(this, outcome);
    flight.outcome.resolve(outcome);
  }

  /** Ends a flight; the next refresh may begin. */
  #land(flight: Flight): void {
    flight.begun.resolve();
    if (this.#flight === flight) this.#flight = undefined;
  }

  /** Notes the end of a refresh token that a refresh did not move: it is the end of the consent. */
  #noteEnd(before: number | null): void {
    const end = this.#file?.refreshExpiresAt ?? null;
    this.#fixedEnd = end !== null && before !== null && Math.abs(end - before) <= SAME_END_MS ? end : null;
  }

  async #exchange(start: FileVersion | null, flight: Flight): Promise<RefreshOutcome> {
    const warning = this.#fileWarning();
    if (warning !== null) return { kind: 'unusable', reason: warning.problem, remedy: warning.hint };
    if (start === null || !this.#isRenewable()) return this.#notRenewable();
    const { account, worker, clock, onToken } = this.#deps;
    const basis = accountBasis(start.file);
    const report = await worker
      .run(
        { kind: 'refresh', account, basis, tag: accessTag(start.file) },
        {
          onStart: flight.begun.resolve,
          isUrgent: () => this.#waiting > 0,
          onReport: (outcome) => {
            if (outcome.kind !== 'unsaved' || flight.isUnsaved) return;
            flight.isUnsaved = true;
            this.#note(outcome, start);
            flight.outcome.resolve(outcome);
            this.#deps.onOutcome(this, outcome);
          },
        },
      )
      .catch((error: unknown): WorkerReport => {
        const reason = error instanceof Error ? error.message : 'no worker could be started';
        return { kind: 'outcome', outcome: { kind: 'transient', cause: 'server', reason } };
      });
    // The worker has written the new token into the file.
    await this.reload();
    if (report.kind !== 'outcome') {
      const reason = report.kind === 'refused' ? report.error.message : 'the worker gave no outcome';
      return { kind: 'transient', cause: 'server', reason };
    }
    const { minted, outcome } = report;
    if (minted !== undefined && this.#file !== null && accountBasis(this.#file) === basis) {
      const { expiresAt, scopes } = minted;
      const accessToken = new Secret(minted.accessToken);
      this.#hold({ ...this.#file, accessToken, scopes, expiresAt, obtainedAt: clock.now() }, true);
      onToken();
    }
    return outcome;
  }

  /** Only an account without a valid token needs its user. */
  #notRenewable(): RefreshOutcome {
    if (this.#file !== null && this.#held !== null && this.#isValid()) {
      return { kind: 'kept', reason: explainKept(this.#held.expiresAt) };
    }
    const { reason, remedy } = this.#whyReauth();
    return { kind: 'unusable', reason, remedy };
  }

  /** Notes how a refresh ended, and plans the next try after a failure. */
  #note(outcome: RefreshOutcome, start: FileVersion | null): void {
    if (outcome.kind === 'kept') return;
    const retry = (): void => {
      // Nobody waits for it here; what it brings is in the state.
      this.refresh().catch(() => {});
    };
    const reason = 'reason' in outcome ? outcome.reason : null;
    this.#last = { kind: outcome.kind, at: this.#deps.clock.now(), reason };
    this.#failure = null;
    switch (outcome.kind) {
      case 'refreshed':
      case 'superseded':
        this.#gate.reset();
        if (outcome.kind === 'refreshed') this.#rejection = null;
        break;
      case 'rejected':
        this.#gate.reset();
        // A file that changed while the answer travelled has a new chance.
        if (start === null || this.signature !== start.signature) break;
        this.#rejection = { stamp: start.signature, reason: outcome.reason, remedy: outcome.remedy };
        // Nobody consents for these, and a refusal may be a wrong clock's fault: nothing of theirs
        // is used up by asking again.
        if (!this.isConsentable) this.#gate.fail(MAX_BACKOFF_MS, retry);
        break;
      case 'transient': {
        this.#failure = outcome;
        const remaining = this.#held?.remaining() ?? 0;
        this.#gate.fail(outcome.retryAfterMs, retry, remaining > 0 ? remaining : undefined);
        break;
      }
      case 'unsaved':
      case 'unusable':
        this.#failure = outcome;
        if (start !== null && this.#isRenewable()) this.#gate.fail(undefined, retry);
        break;
    }
    if (this.#isStopped) this.#gate.stop();
  }
}
