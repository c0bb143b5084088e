/**
 * Usage as text: money, shares and latencies on a terminal, and the columns of CSV.
 */

import type { UsageAnswer, UsageFigures, UsageQuery } from '../protocol/usage.ts';
import type { Aipass } from '../client/aipass.ts';
import type { Output } from './output.ts';

/** Length of the longest bar, in columns. */
const BAR_WIDTH = 20;

/** Narrowest terminal on which bars are drawn, in columns. */
const MIN_BAR_COLUMNS = 110;

/** Formats micro-dollars as dollars with six decimals. */
export function formatCost(micros: number): string {
  return `$${(micros / 1_000_000).toFixed(6)}`;
}

/**
 * Prints the sums of some calls; `title` heads the rows. The headings are those of AIPass, which
 * scripts may search for.
 */
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

/**
 * Prints what a query selects: the sums, and the groups where it asks for them, else who and which
 * models.
 */
export async function printUsage(aipass: Aipass, query: UsageQuery, signal: AbortSignal, out: Output): Promise<void> {
  const answer = await aipass.stats(query, { signal });
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
  promptTokens: ({ tokens }) => tokens.prompt,
  completionTokens: ({ tokens }) => tokens.completion,
  cachedTokens: ({ tokens }) => tokens.cached,
  cacheWriteTokens: ({ tokens }) => tokens.cacheWrite,
  reasoningTokens: ({ tokens }) => tokens.reasoning,
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

/** Heading of the CSV of groups. */
export const FIGURE_COLUMNS: readonly string[] = ['name', ...Object.keys(FIGURE_CELLS)];

/** Returns the cells of one group, in the order of the heading. */
export function figureCells(name: string | null, figures: UsageFigures): (string | number | null)[] {
  return [name, ...Object.values(FIGURE_CELLS).map((cell) => cell(figures))];
}

/** Returns the number of requests, with that of the attempts where calls were tried again. */
function formatRequests({ requests, attempts }: UsageFigures): string {
  return attempts > requests ? `${requests} (${attempts} attempts)` : String(requests);
}

/**
 * Returns a sum with the number of calls whose part is unknown; a sum of unknown parts only is
 * unknown.
 */
function partlyKnown(sum: string, requests: number, knownFor: number): string {
  if (knownFor >= requests) return sum;
  return knownFor === 0 ? 'unknown' : `${sum} (unknown for ${requests - knownFor})`;
}

function formatKinds({ prompt, completion, cached, cacheWrite, reasoning }: UsageFigures['tokens']): string {
  const written = cacheWrite > 0 ? `, written to caches ${cacheWrite}` : '';
  return `prompt ${prompt}, completion ${completion}, cached ${cached}${written}, reasoning ${reasoning}`;
}

function formatShare(share: number | null): string {
  return share === null ? '-' : `${(share * 100).toFixed(1)} %`;
}
