/**
 * Writes the version of package.json into src/base/version.ts and the package of the client. `npm
 * version` runs it.
 */

import { readFileSync, writeFileSync } from 'node:fs';

const manifest: { readonly version: string } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
);
replaceIn('../src/base/version.ts', /VERSION = '[^']*'/, `VERSION = '${manifest.version}'`);
replaceIn('../packages/client/package.json', /"version": "[^"]*"/, `"version": "${manifest.version}"`);

function replaceIn(path: string, pattern: RegExp, replacement: string): void {
  const file = new URL(path, import.meta.url);
  writeFileSync(file, readFileSync(file, 'utf8').replace(pattern, replacement));
}
