/**
 * Opens the registry of providers, which follows the configuration.
 */

import { defer } from '../base/dispose.ts';
import type { Runtime } from '../base/runtime.ts';
import { createReloadableProviders } from './reloadable.ts';
import type { Providers } from './registry.ts';

/** Opens the registry; a reload replaces what it holds. Throws as createProviders does. */
export function openProviders({ config }: Runtime, stack: AsyncDisposableStack): Providers {
  const providers = createReloadableProviders(config.current);
  defer(
    stack,
    'the registry of providers',
    config.onChange((next) => providers.replace(next)),
  );
  return providers;
}
