/**
 * Keeps Node's debugger closed. Node opens it to every user of the machine when a process gets
 * SIGUSR1, and whoever connects reads every secret. Each entry file imports this file before
 * everything else.
 *
 * Units and workers are started with `--disable-sigusr1`, so that not even the first millisecond is
 * open. Without that flag (`aipassd …` in a shell) a signal that came before this file was loaded
 * has opened the debugger. It is closed here, before any secret is read. `--inspect` is its user's
 * own choice, and is left alone.
 */

import type * as Inspector from 'node:inspector';

const isRequested = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)].some((option) =>
  /^--inspect(?:-brk|-wait)?(?:=|$)/.test(option),
);

process.on('SIGUSR1', () => {});

/** Resolves when no debugger is open, and none can be opened by a signal any more. */
export const debuggerClosed: Promise<void> = process.execArgv.includes('--disable-sigusr1')
  ? Promise.resolve()
  : closeDebugger();

async function closeDebugger(): Promise<void> {
  if (isRequested) return;
  // Loaded by name, so that nobody pays for it who has the flag.
  const inspector: typeof Inspector = process.getBuiltinModule('node:inspector');
  // One signal is served up to twice: at once, and in the first turn of the event loop.
  for (let turn = 0; turn < 3; turn += 1) {
    if (inspector.url() !== undefined) inspector.close();
    await new Promise(setImmediate);
  }
}
