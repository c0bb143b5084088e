import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const MODULE = JSON.stringify(new URL('../../../src/base/direct-imports.ts', import.meta.url));

/** Imports Kysely in a process of its own, and returns how many of its files Node searched for. */
function searchesOfKysely(begin: string, then = ''): number {
  const program = `
    import { registerHooks } from 'node:module';
    let searches = 0;
    // The hooks that were made last are asked first.
    registerHooks({ resolve: (specifier, context, next) => {
      if (context.parentURL?.includes('/kysely/')) searches += 1;
      return next(specifier, context);
    } });
    const { importDirectly } = await import(${MODULE});
    ${begin}
    const kysely = await import('kysely');
    ${then}
    if (typeof kysely.Kysely !== 'function') throw new Error('Kysely is not whole');
    console.log(searches);
  `;
  return Number(execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }));
}

describe('direct imports', () => {
  it('find the files of a large package without a search', () => {
    expect(searchesOfKysely('')).toBeGreaterThan(100);
    expect(searchesOfKysely('importDirectly();')).toBe(0);
  });

  it('end, and the module stays the same one', () => {
    expect(searchesOfKysely('importDirectly()();')).toBeGreaterThan(100);
    const same = "if ((await import('kysely')).sql !== kysely.sql) throw new Error('a second module');";
    expect(searchesOfKysely('const end = importDirectly();', `end(); ${same}`)).toBe(0);
  });
});
