import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AipassError } from '../../../src/base/errors.ts';
import type { LogFields } from '../../../src/base/log-sink.ts';
import { ALL_RIGHTS, type Right } from '../../../src/callers/access.ts';
import { createDispatcher, type Dispatch, type DispatchOutcome } from '../../../src/operations/dispatcher.ts';
import type { AnyOperation, RequestContext } from '../../../src/operations/operation.ts';
import { recordingLogger } from '../../support/recording-logger.ts';

function contextWith(rights: Iterable<Right> = ALL_RIGHTS, signal = new AbortController().signal): RequestContext {
  return {
    caller: {
      name: 'test',
      client: null,
      rights: new Set(rights),
      organizations: new Map(),
      peer: null,
      session: 'session-1',
    },
    currentRights: () => ({ rights: new Set(rights), organizations: new Map() }),
    abort: () => {},
    signal,
    closed: new AbortController().signal,
    emit: () => {},
    notify: () => {},
  };
}

function operation(changes: Partial<AnyOperation>): AnyOperation {
  return { name: 'status.get', right: 'see', schema: z.strictObject({}), handle: () => 'done', ...changes };
}

function dispatching(...operations: AnyOperation[]): { dispatch: Dispatch; lines: readonly LogFields[] } {
  const recording = recordingLogger();
  const logger = { ...recording, debug: () => {} };
  return {
    dispatch: createDispatcher(Object.fromEntries(operations.map((one) => [one.name, one])), {
      logger,
      audit: () => {},
    }),
    lines: logger.lines,
  };
}

async function failure(outcome: ReturnType<Dispatch>): Promise<AipassError> {
  const settled = await outcome;
  if (settled.kind !== 'failed') throw new Error('the request did not fail');
  return settled.error;
}

