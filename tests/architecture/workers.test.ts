import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

/**
 * Returns the packages that a file loads at once, by its own imports and those of what it imports.
 */
function packagesOf(entry: string): Map<string, string> {
  const packages = new Map<string, string>();
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const source = readFileSync(file, 'utf8');
    for (const [, clause = '', target = ''] of source.matchAll(/^import\s+([^;]*?)\s*from\s+'([^']+)';/gms)) {
      if (clause.startsWith('type ')) continue;
      if (target.startsWith('.')) visit(join(dirname(file), target));
      else if (!target.startsWith('node:')) packages.set(target, relative(SRC, file));
    }
  };
  visit(join(SRC, entry));
  return packages;
}

it('a worker loads no package but the one that finds near names, before it knows which library it needs', () => {
  expect([...packagesOf('refreshers/worker/main.ts').keys()]).toEqual(['fastest-levenshtein']);
});

it('the search can fail: the daemon does load zod for account files', () => {
  expect([...packagesOf('refreshers/accounts.ts').keys()]).toContain('zod');
});

it('the usage thread does not load zod, which it needs for an import of AIPass alone', () => {
  expect([...packagesOf('usage/thread-main.ts').keys()]).not.toContain('zod');
});
