/**
 * Whom to ask, in which order: what the request names first, then the fallbacks. Pure.
 */

import type { CompletionFallback, CompletionParams } from '../protocol/completion.ts';

/** One provider and model to ask. */
export interface Route {
  readonly provider: string;
  readonly model: string;
}

/** Returns the routes of a request, each once. Its own fallbacks replace the configured ones, also with an empty list. */
export function routesOf(
  params: CompletionParams,
  defaultProvider: string,
  configured: readonly CompletionFallback[],
): readonly [Route, ...Route[]] {
  const first: Route = { provider: params.provider ?? defaultProvider, model: params.model };
  const others = (params.fallbacks ?? configured).map((fallback): Route => {
    const { provider, model } = typeof fallback === 'string' ? { provider: undefined, model: fallback } : fallback;
    return { provider: provider ?? first.provider, model: model ?? first.model };
  });
  const seen = new Set([printRoute(first)]);
  const distinct = others.filter((route) => !seen.has(printRoute(route)) && seen.add(printRoute(route)));
  return [first, ...distinct];
}

function printRoute({ provider, model }: Route): string {
  return `${provider}\n${model}`;
}
