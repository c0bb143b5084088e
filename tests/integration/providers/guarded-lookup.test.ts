import type { LookupFunction } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { createGuardedLookup } from '../../../src/providers/credential-url.ts';
import { ExchangeFailure, openExchange } from '../../../src/providers/http-exchange.ts';
import { startLoopbackProvider, type LoopbackProvider } from '../../support/loopback-provider.ts';

let upstream: LoopbackProvider;
beforeEach(async () => {
  upstream = await startLoopbackProvider({ reply: { kind: 'json', body: {} } });
});
afterEach(() => upstream.close());

/** Returns a resolver for which every name has the given addresses. */
function resolver(...addresses: readonly string[]): LookupFunction {
  return (_name, options, callback) => {
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    if (options.all === true) callback(null, found);
    else callback(null, found[0]?.address ?? '', found[0]?.family ?? 4);
  };
}

/**
 * Sends a request to a name at the port of the upstream; returns its status or the kind of its
 * failure.
 */
async function ask(name: string, resolve: LookupFunction, allowedHosts: readonly string[] = []): Promise<unknown> {
  const url = `http://${name}:${new URL(upstream.baseUrl).port}/v1/models`;
  const lookup = createGuardedLookup(() => allowedHosts, resolve);
  const limits = { waitMs: 5000, maxBytes: 1024 };
  const control = { clock: systemClock, signal: new AbortController().signal };
  try {
    const answer = await openExchange({ method: 'GET', url, headers: {}, lookup }, limits, control);
    answer.close();
    return answer.status;
  } catch (error) {
    if (error instanceof ExchangeFailure) return error.kind;
    throw error;
  }
}

describe('a request to the base URL of a credential', () => {
  test.each([
    ['10.1.2.3'],
    ['127.0.0.1'],
    ['169.254.169.254'],
    ['192.168.0.7'],
    ['::1'],
    ['fd00::1'],
    ['::ffff:10.0.0.1'],
  ])('reaches nobody where its name resolves to %s', async (address) => {
    expect(await ask('api.example.com', resolver(address))).toBe('not-public');
    expect(upstream.requests).toEqual([]);
  });

  test('reaches nobody where one of several addresses is not public', async () => {
    expect(await ask('api.example.com', resolver('93.184.216.34', '10.1.2.3'))).toBe('not-public');
  });

  test('may reach a private address whose host the configuration allows', async () => {
    expect(await ask('llm.internal', resolver('127.0.0.1'), ['llm.internal'])).toBe(200);
  });

  test('may reach this machine by a name of this machine alone', async () => {
    expect(await ask('localhost', resolver('127.0.0.1'))).toBe(200);
    expect(await ask('localhost', resolver('10.1.2.3'))).toBe('not-public');
  });
});
