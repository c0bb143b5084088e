/**
 * A vault on a real folder with a real watcher, for tests of how it follows the disk.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemClock } from '../../../src/base/clock.ts';
import type { LogFields } from '../../../src/base/logger.ts';
import { Redactor } from '../../../src/base/redactor.ts';
import { Vault } from '../../../src/credentials/vault.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { until } from '../../support/until.ts';

/** The time within which a change must be served, in milliseconds. */
export const SERVED_WITHIN_MS = 500;

/** A running vault and the folder that it follows. */
export interface WatchedVault extends AsyncDisposable {
  readonly vault: Vault;
  readonly root: string;
  readonly folder: string;
  readonly envFile: string;
  readonly redactor: Redactor;
  /** Holds every line that was logged, as JSON. */
  readonly log: string[];
  /**
   * Writes a file under the secrets folder in place, as `>` in a shell does; makes folders with
   * mode 0700.
   */
  write(name: string, text: string): Promise<void>;
  /**
   * Resolves when the provider's keys are these, in order; rejects when they are not within 500 ms.
   */
  serves(provider: string, values: readonly string[]): Promise<void>;
}

/** Starts a vault; `prepare` fills the home before. */
export async function startVault(
  prepare: (folder: { root: string; folder: string; envFile: string }) => Promise<void> = async () => {},
): Promise<WatchedVault> {
  const home = makeTempHome();
  const { secretsRoot: root, secrets: folder, envFile } = home.paths;
  const redactor = new Redactor();
  const log: string[] = [];
  const note = (message: string, fields?: LogFields): void => {
    log.push(JSON.stringify({ message, ...fields }));
  };
  const vault = new Vault({
    paths: home.paths,
    knownProviders: () => ['openrouter', 'openai', 'google'],
    redactor,
    clock: systemClock,
    logger: { info: note, warn: note },
  });
  await prepare({ root, folder, envFile });
  const release = await vault.start();
  return {
    vault,
    root,
    folder,
    envFile,
    redactor,
    log,
    async write(name, text) {
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(path, text, { mode: 0o600 });
    },
    async serves(provider, values) {
      const held = (): string[] => vault.keys(provider).map((key) => key.value.reveal());
      await until(
        `${provider} has ${values.length} certain keys`,
        () => held().length === values.length && held().every((value, at) => value === values[at]),
        SERVED_WITHIN_MS,
      );
    },
    async [Symbol.asyncDispose]() {
      await release();
      await home.remove();
    },
  };
}
