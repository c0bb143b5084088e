/**
 * Opens what asks providers: the forwarder, and chat completions on top of it.
 */

import { defer } from '../base/dispose.ts';
import type { Runtime } from '../base/runtime.ts';
import { createGuardedLookup } from '../providers/credential-url.ts';
import { Completer } from './completer.ts';
import { Forwarder, type ForwarderDeps } from './forwarder.ts';

/** Back-off before a failing provider is asked again within one request. */
const RETRY = { attempts: 3, backoff: { firstMs: 250, maxMs: 4000, jitter: 0.2 } } as const;

export function openCompletions(
  { config, clock, random, redactor }: Pick<Runtime, 'config' | 'clock' | 'random' | 'redactor'>,
  deps: Pick<ForwarderDeps, 'providers' | 'keysOf' | 'record'>,
  stack: AsyncDisposableStack,
): { readonly forwarder: Forwarder; readonly completer: Completer } {
  const { defaultProvider, fallbacks } = config.current;
  const guardedLookup = createGuardedLookup(() => config.current.network.allowedHosts);
  const retry = { ...RETRY, random };
  const forwarder = new Forwarder({ ...deps, clock, redactor, defaultProvider, guardedLookup, retry });
  defer(stack, 'the answers that are read on for the bill', () => forwarder.stop());
  return { forwarder, completer: new Completer({ forwarder, defaultProvider, fallbacks }) };
}
