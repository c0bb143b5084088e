/**
 * Writes the version of package.json into src/base/version.ts. `npm version` runs it.
 */

import { readFileSync, writeFileSync } from 'node:fs';

const manifest: { readonly version: string } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
);
const file = new URL('../src/base/version.ts', import.meta.url);
writeFileSync(file, readFileSync(file, 'utf8').replace(/VERSION = '[^']*'/, `VERSION = '${manifest.version}'`));
