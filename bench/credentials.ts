/**
 * Provider credentials: the list of 1,000 of them over the socket, and the creation of one with the
 * fsync of `.env`.
 */

import { writeFile } from 'node:fs/promises';
import { connect } from '../src/client/index.ts';
import { DaemonProcess } from '../tests/support/daemon-process.ts';
import { makeTempHome } from '../tests/support/temp-home.ts';
import { median, millis, percentile, printFigures } from './numbers.ts';

const CREDENTIALS = 1000;
const LISTS = 500;
const CREATIONS = 100;

/** Longest times that are accepted, in milliseconds. */
const MAX_LIST_P99_MS = 10;
const MAX_CREATE_P50_MS = 20;

/** Measures and prints. */
export async function benchCredentials(): Promise<void> {
  await using home = makeTempHome();
  await home.writeKeys(
    Object.fromEntries(
      Array.from({ length: CREDENTIALS }, (_, index) => [
        index === 0 ? 'OPENAI_API_KEY' : `OPENAI_API_KEY_${index + 1}`,
        `bench-key-${String(index).padStart(20, '0')}`,
      ]),
    ),
  );
  await home.writeConfig({});
  await using daemon = await DaemonProcess.start(home);
  if (!daemon.isRunning) throw new Error('the daemon ended');
  await using aipass = await connect({ caller: 'bench', socket: home.paths.socket });
  const lists: number[] = [];
  for (let round = 0; round < LISTS; round += 1) {
    const start = performance.now();
    const { length } = await aipass.credentials.list();
    lists.push(performance.now() - start);
    if (length !== CREDENTIALS) throw new Error(`${length} credentials instead of ${CREDENTIALS}`);
  }
  // The file of somebody with a few keys, not the one above.
  await writeFile(home.paths.envFile, 'OPENAI_API_KEY=bench-key-00000000000000000000\n');
  const creations: number[] = [];
  for (let round = 0; round < CREATIONS; round += 1) {
    const params = { provider: 'groq', account_key: `bench-${round}`, api_key: `bench-groq-${round}-0123456789abcdef` };
    const start = performance.now();
    await aipass.credentials.create(params);
    creations.push(performance.now() - start);
  }
  const [listP50, listP99] = [median(lists), percentile(lists, 0.99)];
  const [createP50, createP99] = [median(creations), percentile(creations, 0.99)];
  printFigures('Provider credentials', [
    {
      what: `list of ${CREDENTIALS}, p99`,
      ours: millis(listP99),
      reference: `p50 ${millis(listP50)}`,
      result: millis(listP99),
      target: `at most ${MAX_LIST_P99_MS} ms`,
      isMet: listP99 <= MAX_LIST_P99_MS,
    },
    {
      what: 'create with its fsync, p50',
      ours: millis(createP50),
      reference: `p99 ${millis(createP99)}`,
      result: millis(createP50),
      target: `at most ${MAX_CREATE_P50_MS} ms`,
      isMet: createP50 <= MAX_CREATE_P50_MS,
    },
  ]);
}
