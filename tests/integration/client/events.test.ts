import { describe, expect, it, vi } from 'vitest';
import { connect } from '../../../src/client/index.ts';
import { startClientProgram } from '../../support/client-program.ts';
import { startFakeDaemon, welcomeOnly, type Answer, type FakeLine } from '../../support/fake-daemon.ts';
import { until } from '../../support/until.ts';

/**
 * Makes an answer that takes subscriptions, and a function that sends an event to all who
 * subscribed.
 */
function subscribing() {
  const lines: FakeLine[] = [];
  const answer: Answer = (frame, line) => {
    welcomeOnly(frame, line);
    if (frame.data.op === 'event.subscribe') {
      lines.push(line);
      line.send('reply', { id: frame.data.id, result: { events: ['secrets-changed'] } });
    } else if (frame.type === 'request') line.send('reply', { id: frame.data.id, result: { keys: [] } });
  };
  const publish = (names: readonly string[]): void => {
    lines.at(-1)?.send('event', { event: 'secrets-changed', data: { names } });
  };
  return { answer, publish, subscriptions: () => lines.length };
}

/** Resolves when the client waits for its next try, while the clock stands still. */
async function nextPause(): Promise<void> {
  while (vi.getTimerCount() === 0) await new Promise(setImmediate);
}

describe('an event', () => {
  it('reaches every listener until it leaves', async () => {
    const { answer, publish, subscriptions } = subscribing();
    await using test = await startFakeDaemon(answer);
    await using aipass = await connect({ socket: test.socket });
    const first: unknown[] = [];
    const second: unknown[] = [];
    const leave = aipass.on('secrets-changed', (data) => first.push(data));
    aipass.on('secrets-changed', (data) => second.push(data));
    await until('both are subscribed', () => subscriptions() === 2);
    publish(['A']);
    await until('it arrives', () => second.length === 1);
    leave();
    leave();
    publish(['B']);
    await until('it arrives', () => second.length === 2);
    expect(first).toStrictEqual([{ names: ['A'] }]);
    expect(second).toStrictEqual([{ names: ['A'] }, { names: ['B'] }]);
    expect(test.daemon.requests[0]?.data.params).toStrictEqual({ events: ['secrets-changed'] });
  });

  it('reaches them again after the daemon was started anew', async () => {
    const { answer, publish, subscriptions } = subscribing();
    await using test = await startFakeDaemon(answer);
    await using aipass = await connect({ socket: test.socket });
    const heard: unknown[] = [];
    aipass.on('secrets-changed', (data) => heard.push(data));
    await until('it is subscribed', () => subscriptions() === 1);
    await test.daemon.stop();
    await test.daemon.start();
    await until('it is subscribed again', () => subscriptions() === 2);
    publish(['A']);
    await until('it arrives', () => heard.length === 1);
  });

  it('reaches them again as soon as a call has opened a new line, however long the pause was to be', async () => {
    const { answer, publish, subscriptions } = subscribing();
    await using test = await startFakeDaemon(answer);
    await using aipass = await connect({ socket: test.socket });
    const heard: unknown[] = [];
    aipass.on('secrets-changed', (data) => heard.push(data));
    await until('it is subscribed', () => subscriptions() === 1);
    // The clock stands still, so that nothing but the call opens the line.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      await test.daemon.stop();
      await nextPause();
      await test.daemon.start();
      expect(await aipass.request('key.list', {})).toStrictEqual({ keys: [] });
      expect(await aipass.request('key.list', {})).toStrictEqual({ keys: [] });
      expect(subscriptions()).toBe(2);
      expect(vi.getTimerCount()).toBe(0);
      publish(['A']);
      while (heard.length === 0) await new Promise(setImmediate);
    } finally {
      vi.useRealTimers();
    }
    expect(heard).toStrictEqual([{ names: ['A'] }]);
    expect(test.daemon.accepted).toBe(2);
  });

  it('is waited for through a long outage, with ever longer pauses', async () => {
    const { answer, subscriptions } = subscribing();
    await using test = await startFakeDaemon(answer);
    await using aipass = await connect({ socket: test.socket });
    aipass.on('secrets-changed', () => {});
    await until('it is subscribed', () => subscriptions() === 1);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      await test.daemon.stop();
      for (const pauseMs of [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000]) {
        await nextPause();
        vi.advanceTimersByTime(pauseMs - 1);
        expect(vi.getTimerCount()).toBe(1);
        vi.advanceTimersByTime(1);
        expect(vi.getTimerCount()).toBe(0);
      }
      await nextPause();
      await test.daemon.start();
      vi.advanceTimersByTime(30_000);
      while (subscriptions() < 2) await new Promise(setImmediate);
    } finally {
      vi.useRealTimers();
    }
  });

  it('cannot be listened to after the connection was closed', async () => {
    await using test = await startFakeDaemon();
    const aipass = await connect({ socket: test.socket });
    await aipass.close();
    expect(() => aipass.on('secrets-changed', () => {})).toThrow(
      expect.objectContaining({ code: 'BAD_REQUEST', hint: 'connect() again' }),
    );
  });

  it('whose listener throws reaches the others, and costs the program nothing but that exception', async () => {
    const { answer, publish, subscriptions } = subscribing();
    await using test = await startFakeDaemon(answer);
    await using program = startClientProgram(
      test.socket,
      `
        process.on('uncaughtException', (error) => console.log('uncaught: ' + error.message));
        const aipass = await connect({ socket });
        aipass.on('secrets-changed', () => { throw new Error('mine'); });
        aipass.on('secrets-changed', async ({ names }) => {
          console.log('heard: ' + names);
          console.log(JSON.stringify(await aipass.request('key.list', {})));
          await aipass.close();
        });
      `,
    );
    await until('both are subscribed', () => subscriptions() === 2);
    publish(['A']);
    const { stdout, stderr, code } = await program.result();
    expect(stdout.split('\n').toSorted()).toStrictEqual(['', 'heard: A', 'uncaught: mine', '{"keys":[]}']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(test.daemon.accepted).toBe(1);
  });
});

