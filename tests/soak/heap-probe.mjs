/**
 * Loaded into the daemon by the soak: on SIGUSR2 it collects all garbage and prints what the heap holds then.
 */

import { writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.on('SIGUSR2', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc');
    for (let times = 0; times < 2; times += 1) collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    writeSync(2, `heap ${process.memoryUsage().heapUsed}\n`);
  });
}
