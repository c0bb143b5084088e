/**
 * Loads zod with its English messages alone. It loads them in sixty languages otherwise, which took
 * 20 ms of each start and 9 MB (2026-11-28). Whoever imports zod afterwards gets the one here.
 */

import { registerHooks } from 'node:module';

const hooks = registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === '../locales/index.js' ? '../locales/en.js' : specifier, context),
});
await import('zod');
hooks.deregister();
