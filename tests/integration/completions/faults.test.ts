import { describe, expect, test } from 'vitest';
import { refusalOf, type Reply } from '../../support/loopback-provider.ts';
import { until } from '../../support/until.ts';
import { CANARY, startFixture } from './completer-fixture.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const EVENTS = { 'content-type': 'text/event-stream' };
const JSON_TYPE = { 'content-type': 'application/json' };

describe.each([
  ['whole', false],
  ['streamed', true],
])('a %s completion', (_name, stream) => {
  test.each([400, 401, 402, 403, 404, 413, 422])(
    'that is refused with %i keeps status and reason, and is asked once',
    async (status) => {
      await using fixture = await startFixture();
      fixture.upstream.answerWith(refusalOf(status, `because of ${status}`));
      const error = await fixture.failure({ stream });
      expect(error.code).toBe('PROVIDER_REJECTED');
      expect(error.message).toBe(`openrouter answered ${status}: because of ${status} (test_error)`);
      expect(error.hint).toBeTruthy();
      expect(fixture.upstream.requests).toHaveLength(1);
      expect(fixture.settled).toMatchObject([
        { kind: 'failed', failure: { status }, headers: { 'content-type': 'application/json' } },
      ]);
    },
  );

  test.each([408, 429, 500, 503])('that is refused with %i may be repeated, but not by us', async (status) => {
    await using fixture = await startFixture();
    fixture.upstream.answerWith(refusalOf(status, 'later', { 'retry-after': '7', 'x-should-retry': 'true' }));
    const error = await fixture.failure({ stream });
    expect(error).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryAfterMs: 7000 });
    expect(fixture.upstream.requests).toHaveLength(1);
  });

  const unavailable: [string, Reply, string][] = [
    ['a web page', { kind: 'text', body: '<html><body>Hotel</body></html>' }, 'a web page'],
    ['a web page with status 502', { kind: 'text', status: 502, body: '<html>' }, 'answered 502: a web page'],
    ['nothing', { kind: 'text', body: '', headers: stream ? EVENTS : JSON_TYPE }, 'answered with'],
    [
      'half a document',
      { kind: 'text', body: '{"id":"x","choices":[{"mess', headers: JSON_TYPE },
      'JSON that cannot be read',
    ],
    ['a document that is no completion', { kind: 'json', body: { hello: 'world' } }, 'an answer that holds no choice'],
    ['a reset', { kind: 'reset' }, 'broke the connection off (ECONNRESET)'],
    ['status 204', { kind: 'text', status: 204, body: '', headers: JSON_TYPE }, 'answered with'],
    [
      'bytes that it was not asked to compress',
      { kind: 'json', body: {}, headers: { 'content-encoding': 'gzip' } },
      'compressed',
    ],
    ['a header of a megabyte', { kind: 'json', body: {}, headers: { 'x-long': 'x'.repeat(1024 * 1024) } }, 'not HTTP'],
  ];
  test.each(unavailable)('answered with %s is PROVIDER_UNAVAILABLE', async (_what, reply, words) => {
    await using fixture = await startFixture();
    fixture.upstream.queue(reply);
    const error = await fixture.failure({ stream });
    expect(error.code).toBe('PROVIDER_UNAVAILABLE');
    expect(error.message).toContain(words);
    expect(error.hint).toBeTruthy();
    expect(fixture.upstream.requests).toHaveLength(1);
    // Whatever came, the next request goes well.
    expect((await fixture.ask({ stream })).content).toBe('pong');
  });

  test('of a provider that is not there is PROVIDER_UNAVAILABLE', async () => {
    await using fixture = await startFixture();
    await fixture.upstream.close();
    const error = await fixture.failure({ stream });
    expect(error.code).toBe('PROVIDER_UNAVAILABLE');
    expect(error.message).toContain('ECONNREFUSED');
    expect(fixture.settled).toMatchObject([{ kind: 'failed', failure: { reason: 'unreachable' } }]);
  });

  test('that is redirected is not sent elsewhere', async () => {
    await using fixture = await startFixture();
    await using other = await startFixture();
    const location = `${other.upstream.baseUrl}/chat/completions`;
    fixture.upstream.queue({ kind: 'json', status: 307, headers: { location }, body: {} });
    const error = await fixture.failure({ stream });
    expect(error.code).toBe('PROVIDER_REJECTED');
    expect(error.message).toContain('answered 307: a redirect');
    expect(other.upstream.requests).toEqual([]);
  });

  test('with an error inside a 200 fails with the status that the error names', async () => {
    await using fixture = await startFixture();
    const body = { error: { message: 'Provider returned error', code: 402, metadata: { raw: 'raw-canary' } } };
    fixture.upstream.queue({ kind: 'json', body });
    const error = await fixture.failure({ stream });
    expect(error).toMatchObject({
      code: 'PROVIDER_REJECTED',
      message: 'openrouter answered 402: Provider returned error',
    });
    expect(fixture.settled).toMatchObject([{ kind: 'failed', failure: { status: 402 } }]);
  });

  test('never tells the key that the provider echoes', async () => {
    await using fixture = await startFixture();
    fixture.redactor.learn(['another-secret-of-the-vault']);
    fixture.upstream.queue(
      refusalOf(401, `Incorrect API key provided: ${CANARY}; you also sent another-secret-of-the-vault`),
      { kind: 'text', status: 500, body: `<html>${CANARY}` },
      { kind: 'text', body: `{"error": "${CANARY}`, headers: JSON_TYPE },
      { kind: 'json', body: { error: { message: `key ${CANARY.slice(9)}`, code: CANARY } } },
    );
    for (let at = 0; at < 4; at += 1) {
      const error = await fixture.failure({ stream });
      const shown = `${JSON.stringify(error.toWire())} ${error.stack}`;
      expect(shown).not.toContain('canary0123456789');
      expect(shown).not.toContain('another-secret');
    }
  });

  test('that gets no first byte in time is TIMED_OUT, and its connection is closed', async () => {
    const clock = new ManualClock();
    await using fixture = await startFixture({ clock, config: { timeoutMs: 5000 } });
    fixture.upstream.queue({ kind: 'stall', after: 'nothing' });
    const failing = fixture.failure({ stream });
    const { closedByClient } = await fixture.upstream.nextRequest();
    clock.advance(4999);
    expect(clock.waits.length).toBe(1);
    clock.advance(1);
    expect(await failing).toMatchObject({ code: 'TIMED_OUT', message: expect.stringContaining('5000 ms') });
    await closedByClient;
    expect(fixture.settled).toMatchObject([{ kind: 'failed', failure: { reason: 'timeout' } }]);
    expect(clock.waits.length).toBe(0);
  });

  test('that stalls after the head is TIMED_OUT', async () => {
    const clock = new ManualClock();
    await using fixture = await startFixture({ clock, config: { timeoutMs: 5000 } });
    fixture.upstream.queue({ kind: 'stall', after: 'head', type: stream ? 'text/event-stream' : 'application/json' });
    const failing = fixture.failure({ stream });
    const { closedByClient } = await fixture.upstream.nextRequest();
    // The first wait ends with the head; the second is for the body.
    await until('the wait for the body', () => clock.started === 2 && clock.waits.length === 1);
    clock.advance(5000);
    expect(await failing).toMatchObject({ code: 'TIMED_OUT', message: expect.stringContaining('5000 ms') });
    await closedByClient;
  });
});

test('an answer that is longer than 64 MiB is given up', async () => {
  await using fixture = await startFixture();
  fixture.upstream.queue({ kind: 'text', body: `{"x":"${' '.repeat(65 * 1024 * 1024)}`, headers: JSON_TYPE });
  const error = await fixture.failure();
  expect(error).toMatchObject({
    code: 'PROVIDER_UNAVAILABLE',
    message: expect.stringContaining('67108864'),
  });
});
