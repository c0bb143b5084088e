/**
 * Who used what: `aipassd stats` and `caller-usage` (the same for one caller, by model). Also
 * `session` for this run of the daemon or one session of a client, `export` for the events
 * themselves. `track` fetches the tokens and cost of a generation, and `cleanup` deletes old
 * events.
 */

import { AipassError } from '../../base/errors.ts';
import type { Aipass } from '../../client/aipass.ts';
import { csvLine } from '../../protocol/csv.ts';
import {
  TOKEN_COLUMNS,
  USAGE_GROUPINGS,
  USAGE_STATUSES,
  type UsageAnswer,
  type UsageFigures,
  type UsageQuery,
} from '../../protocol/usage.ts';
import { formatBytes, formatCost, formatCount, formatLocalTime } from '../format.ts';
import type { Output } from '../output.ts';
import { confirm } from '../prompt.ts';
import {
  choice,
  defineVerb,
  flag,
  integer,
  integerWord,
  JSON_FLAG,
  optionalWord,
  ORGANIZATION_OPTION,
  requiredWord,
  textOption,
  TIME_RANGE,
  type VerbContext,
} from '../verb.ts';

export const stats = defineVerb({
  name: 'stats',
  summary: 'show who used what: requests, cost, tokens, errors, latency',
  parameters: {
    ...TIME_RANGE,
    by: choice('G', USAGE_GROUPINGS, 'in groups'),
    caller: textOption('C', 'only what this caller used', { completion: 'callers' }),
    status: choice('S', USAGE_STATUSES, 'only calls that ended so'),
    organization: ORGANIZATION_OPTION,
    limit: integer('N', [1, 750], 'maximum number of groups (100 without it, 750 at most)'),
    json: JSON_FLAG,
    csv: flag('print the groups as CSV', ['json']),
  },
  run: ({ json, csv, ...query }, context) => show(query, json ? 'json' : csv ? 'csv' : 'text', context),
});

export const callerUsage = defineVerb({
  name: 'caller-usage',
  summary: 'show what one caller used, by model; the same as stats --by model --caller C',
  parameters: {
    caller: requiredWord('name of the caller; aipassd stats --by caller lists them', 'callers'),
    ...TIME_RANGE,
    organization: ORGANIZATION_OPTION,
    json: JSON_FLAG,
  },
  run: ({ json, ...query }, context) => show({ ...query, by: 'model' }, json ? 'json' : 'text', context),
});

async function show(
  query: UsageQuery,
  form: 'text' | 'json' | 'csv',
  { out, connect, signal }: VerbContext,
): Promise<void> {
  const aipass = await connect();
  const answer = await aipass.stats(query, { signal });
  if (form === 'json') out.json(answer);
  else if (form === 'text') await printUsage(answer, query, aipass, signal, out);
  else {
    const groups = query.by === undefined ? [{ name: 'total', figures: answer.total }] : answer.groups;
    out.text(csvLine(['name', ...Object.keys(FIGURE_CELLS)]));
    for (const { name, figures } of groups) {
      out.text(csvLine([name, ...Object.values(FIGURE_CELLS).map((cell) => cell(figures))]));
    }
  }
}

export const session = defineVerb({
  name: 'session',
  summary: "show what was used since the daemon started, or in a client's session",
  parameters: {
    id: textOption('ID', 'the session of a client, as stats --by session lists them'),
    organization: ORGANIZATION_OPTION,
    json: JSON_FLAG,
  },
  async run({ id, organization, json }, { out, connect, signal }) {
    const aipass = await connect();
    const answer = await aipass.usage.session(id, { organization, signal });
    if (json) return out.json(answer);
    if (!answer.session || answer.session.figures.requests + answer.session.figures.releases === 0) {
      out.warn('No session data available', 'see: aipassd stats --by session');
      return;
    }
    const { figures, firstAt, lastAt } = answer.session;
    printFigures(figures, 'Session', out);
    out.line(`From ${formatLocalTime(firstAt)} to ${formatLocalTime(lastAt)} (${answer.id})`);
  },
});

export const track = defineVerb({
  name: 'track',
  summary: "fetch a generation's tokens and cost from OpenRouter and record them, once",
  parameters: {
    'generation id': requiredWord('id that OpenRouter gave the completion, such as gen-1764…'),
    caller: optionalWord('its caller, where no completion of this daemon has the id ("manual" without it)', 'callers'),
    json: JSON_FLAG,
  },
  async run({ 'generation id': generationId, caller, json }, { out, connect, signal }) {
    const aipass = await connect();
    const { event, counted } = await aipass.usage.track(generationId, { caller, signal });
    if (json) return out.json({ event, counted });
    const cost = event.costMicros === null ? 'cost unknown' : formatCost(event.costMicros);
    const [prompt, completion] = [event.promptTokens, event.completionTokens].map((tokens) => tokens ?? 'unknown');
    out.line(`Tracked: ${prompt} prompt + ${completion} completion tokens, ${cost}`);
    if (!counted) out.line('It was already recorded, and is counted once.');
  },
});

