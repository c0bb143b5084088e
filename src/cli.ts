#!/usr/bin/env node
/**
 * The entry of the command line. Checks the version of Node before it loads anything that an older
 * one cannot read.
 */

import './base/no-debugger.ts';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import * as nodeModule from 'node:module';
import { importDirectly } from './base/direct-imports.ts';
import { isNodeAtLeast, OLDEST_NODE } from './base/node-version.ts';
import { resolvePaths } from './base/paths.ts';

if (!isNodeAtLeast(process.versions.node, OLDEST_NODE)) {
  process.stderr.write(
    `aipassd needs Node ${OLDEST_NODE.join('.')} or newer, and this is Node ${process.versions.node}: install a newer one (in a clone, npm start and npx aipassd bring their own)\n`,
  );
  process.exitCode = 1;
} else {
  // What this program creates is for its user alone.
  const usersUmask = process.umask(0o077);
  const cache = compileCacheFolder();
  if (cache !== undefined) nodeModule.enableCompileCache(cache);
  const endDirectImports = importDirectly();
  const argv = process.argv.slice(2);
  // The daemon needs nothing of the command line, whose loading its start would pay for.
  const run = () => runDaemon(endDirectImports);
  if (argv.length === 1 && argv[0] === 'run') await run();
  const { main } = await import('./cli/main.ts');
  process.exitCode = await main(argv, usersUmask, run);
}

async function runDaemon(endDirectImports: () => void): Promise<never> {
  await import('./base/english-zod.ts');
  const daemon = await import('./run.ts');
  endDirectImports();
  // Connections that providers keep open must not hold up the end.
  process.exit(await daemon.runDaemon());
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
