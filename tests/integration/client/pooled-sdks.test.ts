import { readFileSync } from 'node:fs';
import Anthropic from '@anthropic-ai/sdk';
import { Client as Notion, collectPaginatedAPI, iteratePaginatedAPI } from '@notionhq/client';
import { LogLevel, WebClient, type Logger } from '@slack/web-api';
import axios from 'axios';
import got from 'got';
import ky from 'ky';
import { Octokit } from 'octokit';
import OpenAI from 'openai';
import Stripe from 'stripe';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { parseJson, readField } from '../../../src/base/json.ts';
import { createPooled, type Pooled } from '../../../src/client/pooled.ts';
import type { KeyLender, PooledOptions } from '../../../src/client/pooled-caller.ts';
import { outcomeOf } from '../../../src/pools/reported-outcome.ts';
import type { PoolSettleParams } from '../../../src/protocol/pool.ts';
import { SdkApi } from '../../support/sdk-api.ts';

let api: SdkApi;
beforeAll(async () => {
  api = await SdkApi.start();
});
afterAll(() => api[Symbol.asyncDispose]());

/**
 * Pools a client over keys that are handed out in order, and writes down what is reported of them.
 */
function pool<Client extends object>(
  factory: (key: string) => Client,
  keys: readonly string[] = ['key-LIMIT', 'key-good'],
  options: PooledOptions = {},
): { readonly client: Pooled<Client>; readonly settled: PoolSettleParams[] } {
  const settled: PoolSettleParams[] = [];
  const lender: KeyLender = {
    lease({ exclude = [] }) {
      const key = keys.find((one) => !exclude.includes(one));
      if (key === undefined) return Promise.reject(new AipassError('POOL_EXHAUSTED', 'no key', { retryAfterMs: 5000 }));
      return Promise.resolve({ leaseId: key, provider: 'test', keyId: key, key });
    },
    settle(report) {
      settled.push(report);
      // As the daemon answers.
      const judged = outcomeOf(report, 'test', Date.now());
      return Promise.resolve(
        judged.kind === 'failed' ? { settled: true, next: judged.failure.next } : { settled: true },
      );
    },
  };
  return { client: createPooled('test', factory, options, lender), settled };
}

async function collect<Item>(source: AsyncIterable<Item> | Iterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of source) items.push(item);
  return items;
}

/** What the two reports of a call look like whose first key met a limit. */
const ROTATED = [
  { leaseId: 'key-LIMIT', outcome: 'limited', status: 429 },
  { leaseId: 'key-good', outcome: 'succeeded' },
];

const chat = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] };
const openai = (apiKey: string): OpenAI => new OpenAI({ apiKey, baseURL: `${api.url}/openai/v1`, maxRetries: 0 });

