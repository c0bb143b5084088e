/**
 * Who used what, as it is asked for and answered. Times are epoch milliseconds, money is integer
 * micro-dollars, days and hours are UTC. Null is unknown, which is not zero.
 */

import { DEFAULT_ORGANIZATION, type InOrganization } from './credential.ts';
import { MAX_CALLER_LENGTH } from './messages.ts';

/** Status of a call: answered, failed, or refused at the key's limit (apipool's 1, 5, 9). */
export const USAGE_STATUSES = ['success', 'failed', 'reach_limit'] as const;
export type UsageStatus = (typeof USAGE_STATUSES)[number];

/** The answer itself, OpenRouter's generation record, the price list, or AIPass's file. */
export const COST_SOURCES = ['response', 'generation', 'prices', 'import'] as const;
export type CostSource = (typeof COST_SOURCES)[number];

/** Maximum length of a recorded name, in characters; the end of a longer one is cut off. */
export const MAX_NAME_LENGTH = 200;

/** Most tokens that one call is believed to have used. */
export const MAX_TOKENS = 100_000_000;

/** Most expensive call that is believed, in micro-dollars (10,000 dollars). */
export const MAX_COST_MICROS = 10_000_000_000;

/** Longest call that is believed: a week, in milliseconds. */
const MAX_DURATION_MS = 7 * 24 * 3_600_000;

/** Last moment that JavaScript's Date can represent, in epoch milliseconds. */
const MAX_TIME = 8_640_000_000_000_000;

/** One column of a recorded event. */
export interface EventColumn {
  /**
   * Bounds, type and storage of the values. A `name` is plain text that repeats: the database
   * holds its number in the dictionary. A `text` is stored as it is. A `flag` is true or false. All
   * other kinds are whole numbers. `tokens` are summed, and need columns of that name in the tables
   * of sums.
   */
  readonly kind:
    'id' | 'time' | 'name' | 'text' | 'count' | 'tokens' | 'money' | 'duration' | 'flag' | 'status' | 'cost-source';
  /** Name of the column in the database. */
  readonly column: string;
  /** Maximum length of a text in characters, or greatest number that is believed. */
  readonly max: number;
  /** Value of a name that an event does not give; without it the name is null. */
  readonly missing?: string;
  /** Stores the `missing` value as number 0, as in rows from before the column. */
  readonly isZero?: true;
  /** Name of the sum of tokens in `UsageFigures`. */
  readonly figure?: string;
  /** Kind of tokens in the metrics, where they are a part of the prompt or the completion. */
  readonly part?: string;
  /** Tokens that they are among; for those of the prompt and of the completion, themselves. */
  readonly whole?: 'promptTokens' | 'completionTokens';
}

/**
 * The columns of a recorded event, in the order of an export. Type, bounds, journal, insert,
 * select, page, merge, sums, figures, metrics and export derive from this table. A new column is
 * one entry here and one migration in usage/store/migrations.ts.
 */