export const exportUsage = defineVerb({
  name: 'export',
  summary: 'print recorded usage events, oldest first, as CSV or as JSON lines',
  parameters: {
    ...TIME_RANGE,
    key: textOption('K', 'only calls with this key, by the name of its variable'),
    status: choice('S', USAGE_STATUSES, 'only calls that ended so'),
    organization: ORGANIZATION_OPTION,
    csv: flag('one line of CSV for each event, with a heading (the default)', ['json']),
    json: flag('one JSON document on each line'),
  },
  async run({ key: keyId, since, until, status, organization, json }, { out, connect, signal }) {
    const aipass = await connect();
    const query = { organization, since, until, keyId, status, format: json ? ('jsonl' as const) : ('csv' as const) };
    await aipass.usage.export(query, (text) => out.text(text), { signal });
  },
});

export const cleanup = defineVerb({
  name: 'cleanup',
  summary: 'delete usage events older than a number of days; their daily totals stay',
  parameters: {
    days: integerWord('maximum age of an event; without it usage.retentionDays of the configuration (30)', [0, 36_500]),
    'dry-run': flag('only count what would be deleted'),
    yes: flag('do not ask before 0, which deletes every event'),
    json: JSON_FLAG,
  },
  async run({ days, 'dry-run': dryRun, yes, json }, { out, connect, signal }) {
    if (days === 0 && !dryRun && !yes) {
      const refusal = new AipassError('BAD_REQUEST', 'this would delete every usage event', {
        hint: 'add --yes if that is meant, or --dry-run to count them',
      });
      await confirm('Delete every usage event?', refusal, signal);
    }
    const aipass = await connect();
    const report = await aipass.usage.prune({ days, dryRun }, { signal });
    if (json) return out.json(report);
    const age = days === undefined ? 'older than the retention' : `older than ${formatCount(days, 'day')}`;
    const entries = formatCount(report.events, 'entry', 'entries');
    if (report.events === 0) out.line(`Nothing to clean: no entries ${age}`);
    else if (dryRun) out.line(`Would clean up ${entries} ${age}`);
    else {
      // SQLite gives pages back when it compacts; until then the file can even have grown.
      const freed = report.bytesBefore - report.bytesAfter;
      out.line(`Cleaned up ${entries} ${age}${freed > 0 ? `; the database is ${formatBytes(freed)} smaller` : ''}`);
    }
  },
});

/** Length of the longest bar, in columns. */
const BAR_WIDTH = 20;

/** Narrowest terminal on which bars are drawn, in columns. */
const MIN_BAR_COLUMNS = 110;

/** Prints sums under a title. Scripts may search for these headings, AIPass's own. */
export function printFigures(figures: UsageFigures, title: string, out: Output): void {
  const { tokens, latencyMs } = figures;
  const rows = [
    [`${title} Requests:`, formatRequests(figures)],
    [`${title} Cost:`, partlyKnown(formatCost(figures.costMicros), figures.requests, figures.costKnownFor)],
    [`${title} Tokens:`, partlyKnown(String(tokens.prompt + tokens.completion), figures.requests, tokens.knownFor)],
    ...(figures.requests > 0 && tokens.knownFor === 0 ? [] : [['- by kind:', formatKinds(tokens)]]),
    ['Errors:', `${figures.failed} failed, ${figures.limitReached} at a limit (${formatShare(figures.errorRate)})`],
    ['Latency:', latencyMs ? `p50 ${latencyMs.p50} ms, p90 ${latencyMs.p90} ms, p99 ${latencyMs.p99} ms` : 'unknown'],
  ];
  if (figures.firstTokenMs !== null) rows.push(['First token:', `${figures.firstTokenMs} ms on average`]);
  if (figures.releases > 0) rows.push(['Credentials released:', String(figures.releases)]);
  out.table(rows, { wrapLast: true });
}

