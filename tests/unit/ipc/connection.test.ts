import { describe, expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { Connection } from '../../../src/ipc/connection.ts';
import type { Dispatch, DispatchOutcome } from '../../../src/operations/dispatcher.ts';
import type { RequestContext } from '../../../src/operations/operation.ts';
import type { DaemonMessage } from '../../../src/protocol/messages.ts';
import { OPEN_ADMISSION } from '../../support/admission.ts';

interface Call {
  readonly op: string;
  readonly params: unknown;
  readonly context: RequestContext;
  /** Ends the request. */
  readonly settle: (outcome: DispatchOutcome) => Promise<void>;
}

const WELCOME = { protocol: 1, version: '1.2.3', pid: 42 };

/** Makes a connection whose operations end when the test says so; `now` answers at once. */
function setUp(maxInFlight = 4) {
  const sent: DaemonMessage[] = [];
  const calls: Call[] = [];
  let hasEnded = false;
  const dispatch: Dispatch = (op, params, context) => {
    if (op === 'now') return { kind: 'done', result: params };
    const { promise, resolve } = Promise.withResolvers<DispatchOutcome>();
    calls.push({
      op,
      params,
      context,
      settle: async (outcome) => {
        resolve(outcome);
        await new Promise(setImmediate);
      },
    });
    return promise;
  };
  const connection = new Connection({
    wire: {
      send: (message) => sent.push(message),
      ready: () => Promise.resolve(),
      end: () => {
        hasEnded = true;
      },
    },
    dispatch,
    welcome: WELCOME,
    admission: OPEN_ADMISSION,
    maxInFlight: () => maxInFlight,
  });
  const call = (index: number): Call => {
    const found = calls[index];
    if (!found) throw new Error(`there is no call ${index}`);
    return found;
  };
  return { connection, sent, calls, call, hasEnded: () => hasEnded };
}

const DONE: DispatchOutcome = { kind: 'done', result: 'ok' };

describe('hello', () => {
  it('is answered with welcome', () => {
    const { connection, sent } = setUp();
    connection.receive('hello', { protocol: 1, caller: 'flow', client: 'x/1' });
    expect(sent).toStrictEqual([{ type: 'welcome', data: WELCOME }]);
  });

  it('names the caller, in plain text of bounded length', () => {
    const { connection, call } = setUp();
    connection.receive('hello', { protocol: 1, caller: `flow\n\u001b[2J${'x'.repeat(1000)}`, client: 'x/1' });
    connection.receive('request', { id: 1, op: 'later' });
    const { caller } = call(0).context;
    expect(caller.name).toMatch(/^flow \[2Jx+…$/);
    expect(caller.name).toHaveLength(128);
    expect(caller.client).toBe('x/1');
  });

  it('may leave the caller out, or say something odd', () => {
    for (const odd of [undefined, null, 7, {}, '', '  ']) {
      const { connection, call } = setUp();
      connection.receive('hello', { protocol: 1, caller: odd, client: odd });
      connection.receive('request', { id: 1, op: 'later' });
      expect(call(0).context.caller).toMatchObject({ name: null, client: null });
    }
  });

  it('said twice is refused, and the conversation goes on', () => {
    const { connection, sent, hasEnded } = setUp();
    connection.receive('hello', { protocol: 1, caller: 'first' });
    connection.receive('hello', { protocol: 1, caller: 'second' });
    expect(sent[1]).toMatchObject({ type: 'error', data: { error: { code: 'BAD_REQUEST' } } });
    expect(hasEnded()).toBe(false);
  });

  it.each([{ protocol: 2 }, { protocol: '1' }, {}, null, undefined, 'hello', []])(
    'with another protocol ends the connection and says why: %j',
    (data) => {
      const { connection, sent, hasEnded } = setUp();
      connection.receive('hello', data);
      expect(sent).toHaveLength(1);
      expect(sent[0]).toMatchObject({ type: 'error', data: { error: { code: 'VERSION_MISMATCH' } } });
      expect(sent[0]).toHaveProperty('data.error.hint');
      expect(hasEnded()).toBe(true);
      connection.receive('request', { id: 1, op: 'now' });
      expect(sent).toHaveLength(1);
    },
  );
});

describe('a request', () => {
  it('is answered at once where the operation is', () => {
    const { connection, sent } = setUp();
    connection.receive('request', { id: 'a', op: 'now', params: { x: 1 } });
    expect(sent).toStrictEqual([{ type: 'reply', data: { id: 'a', result: { x: 1 } } }]);
    expect(connection.inFlight).toBe(0);
  });

  it('is answered exactly once, in the order in which requests end', async () => {
    const { connection, sent, call } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    connection.receive('request', { id: 2, op: 'later' });
    expect(connection.inFlight).toBe(2);
    await call(1).settle({ kind: 'failed', error: new AipassError('NOT_FOUND', 'no', { hint: 'h' }) });
    await call(0).settle(DONE);
    expect(sent).toStrictEqual([
      { type: 'error', data: { id: 2, error: { code: 'NOT_FOUND', message: 'no', hint: 'h' } } },
      { type: 'reply', data: { id: 1, result: 'ok' } },
    ]);
    expect(connection.inFlight).toBe(0);
  });

  it('sends its chunks before its reply, and none after it', async () => {
    const { connection, sent, call } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    const { context } = call(0);
    await context.emit('a');
    await context.emit('b');
    await call(0).settle(DONE);
    await context.emit('late');
    expect(sent.map((message) => message.type)).toStrictEqual(['chunk', 'chunk', 'reply']);
    expect(sent[0]).toStrictEqual({ type: 'chunk', data: { id: 1, data: 'a' } });
  });

  it('does not send its late chunks as those of a new request with its id', async () => {
    const { connection, sent, call } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    await call(0).settle(DONE);
    connection.receive('request', { id: 1, op: 'later' });
    await call(0).context.emit('stale');
    expect(sent.map((message) => message.type)).toStrictEqual(['reply']);
  });

  it('may use an id again after its answer', async () => {
    const { connection, sent, call } = setUp();
    for (const index of [0, 1]) {
      connection.receive('request', { id: 1, op: 'later' });
      await call(index).settle(DONE);
    }
    expect(sent).toHaveLength(2);
  });

  it('with an id in flight is refused without the id, and the first one still gets its answer', async () => {
    const { connection, sent, calls, call } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    connection.receive('request', { id: 1, op: 'later' });
    expect(calls).toHaveLength(1);
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ type: 'error', data: { error: { code: 'BAD_REQUEST' } } });
    expect(sent[0]).not.toHaveProperty('data.id');
    await call(0).settle(DONE);
    expect(sent[1]).toStrictEqual({ type: 'reply', data: { id: 1, result: 'ok' } });
  });

  it('tells the id 1 from the id "1"', () => {
    const { connection, calls } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    connection.receive('request', { id: '1', op: 'later' });
    expect(calls).toHaveLength(2);
  });

  it('over the limit is refused with its id and a wait, and there is room again after an answer', async () => {
    const { connection, sent, calls, call } = setUp(2);
    for (const id of [1, 2, 3]) connection.receive('request', { id, op: 'later' });
    expect(calls).toHaveLength(2);
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ type: 'error', data: { id: 3, error: { code: 'BAD_REQUEST' } } });
    expect(sent[0]).toHaveProperty('data.error.retryAfterMs');
    await call(0).settle(DONE);
    connection.receive('request', { id: 3, op: 'later' });
    expect(calls).toHaveLength(3);
  });

  it.each([
    undefined,
    null,
    7,
    'request',
    [],
    {},
    { op: 'now' },
    { id: 1 },
    { id: 1, op: 7 },
    { id: null, op: 'now' },
    { id: {}, op: 'now' },
    { id: true, op: 'now' },
    { id: Number.NaN, op: 'now' },
    { id: 'x'.repeat(257), op: 'now' },
  ])('without a proper id and op is refused, and the conversation goes on: %j', (data) => {
    const { connection, sent, hasEnded } = setUp();
    connection.receive('request', data);
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ type: 'error', data: { error: { code: 'BAD_REQUEST' } } });
    expect(sent[0]).not.toHaveProperty('data.id');
    expect(hasEnded()).toBe(false);
  });
});

