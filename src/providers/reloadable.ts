/**
 * A registry of providers whose configuration may change while others hold on to it.
 */

import type { Config } from '../base/config-schema.ts';
import { createProviders, type Providers } from './registry.ts';

/** Is a registry that can be replaced in place. */
export interface ReloadableProviders extends Providers {
  /** Puts another configuration to use. Throws as createProviders does, and keeps the one in use then. */
  replace(config: Pick<Config, 'providers'>): void;
}

/** Makes the registry. Throws as createProviders does. */
export function createReloadableProviders(config: Pick<Config, 'providers'>): ReloadableProviders {
  let current = createProviders(config);
  return {
    get: (name) => current.get(name),
    find: (name) => current.find(name),
    names: () => current.names(),
    list: () => current.list(),
    replace: (next) => {
      current = createProviders(next);
    },
  };
}