describe('a pooled openai client', () => {
  it('goes to the next key with a whole completion, and reports the headers and the body of the refusal', async () => {
    const { client, settled } = pool(openai);
    expect((await client.chat.completions.create(chat)).choices[0]?.message.content).toBe('Hello world');
    expect(settled).toMatchObject(ROTATED);
    expect(settled[0]).toMatchObject({
      headers: { 'retry-after': '120', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '2m0s' },
      body: { error: { code: 'rate_limit_exceeded' } },
    });
  });

  it('reports the body that tells a used-up account from a rate limit', async () => {
    const { client, settled } = pool(openai, ['key-QUOTA', 'key-good']);
    await client.chat.completions.create(chat);
    expect(settled[0]).toMatchObject({ outcome: 'limited', body: { error: { code: 'insufficient_quota' } } });
  });

  it('streams, awaited and not', async () => {
    const awaited = pool(openai);
    const stream = await awaited.client.chat.completions.create({ ...chat, stream: true });
    expect(await collect(stream)).toHaveLength(3);
    const direct = pool(openai);
    const seen = [];
    for await (const part of await direct.client.chat.completions.create({ ...chat, stream: true })) seen.push(part);
    expect(seen).toHaveLength(3);
    expect([awaited.settled, direct.settled]).toMatchObject([ROTATED, ROTATED]);
  });

  it('has the methods of the un-awaited result', async () => {
    const { client, settled } = pool(openai);
    const { data, response } = await client.chat.completions.create(chat).withResponse();
    expect([data.id, response.status]).toEqual(['chatcmpl-1', 200]);
    const raw = await client.chat.completions.create(chat).asResponse();
    expect(await raw.json()).toMatchObject({ object: 'chat.completion' });
    expect(settled).toMatchObject([...ROTATED, ...ROTATED]);
  });

  it('has its stream helper, awaited and not', async () => {
    const texts: string[] = [];
    const { client, settled } = pool(openai);
    const stream = client.chat.completions.stream(chat);
    stream.on('content', (delta) => texts.push(delta));
    expect(await stream.finalContent()).toBe('Hello world');
    expect(texts).toEqual(['Hello', ' world']);
    expect(settled).toMatchObject(ROTATED);
  });

  it('lists pages by iteration and as a page, whose key is given back without being iterated', async () => {
    const { client, settled } = pool(openai);
    expect((await collect(client.models.list())).map(({ id }) => id)).toEqual(['m1', 'm2']);
    expect((await client.models.list()).data).toHaveLength(2);
    await expect.poll(() => settled).toMatchObject([...ROTATED, ...ROTATED]);
  });

  it('rotates the keys of a client that it derives', async () => {
    const { client, settled } = pool(openai);
    const derived = await client.withOptions({ timeout: 1000 });
    expect((await derived.chat.completions.create(chat)).id).toBe('chatcmpl-1');
    expect(settled).toMatchObject([{ outcome: 'succeeded' }, ...ROTATED]);
  });

  it('takes a rejected key out, and keeps the real error where no key is left', async () => {
    const { client, settled } = pool(openai, ['key-DEAD', 'key-good']);
    await client.chat.completions.create(chat);
    expect(settled).toMatchObject([{ outcome: 'rejected', status: 401 }, { outcome: 'succeeded' }]);
    const alone = pool(openai, ['key-LIMIT']);
    await expect(alone.client.chat.completions.create(chat)).rejects.toMatchObject({
      code: 'POOL_EXHAUSTED',
      cause: { status: 429 },
    });
  });

  it('gives the key of a stream back that is read by other means than iteration', async () => {
    const { client, settled } = pool(openai, ['key-good']);
    const [left, right] = (await client.chat.completions.create({ ...chat, stream: true })).tee();
    expect([await collect(left), await collect(right)].map((parts) => parts.length)).toEqual([3, 3]);
    const stream = await client.chat.completions.create({ ...chat, stream: true });
    expect(await new Response(stream.toReadableStream()).text()).toContain('Hello');
    await expect.poll(() => settled).toMatchObject([{ outcome: 'succeeded' }, { outcome: 'succeeded' }]);
  });
});

const anthropic = (apiKey: string): Anthropic =>
  new Anthropic({ apiKey, baseURL: `${api.url}/anthropic`, maxRetries: 0 });
const message = { model: 'm', max_tokens: 10, messages: [{ role: 'user' as const, content: 'hi' }] };

describe('a pooled anthropic client', () => {
  it('goes to the next key, whole and streamed', async () => {
    const { client, settled } = pool(anthropic);
    expect((await client.messages.create(message)).content).toMatchObject([{ text: 'Hello' }]);
    expect(await collect(await client.messages.create({ ...message, stream: true }))).toHaveLength(6);
    expect(settled).toMatchObject([...ROTATED, ...ROTATED]);
  });

  it('goes to the next key where the account of one is empty, which is a 400, unless a rule says otherwise', async () => {
    const keys = ['key-EMPTY', 'key-good'];
    const { client, settled } = pool(anthropic, keys);
    expect((await client.messages.create(message)).content).toMatchObject([{ text: 'Hello' }]);
    expect(settled).toMatchObject([{ leaseId: 'key-EMPTY', outcome: 'failed', status: 400 }, { outcome: 'succeeded' }]);
    const ruled = pool(anthropic, keys, { isLimit: ({ status }) => status === 429 });
    await expect(ruled.client.messages.create(message)).rejects.toMatchObject({ status: 400 });
    expect(ruled.settled).toHaveLength(1);
    expect(ruled.settled[0]).not.toHaveProperty('body');
  });

  it('goes to the next key with the emitter of its stream helper', async () => {
    const { client, settled } = pool(anthropic);
    expect((await client.messages.stream(message).finalMessage()).content).toMatchObject([{ text: 'Hello' }]);
    expect(await collect(client.messages.stream(message))).toHaveLength(6);
    // Awaited, it is the emitter itself; what is awaited of that goes to the next key.
    const emitter = await Promise.resolve(client.messages.stream(message));
    expect(await emitter.finalText()).toBe('Hello');
    await expect
      .poll(() => settled.map(({ outcome }) => outcome))
      .toEqual(['limited', 'succeeded', 'limited', 'succeeded', 'limited', 'succeeded']);
  });
});

