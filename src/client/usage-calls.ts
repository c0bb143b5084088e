/**
 * What a client can ask about usage besides its sums: `aipass.usage`.
 */

import type { Operations } from '../protocol/operations.ts';
import type { EventPage, EventQuery, ImportReport, PruneReport, RecentCount, RecentQuery } from '../protocol/usage.ts';
import type { CallOptions, Session } from './session.ts';

/** Asks about usage. Every failure is an AipassError. */
export class UsageCalls {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Sums one session: this run of the daemon, or the named one of a client (see `sessionId`). */
  session(id?: string, options?: CallOptions): Promise<Operations['usage.session']['result']> {
    return this.#session.request('usage.session', { id }, options);
  }

  /** Lists recorded events, newest first; `next` of a page asks for the one after it. */
  events(query: EventQuery = {}, options?: CallOptions): Promise<EventPage> {
    return this.#session.request('usage.events', query, options);
  }

  /** Counts the calls of the last seconds by status and by key; keys that had none are listed with 0. */
  recent(query: RecentQuery, options?: CallOptions): Promise<RecentCount> {
    return this.#session.request('usage.recent', query, options);
  }

  /** Fetches a generation's record from OpenRouter and keeps it. Throws PROVIDER_UNAVAILABLE while it is not ready. */
  track(
    generationId: string,
    options: CallOptions & { readonly caller?: string | undefined } = {},
  ): Promise<Operations['usage.track']['result']> {
    const { caller, ...call } = options;
    return this.#session.request('usage.track', { generationId, caller }, call);
  }

  /** Sends recorded events as text to `receive`, piece by piece, oldest first. */
  export(
    query: Operations['usage.export']['params'],
    receive: (text: string) => void,
    options?: CallOptions,
  ): Promise<Operations['usage.export']['result']> {
    return this.#session.request('usage.export', query, { ...options, onChunk: (data) => receive(String(data)) });
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
