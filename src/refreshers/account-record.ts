/**
 * All that is known of one account: what its file said last, the token that is held, and how the last refreshes ended.
 * Changes only by a reading of the file or by an outcome. No state is sticky: the next reading can make it right.
 */

import type { Clock } from '../base/clock.ts';
import { Secret } from '../base/secret.ts';
import type { Warning } from '../base/warning.ts';
import { tokenTag, type AccountDocument } from './account-document.ts';
import { settingsStamp, type AccountMemory } from './account-memory.ts';
import { grantOf, isConsentable, type AccountView, type Grant, type LastOutcome } from './account-state.ts';
import { MAX_BACKOFF_MS } from './backoff.ts';
import { HeldToken } from './held-token.ts';
import type { RefreshOutcome } from './outcome.ts';
import { mergeSettings, type ProviderSettings } from './provider-settings.ts';
import type { AccountReading } from './read-account.ts';
import { RetryGate } from './retry-gate.ts';
import type { MintedToken } from './worker/job.ts';

/** Is what a record works with. */
export interface RecordParts {
  readonly name: string;
  /** Is what the configuration and the preset say of the provider. */
  readonly settings: ProviderSettings;
  readonly clock: Clock;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
}

/** Is why the file cannot be used; `unsafe` tells that others could have changed it. */
export type FileProblem = Warning & { readonly unsafe: boolean };

/** Is a refusal, and of which state of the files. */
interface Rejection {
  readonly stamp: string;
  readonly reason: string;
  readonly remedy: string;
}

/** Records one account. */
export class AccountRecord {
  readonly #parts: RecordParts;
  /** Says when a failing account may be tried again. */
  readonly gate: RetryGate;
  #grant: Grant | null = null;
  #held: HeldToken | null = null;
  #problem: FileProblem | null = null;
  #rejection: Rejection | null = null;
  #last: LastOutcome | null = null;
  #remedy: string | null = null;
  #cause: 'network' | 'server' | 'local' = 'server';

  constructor(parts: RecordParts) {
    this.#parts = parts;
    this.gate = new RetryGate(parts.clock, parts.random);
  }

  get grant(): Grant | null {
    return this.#grant;
  }

  get held(): HeldToken | null {
    return this.#held;
  }

  get problem(): FileProblem | null {
    return this.#problem;
  }

  get last(): LastOutcome | null {
    return this.#last;
  }

  /** Returns what the last failure asks its user to do, or null. */
  get remedy(): string | null {
    return this.#remedy;
  }

  /** Returns where the last failure came from. */
  get cause(): 'network' | 'server' | 'local' {
    return this.#cause;
  }

