/**
 * Opens a vault, and makes the file for the daemon's own keys where there is none.
 */

import { defer } from '../base/dispose.ts';
import type { Runtime } from '../base/runtime.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import { offerEnvFile } from './template.ts';
import { Vault } from './vault.ts';

/**
 * Opens the vault of an organization with everything loaded, at the paths and with the events of
 * the runtime. It follows the disk until the stack is closed.
 */
export async function openVault(
  { config, paths, redactor, events, clock, logger, warnings }: Runtime,
  knownProviders: () => readonly string[],
  stack: AsyncDisposableStack,
  organization: string,
): Promise<Vault> {
  const log = logger.component('credentials');
  const isOwn = organization === DEFAULT_ORGANIZATION;
  if (isOwn) warnings.register(await offerEnvFile(paths.envFile, log));
  const name = isOwn ? 'the vault' : `the vault of ${organization}`;
  const redactorSource = isOwn ? undefined : `organization ${organization}`;
  const vault = new Vault({ paths, knownProviders, redactor, redactorSource, clock, logger: log });
  defer(stack, name, await vault.start());
  warnings.register(() => vault.warnings().map((warning) => (isOwn ? warning : { ...warning, organization })));
  defer(
    stack,
    `the events of ${name}`,
    vault.onChange((names) => events.publish('secrets-changed', { names })),
  );
  defer(
    stack,
    `the providers of ${name}`,
    config.onChange(() => vault.providersChanged()),
  );
  return vault;
}
