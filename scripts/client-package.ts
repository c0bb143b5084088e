/**
 * Fills packages/client/dist with what the client needs of the built dist, so that `npm pack
 * ./packages/client` makes the package aipassd-client. Prints the folder. Run `npm run build`
 * first.
 */

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PACKAGE = join(ROOT, 'packages', 'client');

/** Matches relative imports in built JavaScript and in declarations. */
const IMPORT = /(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g;

/** Lists a file of dist and all that it imports, as paths below dist. */
function closureOf(entry: string): Set<string> {
  const found = new Set<string>();
  const visit = (path: string): void => {
    if (found.has(path)) return;
    found.add(path);
    const text = readFileSync(join(ROOT, 'dist', path), 'utf8');
    for (const [, imported = ''] of text.matchAll(IMPORT)) {
      const target = join(dirname(path), imported);
      visit(path.endsWith('.d.ts') ? target.replace(/\.[jt]s$/, '.d.ts') : target);
    }
  };
  visit(entry);
  return found;
}

rmSync(join(PACKAGE, 'dist'), { recursive: true, force: true });
for (const path of [...closureOf('client/index.js'), ...closureOf('client/index.d.ts')]) {
  const target = join(PACKAGE, 'dist', path);
  mkdirSync(dirname(target), { recursive: true });
  const text = readFileSync(join(ROOT, 'dist', path), 'utf8');
  // Declarations name the sources that they were made from; compilers before TypeScript 5.7 do not
  // follow that.
  writeFileSync(
    target,
    text.replace(IMPORT, (statement) => statement.replace(/\.ts(?=['"]$)/, '.js')),
  );
}
copyFileSync(join(ROOT, 'LICENSE'), join(PACKAGE, 'LICENSE'));
process.stdout.write(`${PACKAGE}\n`);