describe('cancel', () => {
  it('aborts the request, which is answered once, with CANCELLED', async () => {
    const { connection, sent, call } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    const { signal } = call(0).context;
    connection.receive('cancel', { id: 1 });
    connection.receive('cancel', { id: 1 });
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toMatchObject({ code: 'CANCELLED' });
    await call(0).settle({ kind: 'failed', error: signal.reason });
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ type: 'error', data: { id: 1, error: { code: 'CANCELLED' } } });
  });

  it('of another request, or of none, does nothing', () => {
    const { connection, sent, call } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    for (const data of [{ id: 2 }, { id: '1' }, {}, null, undefined, 7, [1], { id: {} }])
      connection.receive('cancel', data);
    expect(call(0).context.signal.aborted).toBe(false);
    expect(sent).toStrictEqual([]);
  });
});

describe('a message of another type', () => {
  it.each(['', 'connect', 'data', 'error', 'close', 'socket.disconnected', '__proto__', 'welcome', '\u0007bell'])(
    'is refused, and the conversation goes on: %j',
    (type) => {
      const { connection, sent, hasEnded } = setUp();
      connection.receive(type, {});
      expect(sent).toHaveLength(1);
      expect(sent[0]).toMatchObject({ type: 'error', data: { error: { code: 'BAD_REQUEST' } } });
      expect(JSON.stringify(sent[0])).not.toContain('\\u0007');
      expect(hasEnded()).toBe(false);
    },
  );
});

