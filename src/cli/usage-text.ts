/**
 * How usage looks on a terminal: money, shares, durations, bars and tables.
 */

import type { UsageAnswer, UsageFigures } from '../protocol/usage.ts';
import type { Output } from './output.ts';

/** Is how many characters the longest bar has. */
const BAR_WIDTH = 20;

/** Prints micro-dollars as dollars with six decimals. */
export function printCost(micros: number): string {
  return `$${(micros / 1_000_000).toFixed(6)}`;
}

/** Prints the sums of some calls, with the heading words of AIPass and what it lacked. */
export function printFigures(figures: UsageFigures, words: { readonly prefix: string }, out: Output): void {
  const { tokens, latencyMs } = figures;
  const rows = [
    [`${words.prefix} Requests:`, String(figures.requests)],
    [`${words.prefix} Cost:`, partlyKnown(printCost(figures.costMicros), figures.requests, figures.costKnownFor)],
    [
      `${words.prefix} Tokens:`,
      partlyKnown(String(tokens.prompt + tokens.completion), figures.requests, tokens.knownFor),
    ],
    ...(figures.requests > 0 && tokens.knownFor === 0 ? [] : [['  by kind:', printKinds(tokens)]]),
    ['Errors:', `${figures.failed} failed, ${figures.limitReached} at a limit (${printShare(figures.errorRate)})`],
    ['Latency:', latencyMs ? `p50 ${latencyMs.p50} ms, p90 ${latencyMs.p90} ms, p99 ${latencyMs.p99} ms` : 'unknown'],
  ];
  if (figures.firstTokenMs !== null) rows.push(['First token:', `${figures.firstTokenMs} ms on average`]);
  if (figures.releases > 0) rows.push(['Credentials handed out:', String(figures.releases)]);
  out.table(rows, '', 120);
}

/** Prints the groups of an answer as a table, with bars where that is a terminal. */
export function printGroups(answer: UsageAnswer, by: string, out: Output): void {
  const most = Math.max(1, ...answer.groups.map((group) => group.figures.requests));
  const heads = [by, 'requests', 'errors', 'cost', 'prompt', 'completion', 'p50 ms', 'p99 ms'];
  const rows = answer.groups.map(({ name, figures }) => [
    name ?? '(none)',
    String(figures.requests),
    printShare(figures.errorRate),
    figures.costKnownFor === 0 ? '-' : printCost(figures.costMicros),
    figures.tokens.knownFor === 0 ? '-' : String(figures.tokens.prompt),
    figures.tokens.knownFor === 0 ? '-' : String(figures.tokens.completion),
    figures.latencyMs ? String(figures.latencyMs.p50) : '-',
    figures.latencyMs ? String(figures.latencyMs.p99) : '-',
    ...(out.isTerminal ? ['█'.repeat(Math.ceil((figures.requests / most) * BAR_WIDTH))] : []),
  ]);
  out.table([out.isTerminal ? [...heads, ''] : heads, ...rows]);
  if (answer.more) out.line(`There are more than these ${answer.groups.length}: --limit shows up to 750`);
}

/** Returns the cells of one group of an answer, for CSV. */
export function figureCells(name: string | null, figures: UsageFigures): (string | number | null)[] {
  const { tokens, latencyMs } = figures;
  return [
    name,
    figures.requests,
    figures.succeeded,
    figures.failed,
    figures.limitReached,
    figures.costMicros,
    figures.costKnownFor,
    tokens.prompt,
    tokens.completion,
    tokens.cached,
    tokens.reasoning,
    tokens.knownFor,
    latencyMs?.p50 ?? null,
    latencyMs?.p90 ?? null,
    latencyMs?.p99 ?? null,
    latencyMs?.mean ?? null,
    figures.firstTokenMs,
    figures.errorRate,
    figures.releases,
  ];
}

/** Names the cells that figureCells returns. */
export const FIGURE_COLUMNS = [
  'name',
  'requests',
  'succeeded',
  'failed',
  'limitReached',
  'costMicros',
  'costKnownFor',
  'promptTokens',
  'completionTokens',
  'cachedTokens',
  'reasoningTokens',
  'tokensKnownFor',
  'latencyP50Ms',
  'latencyP90Ms',
  'latencyP99Ms',
  'latencyMeanMs',
  'firstTokenMs',
  'errorRate',
  'releases',
] as const;

/** Returns a sum with the number of calls that it knows nothing of; a sum of none is no number. */
function partlyKnown(sum: string, requests: number, knownFor: number): string {
  if (knownFor >= requests) return sum;
  return knownFor === 0 ? 'unknown' : `${sum} (unknown for ${requests - knownFor})`;
}

function printKinds({ prompt, completion, cached, reasoning }: UsageFigures['tokens']): string {
  return `prompt ${prompt}, completion ${completion}, cached ${cached}, reasoning ${reasoning}`;
}

function printShare(share: number | null): string {
  return share === null ? '-' : `${(share * 100).toFixed(1)} %`;
}
