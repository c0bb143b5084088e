import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import type { KeyLender, PooledOptions } from '../../../src/client/pooled-caller.ts';
import { createPooled } from '../../../src/client/pooled.ts';
import type { PoolLeaseParams, PoolSettleParams } from '../../../src/protocol/pool.ts';

/** What the real client of these tests fails with. */
class HttpError extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

/**
 * A client of an imaginary API, as its maker would write it: with private state, depth, and every
 * kind of result.
 */
class Coins {
  readonly #key: string;
  readonly #bad: ReadonlyMap<string, number>;
  readonly version = 3;
  readonly coins = {
    markets: { list: (currency: string): Promise<string[]> => Promise.resolve([this.#use(), currency]) },
  };

  constructor(key: string, bad: ReadonlyMap<string, number>) {
    this.#key = key;
    this.#bad = bad;
  }

  /** Returns what it is given. */
  echo(value: unknown): unknown {
    this.#use();
    return value;
  }

  /** Counts up, as a page by page list would. */
  async *pages(): AsyncGenerator<string> {
    yield `${this.#use()} 1`;
    await Promise.resolve();
    yield `${this.#key} 2`;
  }

  now(): string[] {
    return [this.#use(), 'now'];
  }

  fail(error: unknown): never {
    throw error;
  }

  #use(): string {
    const status = this.#bad.get(this.#key);
    if (status !== undefined) throw new HttpError(status);
    return this.#key;
  }
}

/**
 * Opens a pooled client over a lender that hands out keys in turn and writes down what it hears.
 */
function open(keys: readonly string[], bad: Readonly<Record<string, number>> = {}, options: PooledOptions = {}) {
  const leases: PoolLeaseParams[] = [];
  const settled: PoolSettleParams[] = [];
  const built: string[] = [];
  const lender: KeyLender = {
    lease(params) {
      leases.push(params);
      const free = keys.filter((key) => params.exclude?.includes(key) !== true);
      const key = free[(leases.length - 1) % Math.max(1, free.length)];
      if (key === undefined) return Promise.reject(new AipassError('POOL_EXHAUSTED', 'no key'));
      return Promise.resolve({ leaseId: `lease ${leases.length}`, provider: 'coins', keyId: key, key });
    },
    settle(params) {
      settled.push(params);
      return Promise.resolve();
    },
  };
  const refused = new Map(Object.entries(bad));
  const factory = (key: string): Coins => {
    built.push(key);
    return new Coins(key, refused);
  };
  return { coins: createPooled('coins', factory, options, lender), leases, settled, built };
}

/** A client whose state is private. */
class Odd {
  readonly #key: string;

  constructor(key: string) {
    this.#key = key;
  }

  get inner(): { readonly region: string } {
    return { region: `eu of ${this.#key}` };
  }

  async ask(text: string): Promise<string> {
    if (this.#key === 'key-a') throw new HttpError(429);
    return Promise.resolve(`${this.#key}: ${text}`);
  }
}

/** Pools any client over two keys, of which one that met a limit is not lent again. */
function pooledOf<Client extends object>(factory: (key: string) => Client) {
  const settled: PoolSettleParams[] = [];
  const lender: KeyLender = {
    lease({ exclude = [] }) {
      const out = new Set([
        ...exclude,
        ...settled.filter(({ outcome }) => outcome === 'limited').map((one) => one.leaseId),
      ]);
      const key = ['key-a', 'key-b'].find((one) => !out.has(one)) ?? '';
      return Promise.resolve({ leaseId: key, provider: 'odd', keyId: key, key });
    },
    settle(report) {
      settled.push(report);
      return Promise.resolve({ settled: true });
    },
  };
  return { client: createPooled('odd', factory, {}, lender), settled };
}

/** A rule of a caller who expects every error to have a response. */
function stumble(): never {
  throw new TypeError("Cannot read properties of undefined (reading 'status')");
}

describe('a pooled client', () => {
  test('is used at any depth, each call with its own key, each client built once', async () => {
    const { coins, built, settled } = open(['a', 'b']);
    const used = [];
    for (let call = 0; call < 4; call += 1) used.push((await coins.coins.markets.list('eur'))[0]);
    expect(used).toEqual(['a', 'b', 'a', 'b']);
    expect(built).toEqual(['a', 'b']);
    expect(settled).toMatchObject(
      Array.from({ length: 4 }, () => ({ outcome: 'succeeded', latencyMs: expect.any(Number) })),
    );
  });

  test.each([false, '', null, undefined, 0, Number.NaN, [], { than: 5 }].map((value) => [value]))(
    'passes a result of %j through unchanged',
    async (value) => {
      expect(await open(['a']).coins.echo(value)).toBe(value);
    },
  );

  test('passes promises and plain properties through', async () => {
    const { coins } = open(['a']);
    expect(await coins.echo(Promise.resolve('later'))).toBe('later');
    expect(await coins.version()).toBe(3);
  });

  test('goes to another key when a limit is met, and tells which key met it', async () => {
    const { coins, leases, settled } = open(['a', 'b'], { a: 429 });
    expect(await coins.coins.markets.list('eur')).toEqual(['b', 'eur']);
    expect(leases.map(({ exclude }) => exclude)).toEqual([[], ['a']]);
    expect(settled).toMatchObject([
      { leaseId: 'lease 1', outcome: 'limited', status: 429 },
      { leaseId: 'lease 2', outcome: 'succeeded' },
    ]);
  });

  test('takes a key that is not accepted out, and says why when none is left', async () => {
    const { coins, settled } = open(['a', 'b'], { a: 401, b: 401 });
    await expect(coins.echo(1)).rejects.toThrow('status 401');
    expect(settled.map(({ outcome }) => outcome)).toEqual(['rejected', 'rejected']);
  });

  test('lets errors of its own kinds be told from limits', async () => {
    const { coins, settled } = open(
      ['a'],
      {},
      {
        isLimit: (error) => error instanceof Error && error.message === 'quota',
        retryAfterMs: () => 5000,
      },
    );
    await expect(coins.fail(new Error('quota'))).rejects.toThrow('quota');
    await expect(coins.fail(new HttpError(429))).rejects.toThrow('status 429');
    expect(settled).toMatchObject([{ outcome: 'limited', retryAfterMs: 5000 }, { outcome: 'failed' }]);
  });

  test.each([new TypeError('my own mistake'), new HttpError(400), 'a text', null])(
    'blames no key for %s',
    async (error) => {
      const { coins, leases, settled } = open(['a', 'b']);
      await expect(coins.fail(error)).rejects.toBe(error);
      expect(leases).toHaveLength(1);
      expect(settled).toMatchObject([{ outcome: 'failed' }]);
    },
  );

  test('takes rules that read the fields of an error as they are, without looking what was thrown', async () => {
    const { coins, settled } = open(['a', 'b'], { a: 418 }, { isLimit: (e) => e.status === 418 });
    expect(await coins.echo(1)).toBe(1);
    await expect(coins.fail(null)).rejects.toBeNull();
    expect(settled.map(({ outcome }) => outcome)).toEqual(['limited', 'succeeded', 'failed']);
  });

  test('holds the key of an iterable until it was read', async () => {
    const { coins, settled } = open(['a']);
    const seen: string[] = [];
    for await (const page of coins.pages()) {
      expect(settled).toEqual([]);
      seen.push(page);
    }
    expect(seen).toEqual(['a 1', 'a 2']);
    expect(settled).toMatchObject([{ outcome: 'succeeded' }]);
  });

  test('gives the key back when a loop is left early', async () => {
    const { coins, settled } = open(['a']);
    for await (const _ of coins.pages()) break;
    expect(settled).toHaveLength(1);
  });

  test('goes to another key when an iterable meets a limit before its first item', async () => {
    const { coins, settled } = open(['a', 'b'], { a: 429 });
    const seen: string[] = [];
    for await (const page of coins.pages()) seen.push(page);
    expect(seen).toEqual(['b 1', 'b 2']);
    expect(settled.map(({ outcome }) => outcome)).toEqual(['limited', 'succeeded']);
  });

  test('may be called many times at once', async () => {
    const { coins, settled, built } = open(['a', 'b'], { a: 429 });
    const results = await Promise.all(Array.from({ length: 50 }, (_, call) => coins.echo(call)));
    expect(results).toEqual(Array.from({ length: 50 }, (_, call) => call));
    expect(settled.filter(({ outcome }) => outcome === 'succeeded')).toHaveLength(50);
    expect(built.toSorted((a, b) => a.localeCompare(b))).toEqual(['a', 'b']);
  });

  test('names a property that the real client does not have', async () => {
    const { coins, settled } = open(['a']);
    const wrong: unknown = Reflect.get(coins.coins, 'market');
    const call = typeof wrong === 'function' ? wrong : undefined;
    await expect(call?.()).rejects.toThrow('the client has no "coins.market"');
    expect(settled).toMatchObject([{ outcome: 'failed' }]);
  });

  test('is no promise, and cannot be changed', async () => {
    const { coins, leases } = open(['a']);
    expect(await Promise.resolve(coins)).toBe(coins);
    expect(() => Reflect.set(coins, 'version', 4)).toThrow('cannot be changed');
    expect(leases).toEqual([]);
  });

  test('gives a key back that comes after its caller had enough of waiting', async () => {
    const leaving = new AbortController();
    const settled: PoolSettleParams[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const coins = createPooled(
      'coins',
      (key) => new Coins(key, new Map()),
      { signal: leaving.signal },
      {
        lease: async () => {
          await promise;
          return { leaseId: 'late', provider: 'coins', keyId: 'a', key: 'a' };
        },
        settle: (params) => Promise.resolve(settled.push(params)),
      },
    );
    const call = coins.echo(1);
    leaving.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    resolve();
    await expect.poll(() => settled).toMatchObject([{ leaseId: 'late', outcome: 'failed' }]);
  });

  test('gives the key back, and tells the real error, where a rule of its caller stumbles over it', async () => {
    const { coins, settled } = open(['a'], {}, { isLimit: stumble, isDead: stumble });
    await expect(coins.fail(new Error('the real one'))).rejects.toThrow('the real one');
    expect(settled).toMatchObject([{ leaseId: 'lease 1', outcome: 'failed' }]);

    const limited = open(['a'], {}, { isLimit: () => true, retryAfterMs: stumble });
    await expect(limited.coins.fail(new Error('quota'))).rejects.toThrow('quota');
    expect(limited.settled).toMatchObject([{ leaseId: 'lease 1', outcome: 'limited' }]);
  });

  test('reports no wait that the daemon would refuse, because the key would stay leased', async () => {
    const { coins, settled } = open(['a'], {}, { isLimit: () => true, retryAfterMs: () => Number.POSITIVE_INFINITY });
    await expect(coins.fail(new Error('quota'))).rejects.toThrow('quota');
    expect(settled).toMatchObject([{ outcome: 'limited', retryAfterMs: 86_400_000 }]);
  });

  test('builds the client again after building it failed', async () => {
    let times = 0;
    const { leases } = open(['a']);
    const coins = createPooled(
      'coins',
      (key) => {
        times += 1;
        if (times === 1) throw new Error('not yet');
        return new Coins(key, new Map());
      },
      {},
      {
        lease: () => Promise.resolve({ leaseId: String(leases.length), provider: 'coins', keyId: 'a', key: 'a' }),
        settle: () => Promise.resolve(),
      },
    );
    await expect(coins.echo(1)).rejects.toThrow('not yet');
    expect(await coins.echo(1)).toBe(1);
  });
});

describe('a result that can be iterated', () => {
  test.each([
    ['a stream of Node that is read by events', () => Readable.from(['a', 'b']), (stream: Readable) => stream.resume()],
    [
      'a web stream that is read by a reader',
      () => new Blob(['ab']).stream(),
      (stream: ReadableStream) => stream.getReader(),
    ],
    [
      'a page',
      () => ({ data: [1], async *[Symbol.asyncIterator]() {} }),
      ({ data }: { data: number[] }) => data.length,
    ],
  ])('gives its key back: %s', async (_name, make, read) => {
    const { coins, settled } = open(['a']);
    Reflect.apply(read, undefined, [await coins.echo(make())]);
    await turn();
    expect(settled).toMatchObject([{ outcome: 'succeeded' }]);
  });

  test('is asked for anew where it is a generator that is read later', async () => {
    const { coins, settled } = open(['a', 'b']);
    const pages = coins.pages();
    await Promise.resolve(pages);
    await turn();
    expect(settled).toMatchObject([{ leaseId: 'lease 1', outcome: 'failed' }]);
    const seen: string[] = [];
    for await (const page of pages) seen.push(page);
    expect(seen).toEqual(['b 1', 'b 2']);
    await expect.poll(() => settled.at(-1)).toMatchObject({ leaseId: 'lease 2', outcome: 'succeeded' });
  });

  test('may be an array or another iterable without promises', async () => {
    const { coins } = open(['a']);
    const seen: unknown[] = [];
    for await (const one of coins.now()) seen.push(one);
    expect(seen).toEqual(['a', 'now']);
  });
});

describe('a pooled client in the hands of the language', () => {
  test.each([
    ['a template', (value: string) => `${value}, ${value}`.slice(0, 26), 'pooled coins.coins.markets'],
    ['a sum', (value: string) => `x${value}`, 'xpooled coins.coins.markets'],
    ['a list', (value: string) => [value].join(), 'pooled coins.coins.markets'],
    ['an error', (value: string) => new Error(value).message, 'pooled coins.coins.markets'],
    ['a key', (value: string) => Object.keys({ [value]: 1 })[0], 'pooled coins.coins.markets'],
    ['a comparison', (value: string) => value === 'x', false],
    ['an inspection', (value: string) => inspect({ value }), '{ value: [pooled coins.coins.markets] }'],
    ['JSON', (value: string) => JSON.stringify({ value }), '{}'],
  ])('calls nothing in %s', (_name, use, expected) => {
    const { coins, leases } = open(['a']);
    // The types would not let it: programs without types do it.
    expect(Reflect.apply(use, undefined, [coins.coins.markets])).toBe(expected);
    expect(leases).toEqual([]);
  });

  test('may be of a class of one’s own, with private fields and getters; its methods may be taken out', async () => {
    const { client, settled } = pooledOf((key) => new Odd(key));
    const { ask } = client;
    expect(await ask('x')).toBe('key-b: x');
    expect(await client.inner.region()).toBe('eu of key-b');
    expect(
      await ['y', 'z'].reduce(async (all, one) => [...(await all), await ask(one)], Promise.resolve<string[]>([])),
    ).toEqual(['key-b: y', 'key-b: z']);
    expect(settled[0]).toMatchObject({ leaseId: 'key-a', outcome: 'limited' });
  });

  test('may be a tag of templates, and may call back', async () => {
    const tag = pooledOf(
      (key) =>
        (texts: TemplateStringsArray, ...values: number[]) =>
          Promise.resolve([key, ...texts.raw, ...values]),
    );
    expect(await tag.client`a${1}b`).toEqual(['key-a', 'a', 'b', 1]);
    const heard: string[] = [];
    const classic = pooledOf((key) => ({ get: (done: (text: string) => void): void => done(key) }));
    await classic.client.get((text) => void heard.push(text));
    expect(heard).toEqual(['key-a']);
  });

  test('can be bound, as a method of the real client', async () => {
    const { coins, settled } = open(['a', 'b'], { a: 429 });
    const { markets } = coins.coins;
    expect(await markets.list.bind(markets)('usd')).toEqual(['b', 'usd']);
    expect(await markets.list.bind(undefined, 'eur')()).toEqual(['b', 'eur']);
    expect(await Reflect.apply(markets.list, markets, ['gbp'])).toEqual(['b', 'gbp']);
    expect(settled.filter(({ outcome }) => outcome === 'succeeded')).toHaveLength(3);
  });

  test('shares nothing with another: its prototype and its extensibility are its own', () => {
    const [one, other] = [open(['a']).coins, open(['a']).coins];
    Object.setPrototypeOf(one, Coins.prototype);
    Object.preventExtensions(one);
    expect(other).not.toBeInstanceOf(Coins);
    expect([Object.isExtensible(other), Object.isExtensible(one.coins)]).toEqual([true, true]);
  });
});

async function isTeapotSoon({ status }: { readonly status?: unknown }): Promise<boolean> {
  await turn();
  return status === 418;
}

describe('the rules of a pooled client', () => {
  test('may be asynchronous', async () => {
    const { coins, settled } = open(['a', 'b'], { a: 418 }, { isLimit: isTeapotSoon });
    expect(await coins.echo(1)).toBe(1);
    expect(settled).toMatchObject([{ outcome: 'limited' }, { outcome: 'succeeded' }]);
  });

  test('may find a limit in a result, which is passed on where no other key is left', async () => {
    const options = { isLimitResult: (result: unknown) => result === 'limit' };
    const { coins, settled } = open(['a', 'b'], {}, options);
    expect(await coins.echo('limit')).toBe('limit');
    expect(await coins.echo('fine')).toBe('fine');
    expect(settled.map(({ outcome }) => outcome)).toEqual(['limited', 'limited', 'succeeded']);
  });

  test.each([
    [{ statusCode: 429 }, 'limited', 429],
    [{ response: { statusCode: 429 } }, 'limited', 429],
    [{ $metadata: { httpStatusCode: 429 } }, 'limited', 429],
    [{ code: 429 }, 'limited', 429],
    [{ status: '429' }, 'limited', 429],
    [{ cause: { cause: { status: 429 } } }, 'limited', 429],
    [{ status: 403 }, 'rejected', 403],
    [{ status: 403, response: { headers: new Headers({ 'x-ratelimit-remaining': '0' }) } }, 'limited', 403],
    [{ code: 'slack_webapi_platform_error', data: { error: 'token_revoked' } }, 'rejected', 401],
    [{ status: 503 }, 'unavailable', 503],
    [{ code: 'ECONNRESET' }, 'failed', undefined],
  ])('find the status in %j', async (fields, outcome, status) => {
    const { coins, settled } = open(['a']);
    const error = Object.assign(new Error('refused'), fields);
    await expect(coins.fail(error)).rejects.toBe(error);
    expect(settled).toMatchObject([{ outcome, ...(status === undefined ? {} : { status }) }]);
  });
});
