/**
 * One account: what its file has, the token that is held, and how its last refreshes ended. Keeps
 * the token fresh.
 *
 * All callers share one refresh. After every await the file is asked again what the account is now.
 * No state is sticky: it follows from the last reading of the file and the last outcome, and the
 * next reading can change it.
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
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
import { checkAccountFile } from './account-schema.ts';
import { HeldToken } from './held-token.ts';
import { explainConsentEnd, explainCopy, explainMissingToken, lacksScopes, type Explanation } from './messages.ts';
import type { JobAccount, MintedToken, RefreshOutcome, WorkerReport } from './worker/job.ts';
import { mergeSettings, missingScopes, type ProviderSettings } from './provider-presets.ts';
import { ForcedRefreshBudget, MAX_BACKOFF_MS, RetryGate } from './retry-gate.ts';
import type { TokenWorker } from './worker-process.ts';

/** What an account is wired with. */
export interface AccountDeps {
  readonly account: JobAccount;
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
  readonly worker: TokenWorker;
  readonly memory: AccountMemory | undefined;
  /** Called with every outcome, after the state has changed. */
  readonly onOutcome: (account: Account, outcome: RefreshOutcome) => void;
  /** Called when a new access token is held. */
  readonly onToken: () => void;
  /** Called when the account's grant changed. */
  readonly onGrant: () => void;
}

/** Token that a caller needs. */
export interface TokenRequest {
  readonly minValidMs: number;
  readonly scopes: readonly string[];
  /** Tag of a token that an API has refused; see protocol/oauth.ts. */
  readonly refused?: string | undefined;
}

/** State of an account's file at the begin of a refresh, by which the end is judged. */
interface FileVersion {
  readonly basis: string;
  readonly tag: string;
  readonly signature: string;
}

/** Most times that a refresh starts over because the file changed under it. */
const MAX_STARTS = 4;

/**
 * Longest wait of a caller for a provider, in milliseconds: while the old token is valid, and when
 * it has expired.
 */
const VALID_WAIT_MS = 5_000;
const EXPIRED_WAIT_MS = 30_000;

/** Time before the end of a consent in which its user is warned, in milliseconds (3 days). */
const CONSENT_WARNING_MS = 3 * 86_400_000;

/**
 * Longest wait for which a timer keeps a refresh token from ending; for a longer one the tick does.
 */
const KEEP_ALIVE_TIMER_MS = 5 * 60_000;

/** Difference of two ends of a refresh token that counts as none, in milliseconds. */
const SAME_END_MS = 60_000;

const memorySchema = z.object({
  last: z.object({ kind: z.string(), at: z.number(), reason: z.string().nullable() }).nullable(),
  rejection: z.object({ stamp: z.string(), settings: z.string(), reason: z.string(), remedy: z.string() }).nullable(),
  copyOf: z.object({ name: z.string(), stamp: z.string() }).nullish(),
});

/** What is remembered of an account over a restart. Holds no secret, and nothing made of one. */
export type AccountMemory = z.infer<typeof memorySchema>;

/** Parses what was remembered, by account; what has another shape is dropped. */
export function parseMemories(section: unknown): ReadonlyMap<string, AccountMemory> {
  const entries = typeof section === 'object' && section !== null ? Object.entries(section) : [];
  return new Map(
    entries.flatMap(([name, value]): [string, AccountMemory][] => {
      const parsed = memorySchema.safeParse(value);
      return parsed.success ? [[name, parsed.data]] : [];
    }),
  );
}

/**
 * Returns a tag of a provider's settings, so that a change of the configuration is noticed. They
 * hold no secret.
 */
function settingsTag(settings: ProviderSettings): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);
}

/**
 * Shortest refresh token that is taken for unique, in characters: one that cannot be guessed (RFC
 * 6749 §10.10) is longer.
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

/**
 * Returns the code for a caller after a failure on this machine: only a file that cannot be written
 * has no better one.
 */
function failureCode(outcome: Extract<RefreshOutcome, { kind: 'unsaved' | 'unusable' }>): ErrorCode {
  if (outcome.kind === 'unsaved') return 'INTERNAL';
  return outcome.unsupported === true ? 'UNSUPPORTED' : 'NOT_FOUND';
}

