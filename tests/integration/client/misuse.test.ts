import { describe, expect, it } from 'vitest';
import { connect } from '../../../src/client/index.ts';
import { startClientProgram } from '../../support/client-program.ts';
import { answering, startFakeDaemon } from '../../support/fake-daemon.ts';

/**
 * What a program without types may pass, run in a process of its own: it must end by itself, with
 * one line each.
 */
const MISUSES = [
  ['a signal that is none', 'aipass.status({ signal: {} })'],
  ['a time limit that is none', "aipass.status({ timeoutMs: 'soon' })"],
  ['a time limit that is a bigint', 'aipass.status({ timeoutMs: 10n })'],
  ['a time limit that is not a number', 'aipass.status({ timeoutMs: NaN })'],
  ['options that are none', 'aipass.status(null)'],
  ['a completion without parameters', 'aipass.complete()'],
  ['a completion with a signal that is none', "aipass.complete({ model: 'm', messages: [], signal: {} })"],
  ['a stream without parameters', '(async () => aipass.stream())()'],
  ['a stream with a signal that is none', "(async () => aipass.stream({ model: 'm', signal: {} }).result)()"],
  ['a caller that is none', 'connect({ socket, caller: 10n })'],
  ['a socket that is none', 'connect({ socket: 10 })'],
  ['no options where some are', 'connect(null)'],
] as const;

describe('a program that passes', () => {
  it.each(MISUSES)('%s gets BAD_REQUEST with what to do, and ends', async (_what, call) => {
    await using test = await startFakeDaemon(answering(() => ({})));
    await using program = startClientProgram(
      test.socket,
      `
        const aipass = await connect({ socket });
        const failure = await ${call}.then(() => 'done', (error) => error);
        console.log(JSON.stringify([failure.name, failure.code, typeof failure.hint]));
      `,
    );
    expect(await program.result()).toMatchObject({
      code: 0,
      stdout: '["AipassError","BAD_REQUEST","string"]\n',
      stderr: '',
    });
    expect(test.daemon.requests).toHaveLength(0);
  });
});

describe('a call', () => {
  it('takes a signal of another package, which only looks like one', async () => {
    await using test = await startFakeDaemon(answering((_op, params) => params));
    await using aipass = await connect({ socket: test.socket });
    const signal = { aborted: false, addEventListener() {}, removeEventListener() {} };
    // A program without types passes it.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    expect(await aipass.request('key.list', {}, { signal: signal as unknown as AbortSignal })).toStrictEqual({});
  });
});
