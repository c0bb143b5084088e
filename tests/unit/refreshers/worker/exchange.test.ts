import { describe, expect, it } from 'vitest';
import { Exchange } from '../../../../src/refreshers/worker/exchange.ts';

function answering(response: () => Response | Promise<Response>, asked: RequestInit[] = []): Exchange {
  return new Exchange({
    fetch: (_url, init) => {
      asked.push(init ?? {});
      return Promise.resolve(response());
    },
    now: () => 0,
  });
}

const URL_OK = 'https://example.org/token';

describe('an exchange', () => {
  it('sends nothing to an address without encryption', async () => {
    const asked: RequestInit[] = [];
    const exchange = answering(() => new Response('{}'), asked);

    await expect(exchange.fetch('http://example.org/token')).rejects.toThrow('neither https nor on this machine');
    expect(asked).toEqual([]);
    expect(exchange.facts.kind).toBe('none');
  });

  it('follows no redirect, which would take secrets elsewhere', async () => {
    const asked: RequestInit[] = [];
    const exchange = answering(
      () => new Response(null, { status: 302, headers: { location: 'https://evil.example' } }),
      asked,
    );

    const response = await exchange.fetch(URL_OK);

    expect(response.status).toBe(502);
    expect(asked[0]?.redirect).toBe('manual');
    expect(exchange.facts).toMatchObject({ kind: 'answer', status: 302, document: null });
  });

  it('gives up an answer that has no end', async () => {
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });
    const exchange = answering(() => new Response(endless));

    await expect(exchange.fetch(URL_OK)).rejects.toThrow('too long');
  });

  it('says why no answer came without a word of the request', async () => {
    const exchange = answering(() => {
      throw new TypeError('fetch failed for https://user:secret@example.org', {
        cause: Object.assign(new Error('secret'), { code: 'ENOTFOUND' }),
      });
    });

    await expect(exchange.fetch(URL_OK)).rejects.toThrow('could not be reached (example.org: ENOTFOUND)');
    expect(JSON.stringify(exchange.facts)).not.toContain('secret');
  });
});