/** One OAuth account. */
export class Account {
  readonly name: string;
  readonly #deps: AccountDeps;
  readonly #gate: RetryGate;
  readonly #forced: ForcedRefreshBudget;
  #file: AccountFile | null = null;
  #settings: ProviderSettings;
  #held: HeldToken | null = null;
  /** Why the file cannot be used. */
  #problem: Extract<AccountReading, { kind: 'unusable' }> | null = null;
  /** Account whose file holds the same refresh token, and which is the one that is refreshed. */
  #copyOf: { readonly name: string; readonly file: string } | null = null;
  #grantTags: readonly string[] = [];
  #rejection: (Explanation & { readonly stamp: string }) | null = null;
  #last: AccountStatus['lastOutcome'] = null;
  #remedy: string | null = null;
  #cause: 'network' | 'server' | 'local' = 'server';
  /** Code of the error for a caller, while the last try has failed. */
  #failure: ErrorCode = 'PROVIDER_UNAVAILABLE';
  #flight: Promise<RefreshOutcome> | undefined;
  /** Resolves when a worker has taken the refresh that is under way. */
  #begun: Promise<void> | undefined;
  /** Number of callers that wait for the refresh under way. */
  #waiting = 0;
  /** Whether the worker under way holds tokens that it cannot write. */
  #unsaved = false;
  /** End of the refresh token that a refresh did not move. */
  #fixedEnd: number | null = null;
  #cancelKeepAlive: (() => void) | undefined;
  #reads = 0;
  #applied = 0;
  #signature: string | undefined;

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

  /** Reads the account's file again and takes over what it has. */
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