describe('the dispatcher', () => {
  it('answers at once where the handler does', () => {
    const { dispatch } = dispatching(operation({ handle: () => ({ up: true }) }));
    expect(dispatch('status.get', {}, contextWith())).toStrictEqual({ kind: 'done', result: { up: true } });
  });

  it('answers failures of the table at once, too', () => {
    const { dispatch } = dispatching(operation({}));
    expect(dispatch('status.gte', {}, contextWith())).not.toBeInstanceOf(Promise);
    expect(dispatch('status.get', { x: 1 }, contextWith())).not.toBeInstanceOf(Promise);
  });

  it.each([
    ['a list', { list: Array.from({ length: 20_001 }, () => 0) }],
    ['an object', { list: Object.fromEntries(Array.from({ length: 20_001 }, (_, index) => [`k${index}`, 0])) }],
  ])('refuses %s of more elements than any request needs, before its schema looks at each', async (_name, params) => {
    let looked = 0;
    const element = z.unknown().refine(() => {
      looked += 1;
      return false;
    });
    const schema = z.strictObject({ list: z.union([z.array(element), z.record(z.string(), element)]) });
    const { dispatch } = dispatching(operation({ schema }));
    const error = await failure(dispatch('status.get', params, contextWith()));
    expect(error).toMatchObject({ code: 'BAD_REQUEST', message: expect.stringContaining('20000 elements') });
    expect(looked).toBe(0);
  });

  it('answers later where the handler does', async () => {
    const { dispatch } = dispatching(operation({ handle: () => Promise.resolve(7) }));
    await expect(dispatch('status.get', {}, contextWith())).resolves.toStrictEqual({ kind: 'done', result: 7 });
  });

  it('hands the handler what the schema made of the parameters', () => {
    const schema = z.strictObject({ n: z.int().default(3) });
    const { dispatch } = dispatching(operation({ schema, handle: (params) => params }));
    expect(dispatch('status.get', {}, contextWith())).toMatchObject({ result: { n: 3 } });
    for (const missing of [undefined, null]) {
      expect(dispatch('status.get', missing, contextWith())).toMatchObject({ result: { n: 3 } });
    }
  });

  it('names the nearest operation to one that it does not know', async () => {
    const { dispatch } = dispatching(operation({}));
    const error = await failure(dispatch('status.gett', {}, contextWith()));
    expect(error.toWire()).toStrictEqual({
      code: 'BAD_REQUEST',
      message: 'unknown operation "status.gett"',
      hint: 'did you mean "status.get"?',
    });
  });

  it.each(['', 'constructor', '__proto__', 'toString', 'x'.repeat(100_000), '\u001b[2J\n'])(
    'knows no operation by a hostile name',
    async (op) => {
      const { dispatch } = dispatching(operation({}));
      const error = await failure(dispatch(op, {}, contextWith()));
      expect(error.code).toBe('BAD_REQUEST');
      expect(error.message.length).toBeLessThan(100);
      expect(error.message).not.toMatch(/\p{Cc}/u);
    },
  );

  it('checks the right before it looks at the parameters', async () => {
    let parsed = 0;
    const schema = z.unknown().refine(() => {
      parsed += 1;
      return false;
    });
    const { dispatch } = dispatching(operation({ right: 'reveal', schema }));
    const error = await failure(dispatch('status.get', { any: 'thing' }, contextWith(['see', 'use', 'admin'])));
    expect(error.code).toBe('FORBIDDEN');
    expect(error.message).toContain('"reveal"');
    expect(parsed).toBe(0);
  });

  it('checks the parameters before the handler runs, and names what is wrong with them', async () => {
    let runs = 0;
    const schema = z.strictObject({ name: z.string(), deep: z.strictObject({ n: z.int() }).optional() });
    const { dispatch } = dispatching(
      operation({
        schema,
        handle: () => {
          runs += 1;
        },
      }),
    );
    const error = await failure(dispatch('status.get', { deep: { n: 'x' } }, contextWith()));
    expect(error.code).toBe('BAD_REQUEST');
    expect(error.message).toContain('"name"');
    expect(error.message).toContain('"deep.n"');
    expect(error.hint).toBeDefined();
    expect(runs).toBe(0);
  });

  it('does not repeat a thousand problems', async () => {
    const { dispatch } = dispatching(operation({ schema: z.array(z.int()) }));
    const error = await failure(dispatch('status.get', Array.from({ length: 1000 }, String), contextWith()));
    expect(error.message.length).toBeLessThan(1200);
  });

  it('does not quote the values of parameters', async () => {
    const { dispatch } = dispatching(operation({ schema: z.strictObject({ key: z.int() }) }));
    const error = await failure(dispatch('status.get', { key: 'sk-or-v1-0123456789' }, contextWith()));
    expect(error.message).not.toContain('sk-or');
  });

  it('passes an AipassError on, thrown or rejected', async () => {
    const thrown = new AipassError('NOT_FOUND', 'nothing there', { hint: 'look elsewhere' });
    const throwing = dispatching(
      operation({
        handle: () => {
          throw thrown;
        },
      }),
    );
    const rejecting = dispatching(operation({ handle: () => Promise.reject(thrown) }));
    expect(await failure(throwing.dispatch('status.get', {}, contextWith()))).toBe(thrown);
    expect(await failure(rejecting.dispatch('status.get', {}, contextWith()))).toBe(thrown);
    expect(throwing.lines).toStrictEqual([]);
  });

  it('turns anything else into INTERNAL, whose details only the log has', async () => {
    for (const defect of [new TypeError('secret detail at /home/ann'), 'secret detail', undefined, null]) {
      const { dispatch, lines } = dispatching(operation({ handle: () => Promise.reject(defect) }));
      const error = await failure(dispatch('status.get', {}, contextWith()));
      expect(error.code).toBe('INTERNAL');
      expect(JSON.stringify(error.toWire())).not.toContain('secret detail');
      expect(error.cause).toBeUndefined();
      expect(lines).toStrictEqual([{ level: 'error', message: 'the operation status.get failed', error: defect }]);
    }
  });

  it('answers with the reason of the abort, whatever an aborted handler throws', async () => {
    const abort = new AbortController();
    const { dispatch, lines } = dispatching(
      operation({
        handle: async (_params, { signal }) => {
          await new Promise((resolve) => {
            signal.addEventListener('abort', resolve);
          });
          throw new DOMException('This operation was aborted', 'AbortError');
        },
      }),
    );
    const outcome = dispatch('status.get', {}, contextWith(ALL_RIGHTS, abort.signal));
    const reason = new AipassError('CANCELLED', 'the client cancelled the request');
    abort.abort(reason);
    expect(await failure(outcome)).toBe(reason);
    expect(lines).toStrictEqual([]);
  });
});

