/**
 * `npm run bench [-- section …]`: measures in turns within one run, and prints ratios, because
 * machines differ and are shared. Exits 0 whatever the figures: they are for reading.
 */

import { benchCancels } from './cancels.ts';
import { benchCredentials } from './credentials.ts';
import { benchGateway } from './gateway.ts';
import { benchPools } from './pools.ts';
import { benchProcess } from './process.ts';
import { benchSocket } from './socket.ts';
import { benchTokens } from './tokens.ts';
import { benchUsage, USAGE_FLAGS } from './usage.ts';

const SECTIONS: Readonly<Record<string, () => Promise<void>>> = {
  socket: benchSocket,
  process: benchProcess,
  pools: benchPools,
  tokens: benchTokens,
  cancels: benchCancels,
  gateway: benchGateway,
  credentials: benchCredentials,
  usage: benchUsage,
};

const wanted = process.argv.slice(2).filter((word) => !USAGE_FLAGS.includes(word));
for (const name of wanted) {
  if (!Object.hasOwn(SECTIONS, name))
    throw new Error(`no section "${name}"; there are: ${Object.keys(SECTIONS).join(', ')}`);
}
console.log(`Node ${process.versions.node}, ${process.platform} ${process.arch}`);
for (const [name, run] of Object.entries(SECTIONS)) {
  if (wanted.length === 0 || wanted.includes(name)) await run();
}
