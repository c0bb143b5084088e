/**
 * The version of this package, read from its package.json. Loads `node:` modules only.
 */

import { readFileSync } from 'node:fs';

/** Returns the version in package.json, two folders above this file in `src` and in `dist` alike. */
export function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) return String(manifest.version);
  throw new Error('package.json has no version');
}
