/**
 * Loads zod with its English messages alone, and each of its files where it is, as cli.ts does with
 * ours. It loads messages in sixty languages otherwise, which took 20 ms of each start and 9 MB
 * (2026-11-28). Whoever imports zod afterwards gets the one here.
 */

import { registerHooks } from 'node:module';

const hooks = registerHooks({
  resolve: (specifier, context, next) => {
    if (!specifier.startsWith('.')) return next(specifier, context);
    const file = specifier === '../locales/index.js' ? '../locales/en.js' : specifier;
    return { url: new URL(file, context.parentURL).href, format: 'module', shortCircuit: true };
  },
});
await import('zod');
hooks.deregister();