describe('the end of a connection', () => {
  it('aborts what is in flight, and sends nothing more', async () => {
    const { connection, sent, call } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    connection.close();
    connection.close();
    const { context } = call(0);
    const { signal, closed } = context;
    expect(signal.reason).toMatchObject({ code: 'CANCELLED' });
    expect(closed.aborted).toBe(true);
    expect(connection.inFlight).toBe(0);
    await context.emit('late');
    await call(0).settle(DONE);
    connection.receive('request', { id: 2, op: 'now' });
    expect(sent).toStrictEqual([]);
  });

  it('by a failure tells why first', () => {
    const { connection, sent, call, hasEnded } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    connection.fail(new AipassError('TIMED_OUT', 'too slow'));
    expect(sent).toStrictEqual([{ type: 'error', data: { error: { code: 'TIMED_OUT', message: 'too slow' } } }]);
    expect(hasEnded()).toBe(true);
    expect(call(0).context.signal.aborted).toBe(true);
  });

  it('can wait until nothing is in flight', async () => {
    const { connection, call } = setUp();
    await connection.idle();
    connection.receive('request', { id: 1, op: 'later' });
    connection.receive('request', { id: 2, op: 'later' });
    let isIdle = false;
    const idle = connection.idle().then(() => {
      isIdle = true;
    });
    await call(0).settle(DONE);
    expect(isIdle).toBe(false);
    await call(1).settle(DONE);
    await idle;
    expect(isIdle).toBe(true);
  });

  it('is waited for in vain by nobody: going away is idle, too', async () => {
    const { connection } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    const idle = connection.idle();
    connection.close();
    await expect(idle).resolves.toBeUndefined();
  });

  it('by a stop gives requests in flight a reason that their caller sees', () => {
    const { connection, call } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    const reason = new AipassError('CANCELLED', 'the daemon is stopping');
    connection.abortAll(reason);
    expect(call(0).context.signal.reason).toBe(reason);
  });
});

describe('an event', () => {
  it('is sent as such, also after the reply', async () => {
    const { connection, sent, call } = setUp();
    connection.receive('request', { id: 1, op: 'later' });
    await call(0).settle(DONE);
    call(0).context.notify('secrets-changed', { names: [] });
    expect(sent[1]).toStrictEqual({ type: 'event', data: { event: 'secrets-changed', data: { names: [] } } });
  });
});