describe('pooled clients of HTTP', () => {
  it('got: awaited, and by its methods', async () => {
    const { client, settled } = pool((key) =>
      got.extend({ prefixUrl: api.url, headers: { authorization: `Bearer ${key}` }, retry: { limit: 0 } }),
    );
    expect(await client('plain').json()).toMatchObject({ key: 'key-good' });
    expect((await client.get('plain')).statusCode).toBe(200);
    await expect.poll(() => settled).toMatchObject([...ROTATED, ...ROTATED]);
    expect(settled[0]?.headers).toMatchObject({ 'retry-after': '120' });
  });

  it('ky: awaited, and by its methods', async () => {
    const { client, settled } = pool((key) =>
      ky.create({ prefix: api.url, headers: { authorization: `Bearer ${key}` }, retry: 0 }),
    );
    expect(await client.get('plain').json()).toMatchObject({ key: 'key-good' });
    expect((await client('plain')).status).toBe(200);
    expect(settled).toMatchObject([...ROTATED, ...ROTATED]);
  });

  it('axios: as a function and by its methods, with what a success says of the limit', async () => {
    const { client, settled } = pool((key) =>
      axios.create({ baseURL: api.url, headers: { authorization: `Bearer ${key}` } }),
    );
    expect((await client.get<{ key: string }>('/plain')).data.key).toBe('key-good');
    expect((await client({ url: '/plain' })).status).toBe(200);
    expect(settled).toMatchObject([...ROTATED, ...ROTATED]);
    expect(settled[1]?.headers).toEqual({ date: expect.any(String), 'x-ratelimit-remaining-requests': '41' });
  });

  it('fetch: judged by the status of its response', async () => {
    const { client, settled } = pool(
      (key) => (path: string) => fetch(`${api.url}${path}`, { headers: { authorization: `Bearer ${key}` } }),
    );
    expect(await (await client('/plain')).json()).toMatchObject({ key: 'key-good' });
    expect(settled).toMatchObject(ROTATED);
    const alone = pool(
      (key) => (path: string) => fetch(`${api.url}${path}`, { headers: { authorization: `Bearer ${key}` } }),
      ['key-LIMIT'],
    );
    expect((await alone.client('/plain')).status).toBe(429);
  });
});

const github = (auth: string): Octokit =>
  new Octokit({ auth, baseUrl: `${api.url}/github`, throttle: { enabled: false }, retry: { enabled: false } });

