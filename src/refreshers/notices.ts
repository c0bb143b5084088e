/**
 * Tells the world how refreshes end: an event for every change that matters, and a configured command for people, at
 * most one per account in a quarter of an hour. What was held back is told when its time comes, if it is still so.
 */

import type { Clock } from '../base/clock.ts';
import type { Config } from '../base/config-schema.ts';
import type { AccountNotice } from '../protocol/events.ts';
import type { AccountKeeper } from './account-keeper.ts';
import type { RefreshOutcome } from './outcome.ts';

/** Names what can be told. */
export type NoticeKind = 'refreshed' | 'reauth-required' | 'refresh-failing';

/** Is one thing that is told. Holds no secret. */
export interface Notice extends AccountNotice {
  readonly kind: NoticeKind;
}

/** Is what notices work with. */
export interface NoticesParts {
  readonly clock: Clock;
  readonly hooks: Config['hooks'];
  readonly publish: (notice: Notice) => void;
  /** Runs one command; see hook.ts. */
  readonly runHook: (command: readonly string[], notice: Notice) => void;
}

/** Is the shortest time between two commands for one account, in milliseconds. */
const QUIET_MS = 15 * 60_000;

/** Is how many tries in a row make a failing account worth telling; before that it is weather. */
const FAILURES_WORTH_TELLING = 3;

/** Decides what is told, and when. */
export class Notices {
  readonly #parts: NoticesParts;
  readonly #current = new Map<string, NoticeKind>();
  readonly #told = new Map<string, number>();
  readonly #held = new Map<string, Notice>();

  constructor(parts: NoticesParts) {
    this.#parts = parts;
  }

  /** Takes note of an outcome. */
  note(keeper: AccountKeeper, outcome: RefreshOutcome): void {
    const kind = this.#kindOf(keeper, outcome);
    if (kind === undefined) return;
    const repeated = this.#current.get(keeper.name) === kind && kind !== 'refreshed';
    this.#current.set(keeper.name, kind);
    if (repeated) return;
    const why = kind === 'refreshed' ? undefined : keeper.explain();
    const notice: Notice = {
      kind,
      account: keeper.name,
      at: this.#parts.clock.now(),
      reason: why?.reason ?? null,
      action: why?.remedy ?? null,
    };
    this.#parts.publish(notice);
    this.#tell(notice);
  }

  /** Tells what was held back and is still so; called at every tick. */
  flush(): void {
    for (const [account, notice] of this.#held) {
      if (this.#current.get(account) !== notice.kind) this.#held.delete(account);
      else this.#tell(notice);
    }
  }

  #kindOf(keeper: AccountKeeper, outcome: RefreshOutcome): NoticeKind | undefined {
    const state = keeper.status().state;
    if (outcome.kind === 'refreshed') return 'refreshed';
    if (outcome.kind === 'superseded') {
      this.#current.delete(keeper.name);
      return undefined;
    }
    if (outcome.kind === 'rejected') return 'reauth-required';
    if (outcome.kind === 'unusable' && keeper.needsUser()) return 'reauth-required';
    const grave = outcome.kind !== 'transient' || state === 'failing' || keeper.failures >= FAILURES_WORTH_TELLING;
    return grave ? 'refresh-failing' : undefined;
  }

  #tell(notice: Notice): void {
    const command = this.#commandFor(notice.kind);
    if (command === undefined) return;
    const { clock, runHook } = this.#parts;
    const last = this.#told.get(notice.account);
    // A monotonic reading: a clock that is set must neither silence an account nor make it chatter.
    if (last !== undefined && clock.monotonic() - last < QUIET_MS) {
      this.#held.set(notice.account, notice);
      return;
    }
    this.#held.delete(notice.account);
    this.#told.set(notice.account, clock.monotonic());
    runHook(command, notice);
  }

  #commandFor(kind: NoticeKind): readonly string[] | undefined {
    const { hooks } = this.#parts;
    if (kind === 'refreshed') return hooks.onRefreshed;
    return kind === 'reauth-required' ? hooks.onReauthRequired : hooks.onRefreshFailing;
  }
}