  /** Tells whether there is a token, or one can be had without the user: the file is usable, its grant is not refused and not used up. */
  isWell(): boolean {
    if (this.#grant === null || this.#problem !== null || this.#rejection !== null) return false;
    return this.#grant.renewable || (this.#held?.remaining() ?? 0) > 0;
  }

  /** Tells whether a caller's wish may start a refresh: not against a refusal, and not against a server's plea. */
  mayTry(): boolean {
    if (!this.isWell() || this.#grant?.renewable !== true) return false;
    if (this.gate.failures === 0) return true;
    return this.#cause === 'server' ? this.gate.remaining() === 0 : this.gate.allowsUrgent();
  }

  view(refreshing: boolean): AccountView {
    return {
      name: this.#parts.name,
      grant: this.#grant,
      held: this.#held,
      problem: this.#problem,
      rejection: this.#rejection,
      refreshing,
      failures: this.gate.failures,
      retryAt: this.gate.nextAt,
      remedy: this.#remedy,
      last: this.#last,
    };
  }

  /** Notes how a refresh of a grant ended; `retry` is called once when a failed one may be tried again. */
  record(outcome: RefreshOutcome, grant: Grant | null, retry: () => void): void {
    this.#last = {
      kind: outcome.kind,
      at: this.#parts.clock.now(),
      reason: 'reason' in outcome ? outcome.reason : null,
    };
    this.#remedy = null;
    switch (outcome.kind) {
      case 'refreshed':
      case 'superseded':
        this.gate.reset();
        if (outcome.kind === 'refreshed') this.#rejection = null;
        break;
      case 'rejected':
        this.gate.reset();
        // A file that changed while the answer travelled has a new chance.
        if (grant === null || this.#grant?.stamp !== grant.stamp) break;
        this.#rejection = { stamp: grant.stamp, reason: outcome.reason, remedy: outcome.remedy };
        // Nobody consents for these, and a refusal may be a wrong clock's fault: nothing of theirs is used up by asking again.
        if (!isConsentable(grant)) this.gate.fail(MAX_BACKOFF_MS, retry);
        break;
      case 'transient':
        this.#cause = outcome.cause;
        this.gate.fail(outcome.retryAfterMs, retry);
        break;
      case 'unsaved':
      case 'unusable':
        this.#cause = 'local';
        this.#remedy = outcome.remedy;
        if (grant?.renewable === true) this.gate.fail(undefined, retry);
        break;
    }
  }

  /** Takes over what the file says now; `stamp` names this state of the files (see accountStamp). */
  apply(reading: AccountReading, stamp: string): void {
    switch (reading.kind) {
      case 'missing':
        this.#grant = null;
        this.#held = null;
        this.#problem = null;
        this.#rejection = null;
        this.gate.reset();
        return;
      case 'unusable':
        // The last good token stays in use for as long as it is valid.
        this.#problem = { ...reading.warning, unsafe: reading.unsafe };
        return;
      case 'read':
        this.#problem = null;
        this.#adopt(reading.document, reading.basis, stamp);
        return;
    }
  }

  #adopt(document: AccountDocument, basis: string, stamp: string): void {
    const settings = mergeSettings(document.settings, this.#parts.settings);
    const before = this.#grant;
    const grant = grantOf(document, settings, { basis, tag: tokenTag(document), stamp });
    this.#grant = grant;
    // Whatever was changed by hand, a client's secret or an endpoint too, deserves a try.
    if (this.#rejection !== null && this.#rejection.stamp !== stamp) {
      this.#rejection = null;
      this.gate.reset();
    }
    if (before !== null && before.basis !== basis) this.gate.reset();
    if (before !== null && before.stamp !== stamp && this.#cause === 'local') this.gate.reset();
    if (grant.kind === 'service-account') {
      if (before?.basis !== basis) this.#held = null;
      return;
    }
    const { accessToken, tokenType, scopes, expiresAt, obtainedAt } = document;
    if (accessToken === null) this.#held = null;
    else if (
      before?.tag !== grant.tag ||
      this.#held?.facts.expiresAt !== expiresAt ||
      before.scopes.join(' ') !== scopes.join(' ')
    ) {
      // Google's forms do not say when a token was obtained; one that came while we looked was obtained now.
      const seenAt = before !== null && before.tag !== grant.tag ? this.#parts.clock.now() : null;
      this.#hold({ accessToken, tokenType, scopes, expiresAt, obtainedAt: obtainedAt ?? seenAt });
    }
  }

  /** Returns what is worth remembering over a restart, or null. Only a consent ends what is remembered as refused. */
  remember(): AccountMemory | null {
    if (this.#last === null) return null;
    const isLasting = this.#rejection !== null && this.#grant !== null && isConsentable(this.#grant);
    const settings = settingsStamp(this.#parts.settings);
    return { last: this.#last, rejection: isLasting && this.#rejection ? { ...this.#rejection, settings } : null };
  }

  /** Takes over what was remembered; the next reading forgets a refusal of files that changed meanwhile. */
  recall({ last, rejection }: AccountMemory): void {
    this.#last = last;
    if (rejection?.settings === settingsStamp(this.#parts.settings)) this.#rejection = rejection;
  }

  /** Holds a token that no file has. */
  holdMinted(minted: MintedToken): void {
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
  }
}