describe('an operation on the keys of an organization', () => {
  const inOrganization = operation({
    right: 'use',
    inOrganization: true,
    schema: z.looseObject({}),
    handle: (_params, { organization, requireRight }) => {
      requireRight('use');
      return organization;
    },
  });
  const organizations = new Map<string, ReadonlySet<Right>>([
    ['acme', new Set<Right>(['see', 'use'])],
    ['look', new Set<Right>(['see'])],
  ]);

  async function ask(params: unknown): Promise<unknown> {
    const { dispatch } = dispatching(inOrganization);
    const context = contextWith([]);
    const outcome = await dispatch('status.get', params, {
      ...context,
      currentRights: () => ({ rights: new Set(), organizations }),
    });
    return outcome.kind === 'done' ? outcome.result : outcome.error.code;
  }

  it('runs in the organization that it names, with the rights that the caller has there', async () => {
    expect(await ask({ organization: 'acme' })).toBe('acme');
    expect(await ask({ organization: 'look' })).toBe('FORBIDDEN');
  });

  it('does not tell an organization of others from one that does not exist', async () => {
    expect([await ask({ organization: 'theirs' }), await ask({ organization: 'nowhere' })]).toEqual([
      'NOT_FOUND',
      'NOT_FOUND',
    ]);
  });

  it('is refused in the default organization to who has no rights there', async () => {
    expect(await ask({})).toBe('FORBIDDEN');
  });
});

/** Starts a request that needs `reveal`, and hands over what a test may do to it. */
function startRevocable(answer: Promise<unknown>) {
  let rights = new Set<Right>(['see', 'reveal']);
  let recheck: (() => void) | undefined;
  const ended = new AbortController();
  const audited: DispatchOutcome[] = [];
  const dispatch = createDispatcher(
    { 'status.get': operation({ right: 'reveal', handle: () => answer }) },
    {
      logger: recordingLogger(),
      audit: (_operation, _params, _context, outcome) => audited.push(outcome),
      onRightsChange: (listener) => {
        recheck = listener;
      },
    },
  );
  const outcome = dispatch(
    'status.get',
    {},
    {
      ...contextWith(rights, ended.signal),
      currentRights: () => ({ rights, organizations: new Map() }),
      abort: (reason) => ended.abort(reason),
    },
  );
  return {
    outcome,
    audited,
    signal: ended.signal,
    takeAway: (notify: boolean) => {
      rights = new Set(['see']);
      if (notify) recheck?.();
    },
  };
}

describe('a right that is taken away after the reply', () => {
  it('keeps events of any operation from leaving', async () => {
    const rights = new Set<Right>(['see']);
    const heard: unknown[] = [];
    let publish: (() => void) | undefined;
    const { dispatch } = dispatching(
      operation({
        handle: (_params, { notify }) => {
          publish = () => notify('secrets-changed', {});
        },
      }),
    );
    await dispatch(
      'status.get',
      {},
      {
        ...contextWith(rights),
        currentRights: () => ({ rights, organizations: new Map() }),
        notify: (event) => heard.push(event),
      },
    );
    publish?.();
    rights.clear();
    expect(publish).toThrow(expect.objectContaining({ code: 'FORBIDDEN' }));
    expect(heard).toEqual(['secrets-changed']);
  });
});

describe('a right that is taken away while a handler works', () => {
  it('keeps the value from leaving, and is audited as a refusal', async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const request = startRevocable(promise);
    request.takeAway(false);
    resolve({ key: 'value' });
    expect(await failure(request.outcome)).toMatchObject({ code: 'FORBIDDEN' });
    expect(request.audited).toMatchObject([{ kind: 'failed', error: { code: 'FORBIDDEN' } }]);
  });

  it('ends the request at once', async () => {
    const { promise, reject } = Promise.withResolvers<unknown>();
    const request = startRevocable(promise);
    request.takeAway(true);
    expect(request.signal.reason).toMatchObject({ code: 'FORBIDDEN' });
    reject(new Error('as a handler does that was aborted'));
    expect(await failure(request.outcome)).toMatchObject({ code: 'FORBIDDEN' });
  });

  it('concerns no request whose right is left', async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const request = startRevocable(promise);
    resolve('done');
    expect(await request.outcome).toEqual({ kind: 'done', result: 'done' });
    request.takeAway(true);
    expect(request.signal.aborted).toBe(false);
  });
});