export const EVENT_COLUMNS = {
  /** 48 random bits; together with `at` the identity of an event. */
  id: { kind: 'id', column: 'id', max: 2 ** 48 },
  at: { kind: 'time', column: 'at', max: MAX_TIME },
  /** Name that the caller gave itself. */
  caller: { kind: 'name', column: 'caller', max: MAX_CALLER_LENGTH, missing: 'unknown' },
  /** User, process and program of the caller, by the kernel's word. */
  uid: { kind: 'count', column: 'uid', max: 0xffff_ffff },
  pid: { kind: 'count', column: 'pid', max: 0x7fff_ffff },
  executable: { kind: 'name', column: 'executable', max: 1024 },
  /** Session of the client, as the client named it. */
  session: { kind: 'name', column: 'session', max: MAX_NAME_LENGTH },
  /** Run of the daemon that recorded the event. */
  run: { kind: 'name', column: 'run', max: MAX_NAME_LENGTH, missing: 'unknown' },
  provider: { kind: 'name', column: 'provider', max: MAX_NAME_LENGTH },
  keyId: { kind: 'name', column: 'key', max: MAX_NAME_LENGTH },
  /** Account at the provider that pays for the key. */
  billingAccount: { kind: 'name', column: 'account', max: MAX_NAME_LENGTH },
  operation: { kind: 'name', column: 'operation', max: MAX_NAME_LENGTH, missing: 'unknown' },
  /** Model that answered, or else the one that was asked for. */
  model: { kind: 'name', column: 'model', max: MAX_NAME_LENGTH },
  status: { kind: 'status', column: 'status', max: 9 },
  errorCode: { kind: 'name', column: 'error_code', max: MAX_NAME_LENGTH },
  httpStatus: { kind: 'count', column: 'http_status', max: 999 },
  promptTokens: { kind: 'tokens', column: 'prompt_tokens', max: MAX_TOKENS, figure: 'prompt', whole: 'promptTokens' },
  completionTokens: {
    kind: 'tokens',
    column: 'completion_tokens',
    max: MAX_TOKENS,
    figure: 'completion',
    whole: 'completionTokens',
  },
  /** Prompt tokens that came from the provider's cache. */
  cachedTokens: {
    kind: 'tokens',
    column: 'cached_tokens',
    max: MAX_TOKENS,
    figure: 'cached',
    part: 'cache_read',
    whole: 'promptTokens',
  },
  reasoningTokens: {
    kind: 'tokens',
    column: 'reasoning_tokens',
    max: MAX_TOKENS,
    figure: 'reasoning',
    part: 'reasoning',
    whole: 'completionTokens',
  },
  costMicros: { kind: 'money', column: 'cost_micros', max: MAX_COST_MICROS },
  costSource: { kind: 'cost-source', column: 'cost_source', max: COST_SOURCES.length },
  latencyMs: { kind: 'duration', column: 'latency_ms', max: MAX_DURATION_MS },
  firstTokenMs: { kind: 'duration', column: 'first_token_ms', max: MAX_DURATION_MS },
  generationId: { kind: 'text', column: 'generation', max: MAX_NAME_LENGTH },
  /** Prompt tokens that the provider wrote to its cache. */
  cacheWriteTokens: {
    kind: 'tokens',
    column: 'cache_write_tokens',
    max: MAX_TOKENS,
    figure: 'cacheWrite',
    part: 'cache_write',
    whole: 'promptTokens',
  },
  /** Organization whose key was used. */
  organization: {
    kind: 'name',
    column: 'organization',
    max: MAX_NAME_LENGTH,
    missing: DEFAULT_ORGANIZATION,
    isZero: true,
  },
  /** True for an attempt that another attempt of the same request followed. */
  retried: { kind: 'flag', column: 'retried', max: 1 },
} as const satisfies Readonly<Record<string, EventColumn>>;

/** Fields of an event. */
export type EventField = keyof typeof EVENT_COLUMNS;

/** Fields of columns of a kind. */
export type FieldOfKind<Kind extends EventColumn['kind']> = {
  [Field in EventField]: (typeof EVENT_COLUMNS)[Field]['kind'] extends Kind ? Field : never;
}[EventField];

export type TokenField = FieldOfKind<'tokens'>;
export type TokenPartField = Exclude<TokenField, 'promptTokens' | 'completionTokens'>;
type TokenFigure = (typeof EVENT_COLUMNS)[TokenField]['figure'];

/** A column of tokens. */
interface TokenColumn {
  readonly field: TokenField;
  readonly column: (typeof EVENT_COLUMNS)[TokenField]['column'];
  readonly figure: TokenFigure;
  readonly part?: string;
  readonly whole: 'promptTokens' | 'completionTokens';
}

/** The columns of tokens, in the order of the table. */
export const TOKEN_COLUMNS: readonly TokenColumn[] = Object.entries(EVENT_COLUMNS)
  .filter(isOfTokens)
  .map(([field, column]) => ({ field, ...column }));

/** Fields of tokens that are among others, in the order of the table. */
export const TOKEN_PART_FIELDS: readonly TokenPartField[] = TOKEN_COLUMNS.map(({ field }) => field).filter(
  (field): field is TokenPartField => field !== 'promptTokens' && field !== 'completionTokens',
);

function isOfTokens(entry: [string, EventColumn]): entry is [TokenField, (typeof EVENT_COLUMNS)[TokenField]] {
  return entry[1].kind === 'tokens';
}

/** Type of a column's values. */
export type EventValue<Column extends EventColumn> = Column['kind'] extends 'id' | 'time'
  ? number
  : Column['kind'] extends 'status'
    ? UsageStatus
    : Column['kind'] extends 'cost-source'
      ? CostSource | null
      : Column['kind'] extends 'flag'
        ? boolean
        : Column['kind'] extends 'name' | 'text'
          ? Column extends { readonly missing: string }
            ? string
            : string | null
          : number | null;

/** One recorded event, as it is answered and exported; a name is null too where it was pruned. */
export type RecordedEvent = { readonly id: string } & {
  readonly [Field in Exclude<EventField, 'id'>]: (typeof EVENT_COLUMNS)[Field]['kind'] extends 'name'
    ? string | null
    : EventValue<(typeof EVENT_COLUMNS)[Field]>;
};

/** Things that usage can be grouped by. */
export const USAGE_GROUPINGS = [
  'caller',
  'model',
  'provider',
  'key',
  'organization',
  'status',
  'day',
  'hour',
  'session',
] as const;
export type UsageGrouping = (typeof USAGE_GROUPINGS)[number];

