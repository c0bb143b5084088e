import { expect, test } from 'vitest';
import { buildRequestBody, printBody } from '../../../src/completions/request-body.ts';

const params = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const takesOption = { streamUsageOption: true };
const refusesOption = { streamUsageOption: false };

test('our own parameters stay here, all others go along', () => {
  const body = buildRequestBody(
    { ...params, provider: 'openai', caller: 'flow', session: 's', maxWaitMs: 1, temperature: 1, future: {} },
    takesOption,
  );
  expect(body).toEqual({ ...params, stream: false, temperature: 1, future: {} });
});

test('extraBody is merged in, so that a provider can have a parameter of our name', () => {
  const body = buildRequestBody(
    { ...params, provider: 'openrouter', extraBody: { provider: { order: ['x'] } } },
    takesOption,
  );
  expect(body).toEqual({ ...params, stream: false, provider: { order: ['x'] } });
});

test('a stream asks for its usage where the provider takes the option', () => {
  expect(buildRequestBody({ ...params, stream: true }, takesOption)).toEqual({
    ...params,
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(buildRequestBody({ ...params, stream: true }, refusesOption)).toEqual({ ...params, stream: true });
});

function withOptions(stream_options: unknown, provider = takesOption): unknown {
  return buildRequestBody({ ...params, stream: true, stream_options }, provider)['stream_options'];
}

test('the caller decides on the options of the stream', () => {
  expect(withOptions({ include_usage: false })).toEqual({ include_usage: false });
  expect(withOptions({ include_obfuscation: false })).toEqual({ include_obfuscation: false, include_usage: true });
  expect(withOptions({ include_usage: true }, refusesOption)).toEqual({ include_usage: true });
  expect(withOptions(null)).toBeUndefined();
});

test('the parameters are left as they are', () => {
  const frozen = Object.freeze({ ...params, stream: true, extraBody: Object.freeze({ a: 1 }) });
  buildRequestBody(frozen, takesOption);
  expect(frozen).toEqual({ ...params, stream: true, extraBody: { a: 1 } });
});

test('a body never holds half of a surrogate pair, which providers refuse', () => {
  const printed = printBody({ messages: [{ content: 'cut \ud83d' }], name: 'whole \ud83d\udc4b and \\ud83d' });
  expect(JSON.parse(printed)).toEqual({
    messages: [{ content: 'cut \ufffd' }],
    name: 'whole \ud83d\udc4b and \\ud83d',
  });
});