describe('a program', () => {
  it('with an idle connection ends by itself', async () => {
    const { answer } = subscribing();
    await using test = await startFakeDaemon(answer);
    await using program = startClientProgram(
      test.socket,
      `
        const aipass = await connect({ socket });
        console.log(JSON.stringify(await aipass.request('key.list', {})));
      `,
    );
    expect(await program.result()).toMatchObject({ code: 0, stdout: '{"keys":[]}\n', stderr: '' });
    await until('the line is closed', () => test.daemon.connections === 0);
  });

  it('stays while it waits for an answer', async () => {
    let answerNow: (() => void) | undefined;
    await using test = await startFakeDaemon((frame, line) => {
      welcomeOnly(frame, line);
      if (frame.type === 'request') answerNow = () => line.send('reply', { id: frame.data.id, result: { keys: [] } });
    });
    await using program = startClientProgram(
      test.socket,
      `
        const aipass = await connect({ socket });
        aipass.request('key.list', {}).then((answer) => console.log(JSON.stringify(answer)));
      `,
    );
    const answer = await until('it asks', () => answerNow);
    expect(program.isRunning).toBe(true);
    answer();
    expect(await program.result()).toMatchObject({ code: 0, stdout: '{"keys":[]}\n' });
  });

  it('stays while it listens, and ends once it listens no more', async () => {
    const { answer, publish, subscriptions } = subscribing();
    await using test = await startFakeDaemon(answer);
    await using program = startClientProgram(
      test.socket,
      `
        const aipass = await connect({ socket });
        const leave = aipass.on('secrets-changed', ({ names }) => {
          console.log('heard: ' + names);
          if (names[0] === 'last') leave();
        });
      `,
    );
    await until('it is subscribed', () => subscriptions() === 1);
    publish(['first']);
    await until('it hears', () => program.stdout === 'heard: first\n');
    expect(program.isRunning).toBe(true);
    publish(['last']);
    expect(await program.result()).toMatchObject({ code: 0, stdout: 'heard: first\nheard: last\n' });
  });

  it('ends also where it gave up a call', async () => {
    await using test = await startFakeDaemon();
    await using program = startClientProgram(
      test.socket,
      `
        const aipass = await connect({ socket });
        await aipass.status({ timeoutMs: 10 }).catch((error) => console.log(error.code));
      `,
    );
    expect(await program.result()).toMatchObject({ code: 0, stdout: 'TIMED_OUT\n' });
    await until('the daemon was told', () => test.daemon.received.some(({ type }) => type === 'cancel'));
  });
});
