#!/usr/bin/env node
/**
 * The entry of the command line. Checks the version of Node before it loads anything that an older
 * one cannot read.
 */

import './base/no-debugger.ts';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import * as nodeModule from 'node:module';
import { isNodeAtLeast, OLDEST_NODE } from './base/node-version.ts';
import { resolvePaths } from './base/paths.ts';

if (!isNodeAtLeast(process.versions.node, OLDEST_NODE)) {
  process.stderr.write(
    `aipassd needs Node ${OLDEST_NODE.join('.')} or newer, and this is Node ${process.versions.node}: install a newer one (in a clone, npm start and npx aipassd bring their own)\n`,
  );
  process.exitCode = 1;
} else {
  // What this program creates is for its user alone.
  process.umask(0o077);
  const cache = compileCacheFolder();
  if (cache !== undefined) nodeModule.enableCompileCache(cache);
  const finder = findOwnModules();
  const argv = process.argv.slice(2);
  // The daemon needs nothing of the command line, whose loading its start would pay for.
  const run = () => runDaemon(finder);
  if (argv.length === 1 && argv[0] === 'run') await run();
  const { main } = await import('./cli/main.ts');
  process.exitCode = await main(argv, run);
}

async function runDaemon(finder: nodeModule.ModuleHooks | undefined): Promise<never> {
  await import('./base/english-zod.ts');
  const daemon = await import('./run.ts');
  finder?.deregister();
  // Connections that providers keep open must not hold up the end.
  process.exit(await daemon.runDaemon());
}

/**
 * Lets Node take a relative import of a built file for what it is: that file. It reads links,
 * folders and `package.json` for each otherwise, which took 20 of the 185 ms of processor time of a
 * start (2026-11-28).
 */
function findOwnModules(): nodeModule.ModuleHooks | undefined {
  if (import.meta.url.endsWith('.ts')) return undefined;
  const folder = new URL('.', import.meta.url).href;
  return nodeModule.registerHooks({
    resolve: (specifier, context, next) =>
      specifier.startsWith('.') && context.parentURL?.startsWith(folder)
        ? { url: new URL(specifier, context.parentURL).href, format: 'module', shortCircuit: true }
        : next(specifier, context),
  });
}

/**
 * Returns where compiled code is kept: in our own state folder, because the default place is one
 * that other users can write to. Undefined where there is no such folder, or where others could put
 * code of theirs there.
 */
function compileCacheFolder(): string | undefined {
  try {
    const { state } = resolvePaths();
    const { mode, uid } = statSync(state);
    return uid === process.geteuid?.() && (mode & 0o077) === 0 ? join(state, 'compile-cache') : undefined;
  } catch {
    // Whoever needs the folder reports what is wrong with it.
    return undefined;
  }
}
