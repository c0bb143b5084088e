import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Aipass } from '../../src/client/index.ts';
import { startClientProgram } from '../support/client-program.ts';
import { chunkOf, completionOf, eventsOf } from '../support/loopback-provider.ts';
import { until } from '../support/until.ts';
import { LOCAL_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

let running: TestDaemon;
let aipass: Aipass;
beforeAll(async () => {
  running = await createTestDaemon();
  aipass = await running.connect('flów');
});
afterAll(() => running[Symbol.asyncDispose]());

const CHAT = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] };

it('the openai SDK works with the key of the pool, whole and streamed', async () => {
  const openai = await aipass.openai<OpenAI>();
  running.provider.answerWith(completionOf('whole'));
  expect((await openai.chat.completions.create(CHAT)).choices[0]?.message.content).toBe('whole');
  expect(running.provider.requests.at(-1)?.key).toBe(LOCAL_KEY);
  running.provider.answerWith({ kind: 'events', events: eventsOf(['a', 'b', 'c']) });
  let text = '';
  for await (const chunk of await openai.chat.completions.create({ ...CHAT, stream: true })) {
    // A naive reader: the usage that was asked for on its behalf would have no choices.
    text += chunk.choices[0]?.delta.content ?? '';
    expect(chunk.choices).toHaveLength(1);
  }
  expect(text).toBe('abc');
  const { groups } = await aipass.stats({ by: 'caller' });
  expect(groups).toMatchObject([{ name: 'flów', figures: { requests: 2 } }]);
  expect((await aipass.usage.session(aipass.sessionId)).session).toMatchObject({ figures: { requests: 2 } });
});

it('an upload of a file arrives as it is', async () => {
  running.provider.route('/v1/audio/transcriptions', { kind: 'json', body: { text: 'heard' } });
  const path = join(running.home.path, 'a.wav');
  await writeFile(path, 'RIFF-bytes');
  const openai = await aipass.openai<OpenAI>({ provider: 'local' });
  const { text } = await openai.audio.transcriptions.create({ model: 'w', file: createReadStream(path) });
  expect(text).toBe('heard');
  const seen = running.provider.requests.at(-1);
  expect(seen?.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
  expect(seen?.text).toContain('RIFF-bytes');
});

it('a program that stops reading a stream ends the call at the provider', async () => {
  running.provider.answerWith({ kind: 'paced' });
  const openai = await aipass.openai<OpenAI>({ options: { maxRetries: 0 } });
  const before = running.provider.requests.length;
  const stop = new AbortController();
  const opening = openai.chat.completions.create({ ...CHAT, stream: true }, { signal: stop.signal });
  await until('the provider is asked', () => running.provider.requests.length > before);
  const asked = running.provider.requests.at(-1);
  await asked?.stream.push(chunkOf({ content: 'first' }));
  const received: string[] = [];
  const reading = (async () => {
    for await (const chunk of await opening) {
      received.push(chunk.choices[0]?.delta.content ?? '');
      stop.abort();
    }
  })();
  await reading.catch((error: unknown) => error);
  await asked?.closedByClient;
  expect(received).toEqual(['first']);
});

it('a call that is aborted before its answer rejects, and ends at the provider', async () => {
  running.provider.answerWith({ kind: 'stall', after: 'nothing' });
  const before = running.provider.requests.length;
  const stop = new AbortController();
  const calling = aipass.fetch('http://aipassd/local/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify(CHAT),
    signal: stop.signal,
  });
  await until('the provider is asked', () => running.provider.requests.length > before);
  stop.abort(new Error('enough'));
  await expect(calling).rejects.toThrow('enough');
  await running.provider.requests.at(-1)?.closedByClient;
});

it('an answer that breaks off fails where it is read', async () => {
  running.provider.answerWith({ kind: 'events', events: [chunkOf({ content: 'half' })], cut: true });
  const answer = await aipass.fetch('http://aipassd/local/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...CHAT, stream: true }),
  });
  expect(answer).toMatchObject({ status: 200, url: 'http://aipassd/local/v1/chat/completions' });
  await expect(answer.text()).rejects.toBeInstanceOf(Error);
});

it('bodies of every kind that fetch takes arrive', async () => {
  running.provider.route('/v1/echo', (request) => ({
    kind: 'text',
    body: request.text,
    headers: { 'content-type': 'text/plain' },
  }));
  const form = new URLSearchParams({ a: 'b c' });
  const bytes = new TextEncoder().encode('bytes');
  const stream = new Blob(['st', 'ream']).stream();
  const bodies: readonly (readonly [RequestInit['body'], string])[] = [
    ['text', 'text'],
    [bytes, 'bytes'],
    [bytes.buffer, 'bytes'],
    [form, 'a=b+c'],
    [stream, 'stream'],
  ];
  for (const [body, expected] of bodies) {
    const answer = await aipass.fetch('http://aipassd/local/v1/echo', { method: 'POST', body: body ?? null });
    expect(await answer.text()).toBe(expected);
  }
  const request = new Request('http://aipassd/local/v1/echo', { method: 'POST', body: 'of a Request' });
  expect(await (await aipass.fetch(request)).text()).toBe('of a Request');
});

it('an address that is not of a provider is refused, and nothing leaves', async () => {
  await expect(aipass.fetch('https://evil.example/v1/models')).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  // What the SDKs of providers have built in is known.
  const answer = await aipass.fetch('https://api.openai.com/v1/models');
  expect(answer.status).toBe(404);
  expect(await answer.text()).toContain('openai');
});

it('a daemon that is gone is a failed fetch with the reason', async () => {
  await using gone = await createTestDaemon();
  const client = await gone.connect();
  await gone.daemon.stop();
  const error: unknown = await client.fetch('http://aipassd/local/v1/models').catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TypeError);
  expect(error).toMatchObject({ cause: { code: 'DAEMON_UNREACHABLE' } });
});

it('a program that only made calls ends by itself, also with a Node that lacks newer functions', async () => {
  running.provider.answerWith(completionOf('done'));
  await using program = startClientProgram(
    running.home.paths.socket,
    `
      delete Promise.withResolvers;
      const aipass = await connect({ socket });
      const init = { method: 'POST', body: ${JSON.stringify(JSON.stringify(CHAT))} };
      const answer = await aipass.fetch('http://aipassd/v1/chat/completions', init);
      console.log((await answer.json()).choices[0].message.content);
      await aipass.close();
    `,
  );
  expect(await program.result()).toMatchObject({ code: 0, stdout: 'done\n', stderr: '' });
});

it('an aborted call rejects as fetch does', async () => {
  await expect(aipass.fetch('http://aipassd/local/v1/models', { signal: AbortSignal.abort() })).rejects.toMatchObject({
    name: 'AbortError',
  });
});