describe('a pooled octokit', () => {
  it('goes to the next key by its methods, by request and by its paginator', async () => {
    const { client, settled } = pool(github);
    expect((await client.rest.users.getAuthenticated()).data.login).toBe('me');
    expect((await client.request('GET /user')).data.login).toBe('me');
    const repository = { owner: 'o', repo: 'r' };
    const issues = await client.paginate(client.rest.issues.listForRepo, repository);
    expect(issues.map(({ number }) => number)).toEqual([1, 2, 3]);
    const pages = client.paginate.iterator('GET /repos/{owner}/{repo}/issues', repository);
    expect(await collect(pages)).toHaveLength(3);
    expect(settled.map(({ outcome }) => outcome).slice(0, 6)).toEqual([
      'limited',
      'succeeded',
      'limited',
      'succeeded',
      'limited',
      'succeeded',
    ]);
  });

  it('takes a 403 for a limit where its headers say so', async () => {
    const { client, settled } = pool(github, ['key-GH403', 'key-good']);
    await client.rest.users.getAuthenticated();
    expect(settled).toMatchObject([
      { outcome: 'limited', status: 403, headers: { 'retry-after': '60', 'x-ratelimit-remaining': '0' } },
      { outcome: 'succeeded' },
    ]);
  });

  it('asks a given isLimit first', async () => {
    const { client, settled } = pool(github, ['key-DEAD', 'key-good'], { isLimit: (error) => error.status === 401 });
    await client.rest.users.getAuthenticated();
    expect(settled).toMatchObject([{ outcome: 'limited' }, { outcome: 'succeeded' }]);
  });
});

/** Prints nothing. */
const QUIET: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  setLevel() {},
  getLevel: () => LogLevel.ERROR,
  setName() {},
};

const slack = (token: string): WebClient =>
  new WebClient(token, {
    slackApiUrl: `${api.url}/slack/api/`,
    rejectRateLimitedCalls: true,
    retryConfig: { retries: 0 },
    logger: QUIET,
  });

describe('pooled clients of services', () => {
  it('stripe: single calls, lists by iteration, and the methods of a list', async () => {
    const { client, settled } = pool(
      (key) =>
        new Stripe(key, {
          host: '127.0.0.1',
          port: api.port,
          protocol: 'http',
          maxNetworkRetries: 0,
          telemetry: false,
        }),
    );
    expect((await client.balance.retrieve()).object).toBe('balance');
    const ids = (await collect(client.customers.list({ limit: 1 }))).map(({ id }) => id);
    expect(ids).toEqual(['cus_1', 'cus_2']);
    expect(await client.customers.list({ limit: 1 }).autoPagingToArray({ limit: 10 })).toHaveLength(2);
    await expect.poll(() => settled).toMatchObject([...ROTATED, ...ROTATED, ...ROTATED]);
  });

  it('slack: its own codes of a limit and of a rejected token', async () => {
    const { client, settled } = pool(slack);
    expect((await client.chat.postMessage({ channel: 'C1', text: 'x' })).ok).toBe(true);
    expect(settled).toMatchObject([{ outcome: 'limited', status: 429, retryAfterMs: 7000 }, { outcome: 'succeeded' }]);
    const dead = pool(slack, ['key-DEAD', 'key-good']);
    expect((await dead.client.chat.postMessage({ channel: 'C1', text: 'x' })).ok).toBe(true);
    expect(dead.settled).toMatchObject([{ outcome: 'rejected' }, { outcome: 'succeeded' }]);
    const paged = pool(slack);
    expect(await collect(paged.client.paginate('conversations.list', {}))).toHaveLength(2);
  });

  it('notion: calls, and pooled functions given to its paginators', async () => {
    const { client, settled } = pool(
      (auth) => new Notion({ auth, baseUrl: `${api.url}/notion`, logger: () => {}, retry: false }),
    );
    expect((await client.users.list({})).results).toHaveLength(1);
    expect(await collect(iteratePaginatedAPI(client.users.list, {}))).toHaveLength(2);
    expect(await collectPaginatedAPI(client.users.list, {})).toHaveLength(2);
    expect(settled.slice(0, 2)).toMatchObject(ROTATED);
  });
});

it('the versions in the documents are those that are tested here', () => {
  const table = readFileSync(new URL('../../../docs/key-pools.md', import.meta.url), 'utf8');
  const documented = [...table.matchAll(/^\| ([@a-z][\w/@-]*) +\| (\d+\.\d+\.\d+) /gm)].map(([, name, version]) => [
    name,
    version,
  ]);
  const manifest = parseJson(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  const versions = readField(manifest, 'devDependencies');
  expect(documented).toHaveLength(9);
  expect(documented).toEqual(documented.map(([name]) => [name, readField(versions, name ?? '')]));
});
