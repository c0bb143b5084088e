/**
 * Boots a real systemd, runs one of the programs of this folder inside as root, and returns what it
 * found.
 */

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BOOT = fileURLToPath(new URL('../support/boot-systemd.sh', import.meta.url));

/** How long all of it may take, in seconds. */
const LIMIT_S = 90;

/** One thing that a program inside found out, by the name that the test outside asks for. */
export type Findings = ReadonlyMap<string, unknown>;

/**
 * Runs a program of this folder inside, and returns its findings; throws with all that it printed
 * where it broke off.
 */
export async function bootAndRun(program: string, { userNamespaces = true } = {}): Promise<Findings> {
  const out = mkdtempSync(join(tmpdir(), 'aipassd-systemd-'));
  try {
    const script = join(out, 'script');
    writeFileSync(
      script,
      `#!/bin/sh\nexec /opt/aipassd/node_modules/node/bin/node /opt/aipassd/tests/systemd/${program}\n`,
    );
    const status = await new Promise<number>((resolve) => {
      const env = { ...process.env, NO_USERNS: userNamespaces ? '' : '1' };
      execFile(BOOT, [script, out, String(LIMIT_S)], { env }, (error) =>
        resolve(error === null ? 0 : Number(error.code ?? 1)),
      );
    });
    const read = (name: string): string => {
      try {
        return readFileSync(join(out, name), 'utf8');
      } catch {
        return '';
      }
    };
    if (status !== 0) {
      throw new Error(
        `${program} ended with ${status}\n${read('stdout')}\n${read('stderr')}\n${read('console').slice(-4000)}`,
      );
    }
    return new Map(
      read('stdout')
        .split('\n')
        .filter((line) => line.startsWith('{"finding"'))
        .map((line): [string, unknown] => {
          const { finding, value }: { finding: string; value: unknown } = JSON.parse(line);
          return [finding, value];
        }),
    );
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