/** Prints the groups of an answer as a table, with bars on a wide terminal. */
export function printGroups(answer: UsageAnswer, by: string, out: Output): void {
  const most = Math.max(1, ...answer.groups.map((group) => group.figures.requests));
  const withBars = out.isTerminal && out.columns >= MIN_BAR_COLUMNS;
  const heads = [by, 'requests', 'errors', 'cost', 'prompt', 'completion', 'p50 ms', 'p99 ms'];
  const rows = answer.groups.map(({ name, figures }) => [
    name ?? '(none)',
    String(figures.requests),
    formatShare(figures.errorRate),
    figures.costKnownFor === 0 ? '-' : formatCost(figures.costMicros),
    figures.tokens.knownFor === 0 ? '-' : String(figures.tokens.prompt),
    figures.tokens.knownFor === 0 ? '-' : String(figures.tokens.completion),
    figures.latencyMs ? String(figures.latencyMs.p50) : '-',
    figures.latencyMs ? String(figures.latencyMs.p99) : '-',
    ...(withBars ? ['█'.repeat(Math.ceil((figures.requests / most) * BAR_WIDTH))] : []),
  ]);
  out.table([withBars ? [...heads, 'share of requests'] : heads, ...rows]);
  if (answer.more) out.line(`Showing ${answer.groups.length} of more groups; use --limit (at most 750)`);
}

/** Prints the sums, and the groups that a query asks for, else who and which models. */
async function printUsage(
  answer: UsageAnswer,
  query: UsageQuery,
  aipass: Aipass,
  signal: AbortSignal,
  out: Output,
): Promise<void> {
  if (answer.total.requests + answer.total.releases === 0) {
    const range = query.since === undefined && query.until === undefined ? '' : ' in this range of time';
    if (query.caller === undefined) out.warn(`No usage data available${range}`);
    else out.warn(`No usage data found for caller: ${query.caller}${range}`, 'see: aipassd stats --by caller');
    return;
  }
  printFigures(answer.total, 'Total', out);
  if (query.by !== undefined) {
    out.line('');
    printGroups(answer, query.by, out);
    return;
  }
  const callers = await aipass.stats({ ...query, by: 'caller' }, { signal });
  const models = await aipass.stats({ ...query, by: 'model' }, { signal });
  const used = models.groups.flatMap((group) => group.name ?? []);
  out.line(`Callers: ${callers.groups.length}${callers.more ? '+' : ''}`);
  if (used.length > 0) out.paragraph(`Models Used: ${used.join(', ')}${models.more ? ', …' : ''}`, 2);
}

/** Columns of a group in CSV, after its name. */
const FIGURE_CELLS: Readonly<Record<string, (figures: UsageFigures) => number | null>> = {
  requests: (figures) => figures.requests,
  succeeded: (figures) => figures.succeeded,
  failed: (figures) => figures.failed,
  limitReached: (figures) => figures.limitReached,
  costMicros: (figures) => figures.costMicros,
  costKnownFor: (figures) => figures.costKnownFor,
  ...Object.fromEntries(
    TOKEN_COLUMNS.map(({ field, figure }) => [field, ({ tokens }: UsageFigures) => tokens[figure]]),
  ),
  tokensKnownFor: ({ tokens }) => tokens.knownFor,
  latencyP50Ms: ({ latencyMs }) => latencyMs?.p50 ?? null,
  latencyP90Ms: ({ latencyMs }) => latencyMs?.p90 ?? null,
  latencyP99Ms: ({ latencyMs }) => latencyMs?.p99 ?? null,
  latencyMeanMs: ({ latencyMs }) => latencyMs?.mean ?? null,
  firstTokenMs: (figures) => figures.firstTokenMs,
  errorRate: (figures) => figures.errorRate,
  releases: (figures) => figures.releases,
  attempts: (figures) => figures.attempts,
};

/** Returns the number of requests, with that of the attempts where calls were tried again. */
function formatRequests({ requests, attempts }: UsageFigures): string {
  return attempts > requests ? `${requests} (${attempts} attempts)` : String(requests);
}

/** Returns a sum and how many calls it does not know; "unknown" where that is all. */
function partlyKnown(sum: string, requests: number, knownFor: number): string {
  if (knownFor >= requests) return sum;
  return knownFor === 0 ? 'unknown' : `${sum} (unknown for ${requests - knownFor})`;
}

/** Returns the number of tokens of each kind, such as `cache write 7` for cacheWrite. */
function formatKinds(tokens: UsageFigures['tokens']): string {
  return TOKEN_COLUMNS.map(({ figure }) => {
    const words = figure.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    return `${words} ${tokens[figure]}`;
  }).join(', ');
}

function formatShare(share: number | null): string {
  return share === null ? '-' : `${(share * 100).toFixed(1)} %`;
}