  /**
   * Reads the account's file again if it, or the file of its client, is not the one that was read
   * last.
   */
  async rescan(): Promise<void> {
    if ((await accountSignature(this.#deps.account)) !== this.#signature) await this.reload();
  }

  /**
   * Returns the held token where it is good for a caller without special wishes, from memory alone.
   */
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
    if (this.#held !== null && this.#held.remaining() > 0) return this.#held;
    throw this.#whyNoToken();
  }

  /**
   * Renews the token now, whatever its age. Everybody who asks meanwhile gets the same outcome.
   * While a worker still holds tokens that it cannot write, that is `unsaved` at once, and no other
   * refresh begins.
   */
  refresh(): Promise<RefreshOutcome> {
    if (this.#flight !== undefined) return this.#flight;
    const reported = Promise.withResolvers<RefreshOutcome>();
    const begun = Promise.withResolvers<void>();
    this.#begun = begun.promise;
    const whole = this.#run(reported.resolve, begun.resolve).finally(() => {
      begun.resolve();
      this.#flight = undefined;
      this.#unsaved = false;
    });
    this.#flight = Promise.race([reported.promise, whole]);
    return this.#flight;
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
    return { kind: 'kept', reason: 'it was renewed several times within the last minutes; the token is kept' };
  }

  /** Returns whether the regular tick has anything to do here; costs next to nothing. */
  needsAttention(): boolean {
    // A copy is left alone until its file, or the original's, changes.
    if (this.#flight !== undefined || this.#copyOf !== null) return false;
    return !this.isWell() || this.#gate.failures > 0 || this.#held === null || this.#held.isDue();
  }

  /** Does what a tick finds to do: reads a file that was bad, renews a token that is due. */
  async attend(): Promise<void> {
    if (!this.isWell()) await this.reload();
    if (!this.isWell() || !this.#isRenewable()) return;
    // Being online again is reason enough to try; a server that asked for patience gets it.
    if (this.#gate.failures > 0 && this.#cause === 'server' && this.#gate.remaining() > 0) return;
    if (this.#held === null || this.#held.isDue() || this.#gate.failures > 0) await this.refresh();
  }

  /**
   * Returns whether there is a token, or one can be had without the user. Then the file is usable,
   * and its grant is neither refused nor used up.
   */
  isWell(): boolean {
    if (this.#file === null || this.#problem !== null || this.#copyOf !== null || this.#rejection !== null)
      return false;
    return this.#isRenewable() || (this.#held?.remaining() ?? 0) > 0;
  }

  /** Describes the account for `status`. */
  status(): AccountStatus {
    const state = this.state();
    const held = this.#held;
    return {
      name: this.name,
      kind: this.#kind(),
      state,
      scopes: held?.facts.scopes ?? this.#file?.scopes ?? [],
      missingScopes: this.#lackingScopes(),
      expiresAt: held?.facts.expiresAt ?? null,
      refreshExpiresAt: this.#file?.refreshExpiresAt ?? null,
      nextRefreshAt: this.#nextRefresh(state),
      lastOutcome: this.#last,
      action: this.#action(state),
    };
  }

  /** Returns the state that the account is in now. */
  state(): AccountState {
    const isValid = (this.#held?.remaining() ?? 0) > 0;
    if (this.#flight !== undefined && !this.#unsaved) return 'refreshing';
    if (this.#problem !== null || this.#copyOf !== null) return isValid ? 'stale' : 'unusable';
    if (this.#file === null) return 'reauth-required';
    if (this.#rejection !== null) return this.isConsentable ? 'reauth-required' : isValid ? 'stale' : 'failing';
    if (!this.#isRenewable() && !isValid) return 'reauth-required';
    if (this.#gate.failures > 0) return isValid ? 'stale' : 'failing';
    return isValid && this.#held?.isDue() !== true ? 'fresh' : this.#isRenewable() ? 'due' : 'fresh';
  }

  /** Lists what is wrong with the account's file; its mode and owner are the vault's to judge. */
  warnings(): readonly Warning[] {
    const copy = this.#copyWarning();
    if (copy !== null) return [copy];
    return this.#problem === null || this.#problem.unsafe ? [] : [this.#problem.warning];
  }

  /** Explains why the account needs its user, or is failing. */
  explain(): Explanation {
    if (this.#gate.failures > 0 && this.#last !== null && this.#rejection === null) {
      const remedy = this.#remedy ?? 'nothing: aipassd tries again by itself';
      return { reason: this.#last.reason ?? this.#last.kind, remedy };
    }
    return this.#whyReauth();
  }

  /**
   * Explains that the consent ends within days and that refreshing does not extend it; null where
   * that is not so.
   */
  endingConsent(): Explanation | null {
    const end = this.#file?.refreshExpiresAt ?? null;
    if (end === null || this.#fixedEnd === null || this.state() === 'reauth-required') return null;
    const remaining = end - this.#deps.clock.now();
    return remaining > 0 && remaining <= CONSENT_WARNING_MS ? explainConsentEnd(this.name, end) : null;
  }

  /** Number of tries that have failed since the last success. */
  get failures(): number {
    return this.#gate.failures;
  }

  /**
   * Tags by which another file with the same grant is recognized; none where there is no refresh
   * token.
   */
  get grantTags(): readonly string[] {
    return this.#grantTags;
  }

  /** Signature of the account's files when they were read last. */
  get signature(): string {
    return this.#signature ?? '';
  }

  /** Address of the MCP server that the account is for, or undefined. */
  get mcpServer(): string | undefined {
    return mcpServerOf(this.#file);
  }

  /** Path of the account's file. */
  get file(): string {
    return this.#deps.account.file;
  }

  /**
   * Notes that another account's file holds the same refresh token and is the one that is
   * refreshed; null ends that.
   */
  setCopyOf(original: { readonly name: string; readonly file: string } | null): void {
    this.#copyOf = original;
  }

  /**
   * Returns what is worth remembering over a restart, or null. Only a consent ends what is
   * remembered as refused.
   */
  remember(): AccountMemory | null {
    const copyOf = this.#copyOf === null ? null : { name: this.#copyOf.name, stamp: this.signature };
    if (this.#last === null && copyOf === null) return null;
    const rejection = this.#rejection;
    const isLasting = rejection !== null && this.#file !== null && this.isConsentable;
    const settings = settingsTag(this.#deps.account.settings);
    return { last: this.#last, rejection: isLasting ? { ...rejection, settings } : null, copyOf };
  }

  /** Lists the secrets that are held, for the redactor. */
  *secrets(): Generator<string> {
    if (this.#held !== null) yield this.#held.facts.accessToken.reveal();
  }

  /** Cancels the planned refreshes. */
  stop(): void {
    this.#gate.stop();
    this.#cancelKeepAlive?.();
  }

  #kind(): AccountStatus['kind'] {
    if (this.#file === null) return 'unknown';
    if (this.#file.form === 'service-account') return 'service-account';
    if (this.#settings.clientCredentials === true && this.#file.refreshToken === null) return 'client-credentials';
    return this.#file.form === 'oauth' ? 'oauth' : 'google';
  }

  /** Returns whether a user can consent anew. */
  get isConsentable(): boolean {
    const kind = this.#kind();
    return kind !== 'service-account' && kind !== 'client-credentials';
  }

  /** Returns whether a new token can be had without the user. */
  #isRenewable(): boolean {
    return this.#file !== null && (this.#file.refreshToken !== null || !this.isConsentable);
  }

  #isRefused({ refused }: TokenRequest): boolean {
    return refused !== undefined && this.#held !== null && tokenTag(this.#held.facts.accessToken.reveal()) === refused;
  }

  /**
   * Returns whether a caller's wish may start or await a refresh: not against a refusal, and not
   * against a server's plea.
   */
  #mayTry(request: TokenRequest): boolean {
    if (this.#flight !== undefined) return true;
    if (!this.isWell() || !this.#isRenewable()) return false;
    if (this.#gate.failures > 0) {
      return this.#cause === 'server' ? this.#gate.remaining() === 0 : this.#gate.allowsUrgent();
    }
    const isEnough = this.#held?.suffices(request.minValidMs) === true;
    return !isEnough || this.#forced.take();
  }

  /**
   * Waits for a refresh: from when a worker takes it, and while the old token is valid no longer
   * than a moment in all.
   */
  async #awaitRefresh(): Promise<void> {
    const isValid = (this.#held?.remaining() ?? 0) > 0;
    const flight = this.refresh();
    this.#waiting += 1;
    try {
      if (!isValid) await this.#begun;
      await withTimeout<unknown, void>(this.#deps.clock, isValid ? VALID_WAIT_MS : EXPIRED_WAIT_MS, flight, () => {});
    } finally {
      this.#waiting -= 1;
    }
  }

  /**
   * Throws where the account's token lacks a wanted scope: a Drive token is never handed out for
   * Calendar.
   */
  #assertScopes(wanted: readonly string[]): void {
    // A service account's scopes are known once a token was minted.
    if (wanted.length === 0 || this.#file === null) return;
    if (this.#kind() === 'service-account' && this.#held === null) return;
    const scopes = this.#held?.facts.scopes ?? this.#file.scopes;
    const missing = missingScopes(providerOf(this.name), scopes, wanted);
    if (missing.length === 0) return;
    throw lacksScopes(this.#deps.account, this.isConsentable, this.#file.requestedScopes, missing);
  }

  /** Returns the scopes that were asked for and not granted. */
  #lackingScopes(): string[] {
    if (this.#file === null || this.#file.accessToken === null || !this.isConsentable) return [];
    return missingScopes(
      providerOf(this.name),
      this.#held?.facts.scopes ?? this.#file.scopes,
      this.#file.requestedScopes,
    );
  }

  /** Explains why there is no valid token after all that could be tried was tried. */
  #whyNoToken(): AipassError {
    const copy = this.#copyWarning();
    if (copy !== null) {
      return new AipassError('CONFLICT', `the file of ${this.name} ${copy.problem}`, { hint: copy.hint });
    }
    if (this.#problem !== null) {
      const { unsafe, unsupported, warning } = this.#problem;
      const { subject, problem, hint } = warning;
      const code = unsafe ? 'UNSAFE_PERMISSIONS' : unsupported === true ? 'UNSUPPORTED' : 'NOT_FOUND';
      const message = `the file of ${this.name} cannot be used: ${subject}: ${problem}`;
      return new AipassError(code, message, { hint });
    }
    if (this.#rejection !== null || this.state() === 'reauth-required') {
      const { reason, remedy } = this.#whyReauth();
      const code = this.isConsentable ? 'REAUTH_REQUIRED' : 'PROVIDER_REJECTED';
      return new AipassError(code, `${this.name}: ${reason}`, { hint: remedy });
    }
    const reason = this.#last?.reason ?? 'its token could not be renewed yet';
    return new AipassError(this.#failure, `${this.name}: ${reason}`, {
      hint: this.#remedy ?? 'aipassd tries again by itself; see: aipassd status',
      retryAfterMs: Math.max(1, this.#gate.remaining()),
    });
  }

  #whyReauth(): Explanation {
    if (this.#rejection !== null) return { reason: this.#rejection.reason, remedy: this.#rejection.remedy };
    return explainMissingToken(this.name, this.#file !== null && this.#held !== null);
  }

  #copyWarning(): Warning | null {
    if (this.#copyOf === null) return null;
    const { file } = this.#deps.account;
    return { subject: file, ...explainCopy(file, this.#copyOf.file) };
  }

  #nextRefresh(state: AccountState): number | null {
    if (!this.#isRenewable() || this.#problem !== null || this.#copyOf !== null) return null;
    if (state === 'reauth-required') return this.#gate.nextAt;
    return this.#gate.nextAt ?? this.#held?.dueAt ?? null;
  }

  #action(state: AccountState): string | null {
    if (this.#copyOf !== null) return this.#copyWarning()?.hint ?? null;
    if (this.#problem !== null) return this.#problem.warning.hint;
    if (this.#rejection !== null || state === 'reauth-required') return this.#whyReauth().remedy;
    if (state === 'stale' || state === 'failing') return this.#remedy;
    return this.endingConsent()?.remedy ?? null;
  }

  /** Takes over a reading of the file; `signature` is that of the files that were read. */
  #apply(reading: AccountReading, signature: string): void {
    const before = this.#signature;
    this.#signature = signature;
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

  #adopt(file: AccountFile, signature: string, signatureBefore: string | undefined): void {
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
    if (before !== null && signatureBefore !== signature && this.#cause === 'local') this.#gate.reset();
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
    const seenAt = isNew ? this.#deps.clock.now() : null;
    const { accessToken, tokenType, scopes, expiresAt, obtainedAt, refreshExpiresAt, isGuessed } = file;
    const wasNew = isSameToken && this.#held?.facts.isCertain === true;
    this.#hold({
      accessToken,
      tokenType,
      scopes,
      expiresAt,
      obtainedAt: obtainedAt ?? seenAt,
      refreshExpiresAt,
      isCertain: isNew || wasNew || (expiresAt !== null && !isGuessed),
      renewable: file.refreshToken !== null,
    });
  }

  #setGrant(file: AccountFile | null): void {
    const tags = file === null ? [] : grantTagsOf(file, this.#settings);
    if (tags.join(' ') === this.#grantTags.join(' ')) return;
    this.#grantTags = tags;
    this.#deps.onGrant();
  }

  #hold(facts: HeldToken['facts']): void {
    const { clock, random } = this.#deps;
    const held = new HeldToken(facts, clock, random());
    this.#held = held;
    this.#cancelKeepAlive?.();
    this.#cancelKeepAlive = undefined;
    // The tick, which comes once a minute, may be too late for a session of a minute.
    if (held.keepAliveAt === null || held.keepAliveAt - clock.now() > KEEP_ALIVE_TIMER_MS) return;
    this.#cancelKeepAlive = wakeAt(clock, held.keepAliveAt, () => {
      this.attend().catch(() => {});
    });
  }

  #holdMinted(minted: MintedToken): void {
    this.#hold({
      accessToken: new Secret(minted.accessToken),
      tokenType: 'Bearer',
      scopes: minted.scopes,
      expiresAt: minted.expiresAt,
      obtainedAt: this.#deps.clock.now(),
    });
  }

  async #run(report: (outcome: RefreshOutcome) => void, begin: () => void): Promise<RefreshOutcome> {
    const before = this.#held;
    const endBefore = this.#file?.refreshExpiresAt ?? null;
    let outcome: RefreshOutcome = { kind: 'superseded' };
    let start: FileVersion | null = null;
    for (let tries = 0; tries < MAX_STARTS && outcome.kind === 'superseded'; tries++) {
      await this.reload();
      const held = this.#held;
      start = this.#start();
      // Another program, or a worker that outlived an earlier daemon, has brought what was wanted.
      if (held !== before && held !== null && !held.isDue() && this.isWell()) break;
      outcome = await this.#exchange(start, report, begin);
    }
    if (outcome.kind === 'refreshed') this.#noteEnd(endBefore);
    this.#settle(outcome, start);
    return outcome;
  }

  /**
   * Returns how long the held token is still valid, in milliseconds, or undefined where none is.
   */
  #lifeLeft(): number | undefined {
    const remaining = this.#held?.remaining() ?? 0;
    return remaining > 0 ? remaining : undefined;
  }

  #start(): FileVersion | null {
    const file = this.#file;
    if (file === null) return null;
    return { basis: accountBasis(file), tag: accessTag(file), signature: this.#signature ?? '' };
  }

  /**
   * Notes whether a refresh moved the end of the refresh token: one that stays is the end of the
   * consent.
   */
  #noteEnd(before: number | null): void {
    const end = this.#file?.refreshExpiresAt ?? null;
    this.#fixedEnd = end !== null && before !== null && Math.abs(end - before) <= SAME_END_MS ? end : null;
  }

  #settle(outcome: RefreshOutcome, start: FileVersion | null): void {
    this.#record(outcome, start, () => {
      // Nobody waits for it here; what it brings is in the state.
      this.refresh().catch(() => {});
    });
    this.#deps.onOutcome(this, outcome);
  }

  /** Notes how a refresh ended; `retry` is called once when a failed one may be tried again. */
  #record(outcome: RefreshOutcome, start: FileVersion | null, retry: () => void): void {
    if (outcome.kind === 'kept') return;
    this.#last = {
      kind: outcome.kind,
      at: this.#deps.clock.now(),
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
        if (start === null || this.#signature !== start.signature) break;
        this.#rejection = { stamp: start.signature, reason: outcome.reason, remedy: outcome.remedy };
        // Nobody consents for these, and a refusal may be a wrong clock's fault: nothing of theirs
        // is used up by asking again.
        if (!this.isConsentable) this.#gate.fail(MAX_BACKOFF_MS, retry);
        break;
      case 'transient':
        this.#cause = outcome.cause;
        this.#failure = 'PROVIDER_UNAVAILABLE';
        this.#remedy = outcome.remedy ?? null;
        this.#gate.fail(outcome.retryAfterMs, retry, this.#lifeLeft());
        break;
      case 'unsaved':
      case 'unusable':
        this.#cause = 'local';
        this.#failure = failureCode(outcome);
        this.#remedy = outcome.remedy;
        if (start !== null && this.#isRenewable()) this.#gate.fail(undefined, retry);
        break;
    }
  }

  async #exchange(
    start: FileVersion | null,
    report: (outcome: RefreshOutcome) => void,
    begin: () => void,
  ): Promise<RefreshOutcome> {
    const problem = this.#copyWarning() ?? this.#problem?.warning;
    if (problem !== undefined) return { kind: 'unusable', reason: problem.problem, remedy: problem.hint };
    if (start === null || !this.#isRenewable()) return this.#notRenewable();
    const answer = await this.#runWorker(start, begin, (outcome) => {
      if (outcome.kind !== 'unsaved' || this.#unsaved) return;
      this.#unsaved = true;
      this.#settle(outcome, start);
      report(outcome);
    });
    await this.reload();
    if (answer.kind !== 'outcome') {
      const reason = answer.kind === 'refused' ? answer.error.message : 'the worker gave no outcome';
      return { kind: 'transient', cause: 'server', reason };
    }
    if (answer.minted !== undefined && this.#file !== null && accountBasis(this.#file) === start.basis) {
      this.#holdMinted(answer.minted);
      this.#deps.onToken();
    }
    return answer.outcome;
  }

  /**
   * Returns the outcome for an account that cannot be renewed: only one without a valid token needs
   * its user.
   */
  #notRenewable(): RefreshOutcome {
    const held = this.#held;
    if (this.#file === null || held === null || held.remaining() <= 0) {
      return { kind: 'unusable', ...explainMissingToken(this.name, held !== null && this.#file !== null) };
    }
    const end =
      held.facts.expiresAt === null
        ? 'is not known to expire'
        : `is valid until ${new Date(held.facts.expiresAt).toISOString()}`;
    return { kind: 'kept', reason: `its token ${end}, and there is no refresh token` };
  }

  async #runWorker(
    { basis, tag }: FileVersion,
    onStart: () => void,
    onReport: (outcome: RefreshOutcome) => void,
  ): Promise<WorkerReport> {
    try {
      const { account, worker } = this.#deps;
      const isUrgent = (): boolean => this.#waiting > 0;
      return await worker.run({ kind: 'refresh', account, basis, tag }, { onReport, onStart, isUrgent });
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'no worker could be started';
      return { kind: 'outcome', outcome: { kind: 'transient', cause: 'server', reason } };
    }
  }
}
