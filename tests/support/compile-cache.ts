/**
 * Lets all daemons of one run of the tests share what Node compiled. Each has a state folder of its
 * own, and would otherwise compile everything again.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Makes the folder before the first test, and returns what removes it after the last. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'aipassd-compiled-'));
  process.env['TEST_COMPILE_CACHE'] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
