/**
 * A home of its own for one test: every path that aipassd reads or writes lies inside a fresh
 * folder.
 *
 * The folder's path is short, because a Unix socket's path may have at most 107 bytes (103 on
 * macOS).
 */

import { mkdtempSync, realpathSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { resolvePaths, type Paths } from '../../src/base/paths.ts';
import { afterTests } from './after-tests.ts';

/** How long the system's temporary folder may be before /tmp is taken instead, in bytes. */
const MAX_TMPDIR_BYTES = 60;

/**
 * Holds the homes that are not removed yet, for the case that a test fails before it can see to
 * that.
 */
const homes = new Set<string>();
await afterTests(async () => {
  for (const path of homes) await rm(path, { recursive: true, force: true, maxRetries: 5 });
});

/** A temporary home. `await using` removes it at the end of the test; elsewhere call `remove()`. */
export interface TempHome extends AsyncDisposable {
  /** The folder itself, mode 0700. */
  readonly path: string;
  /**
   * The whole environment for a program that lives here: PATH, HOME, our four variables and where
   * compiled code is shared, nothing of the developer's own.
   */
  readonly env: Readonly<Record<string, string>>;
  /** Holds every path, as daemon and client derive them from `env`. */
  readonly paths: Paths;
  /** Writes `.env` with the given variables, and makes its folders; modes 0600 and 0700. */
  writeKeys(variables: Readonly<Record<string, string>>): Promise<void>;
  /** Writes `config.jsonc`. */
  writeConfig(config: unknown): Promise<void>;
  /** Makes the folder of the sockets, as the daemon does before it listens. */
  makeRuntime(): Promise<void>;
  /** Removes everything; a second call does nothing. */
  remove(): Promise<void>;
}

/** Makes a temporary home. Nothing but the folder itself exists in it at first. */
export function makeTempHome(): TempHome {
  const base = Buffer.byteLength(tmpdir()) <= MAX_TMPDIR_BYTES ? tmpdir() : '/tmp';
  const path = realpathSync(mkdtempSync(join(base, 'aip-')));
  const compiled = process.env['TEST_COMPILE_CACHE'];
  const env = {
    PATH: [dirname(process.execPath), process.env['PATH'] ?? '/usr/bin:/bin'].join(delimiter),
    HOME: path,
    AIPASSD_SECRETS_DIR: join(path, '.secrets'),
    AIPASSD_CONFIG: join(path, 'config.jsonc'),
    AIPASSD_STATE_DIR: join(path, 'state'),
    AIPASSD_RUNTIME_DIR: join(path, 'run'),
    ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled }),
  };
  const paths = resolvePaths({ env, home: path });
  homes.add(path);
  const remove = async (): Promise<void> => {
    await rm(path, { recursive: true, force: true, maxRetries: 5 });
    homes.delete(path);
  };
  return {
    path,
    env,
    paths,
    async writeKeys(variables) {
      await mkdir(paths.secrets, { recursive: true, mode: 0o700 });
      const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
      await writeFile(paths.envFile, lines.join(''), { mode: 0o600 });
    },
    async writeConfig(config) {
      await writeFile(paths.config, JSON.stringify(config), { mode: 0o600 });
    },
    async makeRuntime() {
      await mkdir(paths.runtime, { recursive: true, mode: 0o700 });
    },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}
