/**
 * How soon a provider's connection is closed after the client cancelled or went away. Measured with
 * the built daemon, a client in this process, and a provider that keeps the answer to itself.
 */

import { connect } from '../src/client/index.ts';
import {
  chunkOf,
  startLoopbackProvider,
  type LoopbackProvider,
  type LoopbackRequest,
} from '../tests/support/loopback-provider.ts';
import { median, millis, percentile, printFigures, type Figure } from './numbers.ts';
import { makeHome, startDaemon, type Home } from './programs.ts';

const TIMES = 100;
const TARGET_MS = 100;

const PARAMS = { model: 'test/small', messages: [{ role: 'user', content: 'ping' }] };

/** Measures and prints. */
export async function benchCancels(): Promise<void> {
  const provider = await startLoopbackProvider();
  const home = makeHome({ providers: { openrouter: { baseUrl: provider.baseUrl } } });
  const daemon = await startDaemon(home);
  try {
    printFigures('Cancelling', [
      await figure('whole answer awaited, client cancels', () => cancelled(home, provider, 'whole')),
      await figure('streamed answer half there, client cancels', () => cancelled(home, provider, 'half')),
      await figure('whole answer awaited, client goes away', () => cancelled(home, provider, 'gone')),
    ]);
  } finally {
    await daemon.stop();
    home.remove();
    await provider.close();
  }
}

/** Returns the milliseconds from the cancel to the end of the provider's connection. */
async function cancelled(home: Home, provider: LoopbackProvider, how: 'whole' | 'half' | 'gone'): Promise<number> {
  const client = await connect({ socket: home.socket, caller: 'bench' });
  const controller = new AbortController();
  provider.queue(how === 'half' ? { kind: 'paced' } : { kind: 'stall', after: 'nothing' });
  const asked =
    how === 'half'
      ? client.stream(PARAMS, { signal: controller.signal }).result
      : client.complete(PARAMS, { signal: controller.signal });
  const failed = asked.then(
    () => {
      throw new Error('nothing was cancelled');
    },
    () => {},
  );
  const { stream, closedByClient } = await nextCompletion(provider);
  if (how === 'half') await stream.push(chunkOf({ content: 'half' }));
  const began = performance.now();
  if (how === 'gone') await client.close();
  else controller.abort();
  const took = (await closedByClient) - began;
  await failed;
  await client.close();
  return took;
}

/**
 * Passes over the questions for the tokens of streams that were cancelled half way, which come
 * seconds later.
 */
async function nextCompletion(provider: LoopbackProvider): Promise<LoopbackRequest> {
  for (;;) {
    const request = await provider.nextRequest();
    if (request.path.endsWith('/chat/completions')) return request;
  }
}

async function figure(what: string, once: () => Promise<number>): Promise<Figure> {
  await once();
  const samples: number[] = [];
  for (let index = 0; index < TIMES; index += 1) samples.push(await once());
  const longest = Math.max(...samples);
  return {
    what: `${what}: connection closed, p50 and longest of ${TIMES}`,
    ours: millis(median(samples)),
    reference: `p99 ${millis(percentile(samples, 0.99))}`,
    result: millis(longest),
    target: `≤ ${TARGET_MS} ms`,
    isMet: longest <= TARGET_MS,
  };
}
