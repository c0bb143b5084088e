import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Exchange } from '../../../../src/refreshers/worker/exchange.ts';

function answering(response: () => Response | Promise<Response>, asked: RequestInit[] = []): Exchange {
  return new Exchange({
    fetch: (_url, init) => {
      asked.push(init ?? {});
      return Promise.resolve(response());
    },
    clock: { now: () => 0 },
  });
}

/** Body whose connection breaks after a text. */
function breaking(text: string): ReadableStream {
  return new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(text)),
    pull: (controller) => controller.error(Object.assign(new Error('cut'), { cause: { code: 'ECONNRESET' } })),
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

    expect(response.status).toBe(302);
    expect(asked[0]?.redirect).toBe('manual');
    expect(exchange.facts).toMatchObject({ kind: 'answer', status: 302, document: null });
  });

  it('gives up an answer that has no end', async () => {
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });
    const exchange = answering(() => new Response(endless));

    await expect(exchange.fetch(URL_OK)).rejects.toThrow('too long');
  });

  const TOKENS = { access_token: 'a1', refresh_token: 'r1', expires_in: '60' };
  const JSON_TEXT = JSON.stringify(TOKENS);
  const FORM_TEXT = new URLSearchParams({ token_type: 'x', ...TOKENS }).toString();
  const bigEndian = Buffer.from(`\uFEFF${JSON_TEXT}`, 'utf16le').swap16();

  it.each<[string, string | Buffer, string]>([
    ['with a byte order mark', `\uFEFF${JSON_TEXT}`, 'application/json'],
    ['in UTF-16', Buffer.from(`\uFEFF${JSON_TEXT}`, 'utf16le'), 'application/json'],
    ['in UTF-16, big-endian', bigEndian, 'application/json'],
    ['in an announced charset', Buffer.from(JSON_TEXT, 'utf16le'), 'application/json; charset="utf-16le"'],
    ['in a charset that nobody knows', JSON_TEXT, 'application/json; charset=klingon'],
    ['compressed without notice', gzipSync(JSON_TEXT), 'application/json'],
    ['as a form', `${FORM_TEXT}\r\n`, 'Application/X-WWW-Form-Urlencoded; charset=UTF-8'],
    ['as a form that is called a text', FORM_TEXT, 'text/plain'],
    ['as the only one of a list', `[${JSON_TEXT}]`, 'application/json'],
    ['as a text in JSON', JSON.stringify(JSON_TEXT), 'application/json'],
    ['behind a guard', `)]}',\n${JSON_TEXT}`, 'application/json'],
    ['before a NUL byte', `${JSON_TEXT}\0`, 'text/html'],
  ])('reads tokens %s', async (_, body, type) => {
    const exchange = answering(() => new Response(body, { headers: { 'content-type': type } }));

    const answer: unknown = await (await exchange.fetch(URL_OK)).json();
    expect(answer).toMatchObject(TOKENS);
    expect(exchange.facts).toMatchObject({ kind: 'answer', status: 200, document: TOKENS });
  });

  it('reads no token in a page', async () => {
    const exchange = answering(() => new Response(`<script>let user = ${JSON_TEXT}</script>`));

    await exchange.fetch(URL_OK);
    expect(exchange.facts).toMatchObject({ kind: 'answer', document: null });
  });

  it('loses no rotated token where the connection breaks behind the whole document', async () => {
    const answer: unknown = await (await answering(() => new Response(breaking(JSON_TEXT))).fetch(URL_OK)).json();
    expect(answer).toMatchObject({ access_token: 'a1', refresh_token: 'r1' });
  });

  it.each([JSON_TEXT.slice(0, -1), FORM_TEXT, ''])(
    'takes nothing from an answer that was cut off: %s',
    async (text) => {
      const exchange = answering(() => new Response(breaking(text)));
      await expect(exchange.fetch(URL_OK)).rejects.toThrow('could not be reached');
    },
  );

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
