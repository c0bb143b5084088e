/**
 * Opens the vault, and makes the file for keys where there is none.
 */

import { defer } from '../base/dispose.ts';
import type { Runtime } from '../base/runtime.ts';
import { offerEnvFile } from './template.ts';
import { Vault } from './vault.ts';

/** Opens the vault with everything loaded; it follows the disk until the stack is closed. */
export async function openVault(
  { config, paths, redactor, events, clock, logger, warnings }: Runtime,
  knownProviders: () => readonly string[],
  stack: AsyncDisposableStack,
): Promise<Vault> {
  const log = logger.component('credentials');
  warnings.register(await offerEnvFile(paths.envFile, log));
  const vault = new Vault({ paths, knownProviders, redactor, clock, logger: log });
  defer(stack, 'the vault', await vault.start());
  warnings.register(() => vault.warnings());
  defer(
    stack,
    'the events of the vault',
    vault.onChange((names) => events.publish('secrets-changed', { names })),
  );
  defer(
    stack,
    'the providers of the vault',
    config.onChange(() => vault.providersChanged()),
  );
  return vault;
}
