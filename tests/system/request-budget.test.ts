import Anthropic from '@anthropic-ai/sdk';
import type OpenAI from 'openai';
import { expect, it } from 'vitest';
import { readString } from '../../src/base/json.ts';
import {
  completionOf,
  refusalOf,
  startLoopbackProvider,
  type LoopbackProvider,
  type Reply,
} from '../support/loopback-provider.ts';
import { createTestDaemon, LOCAL_KEY } from '../support/test-daemon.ts';
import { until } from '../support/until.ts';

const CHAT = { messages: [{ role: 'user' as const, content: 'x' }] };

/** Replies of a provider that fails for good. */
const FAILING: readonly (readonly [string, Reply])[] = [
  ['a 502', refusalOf(502, 'Bad gateway')],
  ['a web page with 502', { kind: 'text', status: 502, body: '<html>', headers: { 'content-type': 'text/html' } }],
  ['an empty 200', { kind: 'text', body: '' }],
  ['a broken connection', { kind: 'reset' }],
];

/** Returns how many requests the provider gets for one call that fails. */
async function countRequests(provider: LoopbackProvider, call: () => PromiseLike<unknown>): Promise<number> {
  const before = provider.requests.length;
  await expect(call()).rejects.toBeInstanceOf(Error);
  return provider.requests.length - before;
}

it.each(FAILING)(
  'a provider that answers with %s gets three requests for one call, whoever calls',
  async (_, reply) => {
    await using running = await createTestDaemon();
    const aipass = await running.connect();
    running.provider.answerWith(reply);
    const openai = await aipass.openai<OpenAI>();
    const count = (call: () => PromiseLike<unknown>): Promise<number> => countRequests(running.provider, call);
    expect(await count(() => openai.chat.completions.create({ ...CHAT, model: 'a' }))).toBe(3);
    expect(await count(() => openai.chat.completions.create({ ...CHAT, model: 'b', stream: true }))).toBe(3);
    expect(await count(() => aipass.complete({ ...CHAT, model: 'c' }))).toBe(3);
    expect(await count(() => aipass.stream({ ...CHAT, model: 'd' }).result)).toBe(3);
  },
);

it("so it is for Anthropic's own client", async () => {
  await using provider = await startLoopbackProvider();
  const origin = new URL(provider.baseUrl).origin;
  await using running = await createTestDaemon({
    local: { baseUrl: provider.baseUrl, dialects: { anthropic: { baseUrl: origin } } },
  });
  const aipass = await running.connect();
  provider.route('/v1/messages', refusalOf(529, 'Overloaded'));
  const anthropic = new Anthropic({ apiKey: 'none', baseURL: 'http://aipassd/local', fetch: aipass.fetch });
  const call = (): PromiseLike<unknown> => anthropic.messages.create({ ...CHAT, model: 'm', max_tokens: 1 });
  expect(await countRequests(provider, call)).toBe(3);
});

it('a fallback is asked once where the requests to a failing provider are used up', async () => {
  await using running = await createTestDaemon({ fallbacks: [{ model: 'second' }, { model: 'third' }] });
  const aipass = await running.connect();
  running.provider.answerWith(refusalOf(502, 'Bad gateway'));
  const openai = await aipass.openai<OpenAI>();
  expect(await countRequests(running.provider, () => openai.chat.completions.create({ ...CHAT, model: 'first' }))).toBe(
    5,
  );
  const models = running.provider.requests.map(({ body }) => readString(body, 'model'));
  expect(models).toEqual(['first', 'first', 'first', 'second', 'third']);
});

it('a failure between limits takes no key from a call: it goes through all of the pool', async () => {
  await using running = await createTestDaemon();
  const names = ['LOCAL_API_KEY', ...Array.from({ length: 7 }, (_, number) => `LOCAL_API_KEY_${number + 2}`)];
  await running.home.writeKeys(Object.fromEntries(names.map((name, number) => [name, `${LOCAL_KEY}-${number}`])));
  const aipass = await running.connect();
  await until('all keys are there', async () => (await aipass.pools('local'))[0]?.keys.length === names.length);
  const limited = refusalOf(429, 'slow down', { 'retry-after': '60' });
  const refused = refusalOf(401, 'no');
  const failed = refusalOf(502, 'Bad gateway');
  running.provider.queue(limited, refused, failed, limited, limited, failed, refused, limited, limited);
  running.provider.answerWith(completionOf('pong'));
  const openai = await aipass.openai<OpenAI>({ options: { maxRetries: 0 } });
  const { choices } = await openai.chat.completions.create({ ...CHAT, model: 'm' });
  expect(choices[0]?.message.content).toBe('pong');
  expect(running.provider.requests).toHaveLength(10);
  expect(new Set(running.provider.requests.map(({ key }) => key)).size).toBe(names.length);
});
