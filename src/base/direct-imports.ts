/**
 * Lets Node take a relative import for what it is: a file beside the importing one. It reads links,
 * folders and `package.json` for each otherwise. That took 20 of the 185 ms of processor time of a
 * start, and 40 of the 150 ms of the usage thread's (2026-11-28). A file that is imported in
 * another way is the same module.
 */

import * as nodeModule from 'node:module';

/** Folder of this program's own modules. */
const OWN = new URL('..', import.meta.url).href;

/** Packages of hundreds of files, all of which are ES modules. */
const LARGE_PACKAGES = /\/node_modules\/(?:kysely|zod)\//;

/** Takes relative imports directly until the returned function is called. */
export function importDirectly(): () => void {
  const hooks = nodeModule.registerHooks({
    resolve: (specifier, context, next) => {
      const { parentURL } = context;
      // The sources import each other as .ts, which Node has to strip first.
      const isDirect =
        specifier.startsWith('.') &&
        specifier.endsWith('.js') &&
        parentURL !== undefined &&
        (parentURL.startsWith(OWN) || LARGE_PACKAGES.test(parentURL));
      if (!isDirect) return next(specifier, context);
      return { url: new URL(specifier, parentURL).href, format: 'module', shortCircuit: true };
    },
  });
  return () => hooks.deregister();
}
