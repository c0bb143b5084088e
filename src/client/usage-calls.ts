/**
 * Questions of a client about usage besides its sums: `aipass.usage`.
 */

import { AipassError } from '../base/errors.ts';
import { MOMENT_FORMS, parseMoment } from '../base/moment.ts';
import type { Operations } from '../protocol/operations.ts';
import type { EventPage, EventQuery, ImportReport, PruneReport, RecentCount, RecentQuery } from '../protocol/usage.ts';
import type { OrganizationCallOptions } from './credential-calls.ts';
import type { CallOptions, Session } from './session.ts';

/** Epoch milliseconds, a Date, or a text: `7d` (ago), `2026-11-21` (local), `2026-11-21T10:00Z`. */
export type Moment = number | Date | string;

/** A question whose range of time is given as moments. */
export type WithMoments<Query> = Omit<Query, 'since' | 'until'> & {
  readonly since?: Moment | undefined;
  readonly until?: Moment | undefined;
};

/** Asks about usage. Every failure is an AipassError. */
export class UsageCalls {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Sums one session: this run of the daemon, or the named one of a client (see `sessionId`). */
  session(
    id?: string,
    { organization, ...options }: OrganizationCallOptions = {},
  ): Promise<Operations['usage.session']['result']> {
    return this.#session.request('usage.session', { organization, id }, options);
  }

  /** Lists recorded events, newest first; `next` of a page asks for the one after it. */
  async events(query: WithMoments<EventQuery> = {}, options?: CallOptions): Promise<EventPage> {
    return this.#session.request('usage.events', toQuery(query), options);
  }

  /** Counts the calls of the last seconds by status and by key, keys without any too. */
  recent(query: RecentQuery, options?: CallOptions): Promise<RecentCount> {
    return this.#session.request('usage.recent', query, options);
  }

  /** Fetches a generation's record from OpenRouter. Throws PROVIDER_UNAVAILABLE before that. */
  track(
    generationId: string,
    options: CallOptions & { readonly caller?: string | undefined } = {},
  ): Promise<Operations['usage.track']['result']> {
    const { caller, ...call } = options;
    return this.#session.request('usage.track', { generationId, caller }, call);
  }

  /** Sends recorded events as text to `receive`, piece by piece, oldest first. */
  async export(
    query: WithMoments<Operations['usage.export']['params']>,
    receive: (text: string) => void,
    options?: CallOptions,
  ): Promise<Operations['usage.export']['result']> {
    return this.#session.request('usage.export', toQuery(query), {
      ...options,
      onChunk: receive,
    });
  }

  /** Deletes events older than a number of days; without it, as configured. */
  prune(params: Operations['usage.prune']['params'] = {}, options?: CallOptions): Promise<PruneReport> {
    return this.#session.request('usage.prune', params, options);
  }

  /** Takes over AIPass's usage file, given as its text. */
  import(text: string, options?: CallOptions): Promise<ImportReport> {
    return this.#session.request('usage.import', { text }, options);
  }
}

/**
 * Returns a question as the daemon takes it: its moments in epoch milliseconds.
 *
 * @throws AipassError BAD_REQUEST for a text or a Date that is not a moment.
 */
export function toQuery<Query extends WithMoments<object>>(
  query: Query,
): Omit<Query, 'since' | 'until'> & { readonly since?: number; readonly until?: number } {
  const { since, until, ...rest } = query;
  return {
    ...rest,
    ...(since === undefined ? {} : { since: toMillis(since, 'since') }),
    ...(until === undefined ? {} : { until: toMillis(until, 'until') }),
  };
}

function toMillis(moment: Moment, name: string): number {
  const at = typeof moment === 'string' ? parseMoment(moment, Date.now()) : Number(moment);
  if (at !== undefined && !Number.isNaN(at)) return at;
  throw new AipassError('BAD_REQUEST', `${name}: invalid time (got "${String(moment)}")`, {
    hint: `pass epoch milliseconds, a Date, or a string: ${MOMENT_FORMS}`,
  });
}
