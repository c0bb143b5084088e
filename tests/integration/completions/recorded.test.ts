import { expect, it } from 'vitest';
import { chunkOf, completionOf, refusalOf } from '../../support/loopback-provider.ts';
import { startFixture } from './completer-fixture.ts';

it('a completion is recorded with its key, model, tokens, cost and latency before it is answered', async () => {
  await using fixture = await startFixture();
  const usage = { prompt_tokens: 12, completion_tokens: 3, cost: 0.00025, prompt_tokens_details: { cached_tokens: 4 } };
  fixture.upstream.queue(completionOf('pong', { id: 'gen-9', model: 'test/small-v2', usage }));
  await fixture.ask();
  expect(fixture.recorded).toMatchObject([
    {
      operation: 'completion.create',
      status: 'success',
      provider: 'openrouter',
      keyId: 'OPENROUTER_API_KEY',
      model: 'test/small-v2',
      generationId: 'gen-9',
      httpStatus: 200,
      promptTokens: 12,
      completionTokens: 3,
      cachedTokens: 4,
      costMicros: 250,
      firstTokenMs: null,
    },
  ]);
  expect(fixture.recorded[0]?.latencyMs).toBeGreaterThan(0);
});

it('a cost that the answer does not tell is recorded as unknown, not as nothing', async () => {
  await using fixture = await startFixture();
  await fixture.ask();
  expect(fixture.recorded[0]).toMatchObject({ status: 'success', costMicros: null });
});

it('a streamed completion is recorded with the time to its first delta', async () => {
  await using fixture = await startFixture();
  await fixture.stream();
  expect(fixture.recorded).toHaveLength(1);
  expect(fixture.recorded[0]?.firstTokenMs).toBeGreaterThan(0);
});

it('a refused completion is recorded: a limit as a limit, anything else as a failure', async () => {
  await using fixture = await startFixture();
  fixture.upstream.queue(refusalOf(429, 'slow down'), refusalOf(402, 'no credit'), refusalOf(400, 'bad'));
  for (let i = 0; i < 3; i++) await fixture.failure();
  expect(fixture.recorded).toMatchObject([
    { status: 'reach_limit', httpStatus: 429, errorCode: 'PROVIDER_UNAVAILABLE', model: 'test/small' },
    { status: 'reach_limit', httpStatus: 402, errorCode: 'PROVIDER_REJECTED' },
    { status: 'failed', httpStatus: 400, errorCode: 'PROVIDER_REJECTED', promptTokens: undefined },
  ]);
});

it('a stream that its caller ends half way is recorded with what had come by then', async () => {
  await using fixture = await startFixture();
  const cancel = new AbortController();
  fixture.upstream.queue({ kind: 'paced' });
  const failing = fixture.failure({ stream: true }, { signal: cancel.signal, onDelta: () => cancel.abort() });
  const request = await fixture.upstream.nextRequest();
  await request.stream.push({ ...chunkOf({ content: 'half' }), id: 'gen-half' });
  await failing;
  expect(fixture.recorded).toMatchObject([{ status: 'failed', errorCode: 'CANCELLED', generationId: 'gen-half' }]);
});

it('a completion that no provider could be asked for is recorded too', async () => {
  await using fixture = await startFixture();
  await fixture.failure({ provider: 'nobody' });
  expect(fixture.recorded).toMatchObject([
    { status: 'failed', errorCode: 'NOT_FOUND', provider: 'nobody', keyId: null },
  ]);
});

it('a provider that was not asked is recorded only where none was', async () => {
  await using fixture = await startFixture();
  fixture.upstream.queue(refusalOf(402, 'no credit'));
  await fixture.failure({ fallbacks: [{ provider: 'nobody' }] });
  expect(fixture.recorded).toMatchObject([{ httpStatus: 402, provider: 'openrouter' }]);
  await fixture.ask({ provider: 'nobody', fallbacks: [{ provider: 'openrouter' }] });
  expect(fixture.recorded.slice(1)).toMatchObject([{ status: 'success', provider: 'openrouter' }]);
  await fixture.failure({ provider: 'nobody', fallbacks: [{ provider: 'nobody-else' }] });
  expect(fixture.recorded.slice(2)).toMatchObject([{ errorCode: 'NOT_FOUND', provider: 'nobody' }]);
});