/** Which events are meant; without `until` up to now. */
export interface EventRange extends InOrganization {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly status?: UsageStatus | undefined;
}

/** Question for sums. By organization without one, all of the caller's are summed. */
export interface UsageQuery extends EventRange {
  readonly by?: UsageGrouping | undefined;
  readonly caller?: string | undefined;
  /** Maximum number of groups. */
  readonly limit?: number | undefined;
}

/** Sums of some calls. */
export interface UsageFigures {
  /** Number of calls, each with all of its attempts counted once and by the end of the last one. */
  readonly requests: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly limitReached: number;
  /** Times that a provider was asked: more than `requests` where a call was tried again. */
  readonly attempts: number;
  /** Share of the requests that did not succeed, or null where there were none. */
  readonly errorRate: number | null;
  /** Number of credentials that were handed out; they are not requests. */
  readonly releases: number;
  /** Tokens by kind, and the number of calls whose tokens are known. */
  readonly tokens: Readonly<Record<TokenFigure | 'knownFor', number>>;
  readonly costMicros: number;
  /** Number of calls whose cost is known. */
  readonly costKnownFor: number;
  /** Latency of the attempts, or null; percentiles are off by 27 % at most. */
  readonly latencyMs: {
    readonly mean: number;
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
  } | null;
  readonly firstTokenMs: number | null;
}

/** Figures of a group: a day is `2026-11-21`, an hour `2026-11-21T04:00Z`, null has no name. */
export interface UsageGroup {
  readonly name: string | null;
  readonly figures: UsageFigures;
}

/** Answer to a query. Its range is widened to hours or days where finer sums are pruned. */
export interface UsageAnswer {
  readonly since: number;
  readonly until: number | null;
  readonly total: UsageFigures;
  /** Groups by requests, most first; times and sessions by time. */
  readonly groups: readonly UsageGroup[];
  /** True if there are more groups than these. */
  readonly more: boolean;
}

/** Sums of one session of a client, or of one run of the daemon. */
export interface SessionUsage {
  readonly firstAt: number;
  readonly lastAt: number;
  readonly figures: UsageFigures;
}

/** Question for recorded events, newest first. */
export interface EventQuery extends EventRange {
  readonly keyId?: string | undefined;
  readonly limit?: number | undefined;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
}

/** One page of events; `next` asks for the one after it and is null at the end. */
export interface EventPage {
  readonly events: readonly RecordedEvent[];
  readonly next: string | null;
}

/** Question for the number of attempts that ended in the last seconds. */
export interface RecentQuery extends InOrganization {
  readonly seconds: number;
  readonly provider?: string | undefined;
  readonly keyId?: string | undefined;
  readonly status?: UsageStatus | undefined;
}

/** Numbers of attempts: in all, by status and by key. */
export interface RecentCount {
  readonly total: number;
  readonly byStatus: Readonly<Record<UsageStatus, number>>;
  readonly byKey: readonly { readonly keyId: string | null; readonly requests: number }[];
}

/** Result of a pruning, or of its dry run. */
export interface PruneReport {
  readonly events: number;
  readonly totals: number;
  readonly dryRun: boolean;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** Sums of AIPass's own counters. */
export interface AipassTotals {
  readonly requests: number;
  readonly costMicros: number;
  readonly tokens: number;
}

/** Result of an import of AIPass's usage file. */
export interface ImportReport {
  /** True if this very file was imported before; then nothing was done. */
  readonly repeated: boolean;
  readonly generations: number;
  readonly added: number;
  readonly known: number;
  /** Number of generations that could not be read (no time, no numbers). */
  readonly unreadable: number;
  /** Part of its totals per caller beyond its generations; it was added to the totals. */
  readonly carried: AipassTotals & { readonly callers: number };
  /** Part of the daily totals beyond both: only reported, the file does not say whose it was. */
  readonly unaccounted: AipassTotals;
}

/** State of the recording of usage. */
export interface UsageStatusReport {
  /**
   * `ready`, `opening`, `asleep` (closed because nothing was recorded or queried for a while), or
   * the reason why the database accepts no events now. They queue on disk meanwhile.
   */
  readonly database: string;
  readonly kind: 'sqlite' | 'postgres';
  readonly queued: boolean;
  /** Size of the part of the queue that the database has not taken yet, in bytes. */
  readonly queuedBytes: number;
  /** Age of the oldest event that the database has not taken, in milliseconds, or 0. */
  readonly lagMs: number;
  /** Number of events that are only in memory because the disk takes nothing. */
  readonly waitingInMemory: number;
  /** Number of events that were given up because memory was full too. */
  readonly lost: number;
  /** Number of lines of the queue that could not be read, or that the database refused. */
  readonly damaged: number;
}
