/**
 * Who used what, as it is asked for and answered. Times are epoch milliseconds, money is integer micro-dollars, days
 * and hours are UTC. Null is unknown, which is not zero.
 */

/** Lists what usage can be grouped by. */
export const USAGE_GROUPINGS = ['caller', 'model', 'provider', 'key', 'status', 'day', 'hour', 'session'] as const;
export type UsageGrouping = (typeof USAGE_GROUPINGS)[number];

/** Lists how a call can have ended: answered, failed, refused because the key's limit was reached (apipool's 1, 5, 9). */
export const USAGE_STATUSES = ['success', 'failed', 'reach_limit'] as const;
export type UsageStatus = (typeof USAGE_STATUSES)[number];

/** Asks for sums over a range of time; without `until` up to now. */
export interface UsageQuery {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly by?: UsageGrouping | undefined;
  readonly caller?: string | undefined;
  readonly status?: UsageStatus | undefined;
  /** Is the most groups that are wanted. */
  readonly limit?: number | undefined;
}

/** Is the sums of some calls. */
export interface UsageFigures {
  readonly requests: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly limitReached: number;
  /** Is the share of the calls that did not succeed, or null where there were none. */
  readonly errorRate: number | null;
  /** Counts the credentials that were handed out; they are no requests. */
  readonly releases: number;
  readonly tokens: {
    readonly prompt: number;
    readonly completion: number;
    readonly cached: number;
    readonly reasoning: number;
    /** Counts the calls whose tokens are known. */
    readonly knownFor: number;
  };
  readonly costMicros: number;
  /** Counts the calls whose cost is known. */
  readonly costKnownFor: number;
  /** Is null where nothing was measured; percentiles are off by 27 % at most. */
  readonly latencyMs: {
    readonly mean: number;
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
  } | null;
  readonly firstTokenMs: number | null;
}

/** Is the figures of one group: its name (a day as `2026-11-21`, an hour as `2026-11-21T04:00Z`), null for calls that have none. */
export interface UsageGroup {
  readonly name: string | null;
  readonly figures: UsageFigures;
}

/** Answers a query. The range is the one that was summed: its ends can be widened to whole hours or days where finer sums are pruned. */
export interface UsageAnswer {
  readonly since: number;
  readonly until: number | null;
  readonly total: UsageFigures;
  /** Is ordered by requests, most first; times are ordered by time, sessions by their last call. */
  readonly groups: readonly UsageGroup[];
  /** Tells whether there are more groups than these. */
  readonly more: boolean;
}

/** Is the sums of one session of a client, or of one run of the daemon. */
export interface SessionUsage {
  readonly firstAt: number;
  readonly lastAt: number;
  readonly figures: UsageFigures;
}

/** Is one recorded event. */
export interface RecordedEvent {
  readonly id: string;
  readonly at: number;
  readonly caller: string | null;
  readonly uid: number | null;
  readonly pid: number | null;
  readonly executable: string | null;
  readonly session: string | null;
  readonly run: string | null;
  readonly provider: string | null;
  readonly keyId: string | null;
  readonly account: string | null;
  readonly operation: string | null;
  readonly model: string | null;
  readonly status: UsageStatus;
  readonly errorCode: string | null;
  readonly httpStatus: number | null;
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
  readonly cachedTokens: number | null;
  readonly reasoningTokens: number | null;
  readonly costMicros: number | null;
  readonly costSource: 'response' | 'generation' | 'prices' | 'import' | null;
  readonly latencyMs: number | null;
  readonly firstTokenMs: number | null;
  readonly generationId: string | null;
}

/** Asks for recorded events, newest first. */
export interface EventQuery {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly keyId?: string | undefined;
  readonly status?: UsageStatus | undefined;
  readonly limit?: number | undefined;
  /** Is `next` of the page before. */
  readonly after?: string | undefined;
}

/** Is one page of events; `next` asks for the one after it and is null at the end. */
export interface EventPage {
  readonly events: readonly RecordedEvent[];
  readonly next: string | null;
}

/** Asks how many calls finished in the last seconds. */
export interface RecentQuery {
  readonly seconds: number;
  readonly keyId?: string | undefined;
  readonly status?: UsageStatus | undefined;
}

/** Counts calls: in all, by status and by key. */
export interface RecentCount {
  readonly total: number;
  readonly byStatus: Readonly<Record<UsageStatus, number>>;
  readonly byKey: readonly { readonly keyId: string | null; readonly requests: number }[];
}

/** Says what a pruning deleted, or would delete. */
export interface PruneReport {
  readonly events: number;
  readonly totals: number;
  readonly dryRun: boolean;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** Says what an import of AIPass's usage file did. */
export interface ImportReport {
  /** Tells that this very file was imported before; nothing was done. */
  readonly repeated: boolean;
  readonly generations: number;
  readonly added: number;
  readonly known: number;
  /** Counts the generations that could not be read (no time, no numbers). */
  readonly unreadable: number;
  /** Is what the file's own totals hold beyond its generations; it does not say whose it was, so it is told and not imported. */
  readonly unaccounted: { readonly requests: number; readonly costMicros: number; readonly tokens: number };
}

/** Is how the recording of usage is. */
export interface UsageStatusReport {
  /** Is `ready`, `opening`, `asleep` (closed because nothing was recorded or asked for a while), or why the database does not take events now; they queue on disk meanwhile. */
  readonly database: string;
  readonly kind: 'sqlite' | 'postgres';
  readonly queued: boolean;
  /** Is how much of the queue the database has not taken yet, in bytes. */
  readonly queuedBytes: number;
  /** Counts what is only in memory because the disk takes nothing. */
  readonly waitingInMemory: number;
  /** Counts what was given up, because memory was full too. */
  readonly lost: number;
  /** Counts what was in the queue and could not be read, or was refused by the database. */
  readonly damaged: number;
}
