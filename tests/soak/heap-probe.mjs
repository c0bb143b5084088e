/**
 * Loaded into the daemon by the soak: on SIGUSR2 it collects all garbage and prints what the heap holds then:
 * data, and beside it what V8 compiled of the code that ran, which grows for many minutes while more of it becomes hot.
 */

import { writeSync } from 'node:fs';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.on('SIGUSR2', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc');
    for (let times = 0; times < 2; times += 1) collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    let data = 0;
    let compiled = 0;
    for (const { space_name: name, space_used_size: bytes } of getHeapSpaceStatistics()) {
      if (/^(?:shared_)?(?:code|trusted)_/.test(name)) compiled += bytes;
      else data += bytes;
    }
    writeSync(2, `heap ${data} ${compiled}\n`);
  });
}
