import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { UsageQuery } from '../../../src/protocol/usage.ts';
import type { UsageEvent } from '../../../src/usage/event.ts';
import { readAipassUsage, type AipassUsage } from '../../../src/usage/import-aipass.ts';
import { JOURNAL_START } from '../../../src/usage/journal.ts';
import type { Scoped } from '../../../src/usage/store/answers.ts';
import { openConnection } from '../../../src/usage/store/open.ts';
import { sql, type StoreConnection } from '../../../src/usage/store/database.ts';
import { UsageStore } from '../../../src/usage/store/usage-store.ts';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../support/embedded-postgres.ts';
import { usageEvent } from '../../support/usage-events.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 20, 12, 30, 15, 500);

/** AIPass's file after so many requests of one caller, of which it still has some generations. */
function aipassFile(requests: number, cost: number, generations: readonly string[]): AipassUsage {
  return readAipassUsage(
    JSON.stringify({
      module_name: 'api_usage',
      data: {
        generation_tracking: Object.fromEntries(
          generations.map((id) => [
            id,
            {
              timestamp: '2026-11-01T10:00:00',
              caller: 'flow',
              model: 'gpt-4',
              usage_data: { total_cost: 0.01, tokens_prompt: 10, tokens_completion: 5 },
            },
          ]),
        ),
        usage_by_caller: {
          flow: {
            requests,
            total_cost: cost,
            total_tokens: 1000,
            models_used: { 'claude-3': 6, 'gpt-4': requests - 6 },
            last_request: '2026-11-01T10:00:00',
          },
          broken: { requests: 'many' },
        },
        current_session: {
          start_time: '2026-10-01T08:00:00',
          total_requests: requests,
          total_cost: cost,
          total_tokens: 1000,
        },
      },
    }),
  );
}

/** Runs one suite on both kinds of database. */
describe.each(['sqlite', 'postgres'] as const)('the usage store on %s', (kind) => {
  let server: EmbeddedPostgres | undefined;
  let folder: string;
  let connection: StoreConnection;
  let store: UsageStore;
  let address: string;

  beforeAll(async () => {
    if (kind === 'postgres') server = await startEmbeddedPostgres();
  });
  // Each test had a database of its own, and removing them takes a while on a busy disk.
  afterAll(async () => {
    await server?.stop();
  }, 120_000);
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'aip-usage-'));
    address = server ? await server.createDatabase() : join(folder, 'usage.db');
    connection = await openConnection(address);
    store = new UsageStore(connection);
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const write = (...events: UsageEvent[]) => store.write({ events, journal: null, end: JOURNAL_START });
  const ask = (query: UsageQuery & Scoped, now = NOW) => store.answer(query, now);
  const groupsBy = async (query: UsageQuery & Scoped) =>
    (await ask(query)).groups.map((group) => [group.name, group.figures.requests]);

  it('answers the sums of what was recorded, by everything it can be grouped by', async () => {
    await write(
      usageEvent(),
      usageEvent({
        model: 'acme/small',
        caller: 'prax',
        session: 'session-2',
        at: NOW - 501,
        keyId: 'OPENROUTER_API_KEY_2',
      }),
      usageEvent({
        status: 'failed',
        errorCode: 'PROVIDER_REJECTED',
        promptTokens: null,
        completionTokens: null,
        costMicros: null,
      }),
      usageEvent({ status: 'reach_limit', at: NOW - 3 * HOUR, provider: 'openai', keyId: null, latencyMs: null }),
    );
    const { total } = await ask({});
    expect(total).toMatchObject({
      requests: 4,
      succeeded: 2,
      failed: 1,
      limitReached: 1,
      errorRate: 0.5,
      costMicros: 4500,
      costKnownFor: 3,
      tokens: { prompt: 300, completion: 60, knownFor: 3 },
    });
    expect(total.latencyMs?.mean).toBe(800);
    expect(total.latencyMs?.p50).toBeGreaterThan(600);
    expect(total.latencyMs?.p99).toBeLessThan(1016);
    expect(await groupsBy({ by: 'caller' })).toEqual([
      ['flow', 3],
      ['prax', 1],
    ]);
    expect(await groupsBy({ by: 'model' })).toEqual([
      ['acme/large', 3],
      ['acme/small', 1],
    ]);
    expect(await groupsBy({ by: 'provider' })).toEqual([
      ['openrouter', 3],
      ['openai', 1],
    ]);
    expect(await groupsBy({ by: 'key' })).toEqual([
      ['OPENROUTER_API_KEY', 2],
      ['OPENROUTER_API_KEY_2', 1],
      [null, 1],
    ]);
    expect(await groupsBy({ by: 'status' })).toEqual([
      ['success', 2],
      ['failed', 1],
      ['reach_limit', 1],
    ]);
    expect(await groupsBy({ by: 'day' })).toEqual([['2026-11-20', 4]]);
    expect(await groupsBy({ by: 'hour' })).toEqual([
      ['2026-11-20T09:00Z', 1],
      ['2026-11-20T12:00Z', 3],
    ]);
    expect(await groupsBy({ by: 'session' })).toEqual([
      ['session-1', 3],
      ['session-2', 1],
    ]);
    expect(await groupsBy({ by: 'model', caller: 'prax' })).toEqual([['acme/small', 1]]);
    expect(await groupsBy({ by: 'caller', caller: 'flow', status: 'failed' })).toEqual([['flow', 1]]);
    expect(await groupsBy({ by: 'session', caller: 'prax' })).toEqual([['session-2', 1]]);
    expect((await ask({ caller: 'nobody' })).total.requests).toBe(0);
    expect((await ask({ by: 'caller', limit: 1 })).more).toBe(true);
    expect((await ask({ by: 'hour', limit: 2 })).more).toBe(true);
  });

  it('tells unknown tokens and costs from none', async () => {
    await write(
      usageEvent({ costMicros: 0, promptTokens: 0, completionTokens: 0 }),
      usageEvent({ costMicros: null, promptTokens: null, completionTokens: null }),
    );
    expect((await ask({})).total).toMatchObject({ costMicros: 0, costKnownFor: 1, tokens: { knownFor: 1 } });
    const page = await store.events({}, 'asc');
    expect(page.events.map((event) => [event.costMicros, event.promptTokens])).toEqual([
      [0, 0],
      [null, null],
    ]);
  });

  it('counts an event once, however often it is written', async () => {
    const event = usageEvent();
    expect(await write(event, event)).toEqual({ added: 1, known: 1 });
    expect(await write(event)).toEqual({ added: 0, known: 1 });
    expect((await ask({})).total.requests).toBe(1);
  });

  it('takes a batch of the journal once, by its position', async () => {
    const batch = { events: [usageEvent()], journal: 'j', end: { segment: 3, offset: 100 } };
    expect(await store.write(batch)).toEqual({ added: 1, known: 0 });
    await connection.db.deleteFrom('events').execute();
    expect(await store.write(batch)).toEqual({ added: 0, known: 1 });
    expect(await store.position('j')).toEqual({ segment: 3, offset: 100 });
    expect(await store.position('another')).toEqual(JOURNAL_START);
  });

  it('counts a generation once, and lets a later report fill in what the first event did not know', async () => {
    const first = usageEvent({ generationId: 'gen-1', costMicros: null, promptTokens: null, completionTokens: null });
    await write(first);
    const later = usageEvent({
      generationId: 'gen-1',
      caller: 'manual',
      operation: 'usage.track',
      costMicros: 700,
      costSource: 'generation',
      latencyMs: 5,
    });
    expect(await write(later, later)).toEqual({ added: 0, known: 2 });
    const { total, groups } = await ask({ by: 'caller' });
    expect(total).toMatchObject({
      requests: 1,
      costMicros: 700,
      costKnownFor: 1,
      tokens: { prompt: 100, knownFor: 1 },
    });
    expect(total.latencyMs?.mean).toBe(800);
    expect(groups.map((group) => group.name)).toEqual(['flow']);
    expect(await store.generation('gen-1')).toMatchObject({ costMicros: 700, costSource: 'generation' });
    expect((await store.session('session-1'))?.figures.costMicros).toBe(700);
    // The same id of another provider is another generation.
    expect(await write(usageEvent({ generationId: 'gen-1', provider: 'openai' }))).toEqual({ added: 1, known: 0 });
  });

  it('counts two calls whose provider gave them the same id as two', async () => {
    const [first, second, third] = [1, 2, 3].map(() => usageEvent({ generationId: 'chatcmpl-7' }));
    if (!first || !second || !third) throw new Error('three events were made');
    expect(await write(first, second)).toEqual({ added: 2, known: 0 });
    expect(await store.generation('chatcmpl-7')).toMatchObject({ id: `${second.at}-${second.id}` });
    expect(await write(third)).toEqual({ added: 1, known: 0 });
    expect(await write(first, second, third)).toEqual({ added: 0, known: 3 });
    expect((await ask({})).total.requests).toBe(3);
    expect(await store.generation('chatcmpl-7')).toMatchObject({ id: `${third.at}-${third.id}` });
  });

  it('fills in the last call of an id that its provider repeats, not the first', async () => {
    const generationId = 'chatcmpl-7';
    const priced = (costMicros: number) =>
      usageEvent({ generationId, operation: 'usage.track', costMicros, costSource: 'prices' });
    const first = usageEvent({ generationId, costMicros: null });
    const second = usageEvent({ generationId, costMicros: null });
    const third = usageEvent({ generationId, costMicros: null });
    await write(first);
    expect(await write(priced(5), second, priced(7), third)).toEqual({ added: 2, known: 2 });
    expect((await ask({})).total).toMatchObject({ requests: 3, costMicros: 12, costKnownFor: 2 });
    expect(await write(priced(11))).toEqual({ added: 0, known: 1 });
    expect((await ask({})).total).toMatchObject({ requests: 3, costMicros: 23, costKnownFor: 3 });
    // Written again, as after a crash, they neither count again nor take the id back.
    expect(await write(first, second)).toEqual({ added: 0, known: 2 });
    expect(await store.generation('chatcmpl-7')).toMatchObject({ id: `${third.at}-${third.id}` });
  });

  it('counts a generation once that was tracked before its call was known', async () => {
    await write(usageEvent({ generationId: 'gen-1', operation: 'usage.track' }));
    expect(await write(usageEvent({ generationId: 'gen-1' }))).toEqual({ added: 0, known: 1 });
  });

  it('records releases of credentials without counting them as requests', async () => {
    await write(usageEvent({ operation: 'key.get', model: null, latencyMs: 1 }));
    expect((await ask({})).total).toMatchObject({
      requests: 0,
      releases: 1,
      errorRate: null,
      costMicros: 0,
      latencyMs: null,
    });
  });

  it('keeps the sums of a run and of a session', async () => {
    await write(usageEvent(), usageEvent({ at: NOW - DAY, session: null }));
    expect(await store.session('run-1')).toMatchObject({ firstAt: NOW - DAY, figures: { requests: 2 } });
    expect(await store.session('session-1')).toMatchObject({ figures: { requests: 1 } });
    expect(await store.session('no such session')).toBeNull();
  });

  it('sums exactly the range that was asked for, to the millisecond', async () => {
    const times = [0, 1, 500, 59_999, MINUTE, HOUR, 25 * HOUR, 40 * DAY].map((before) => NOW - before);
    await write(...times.map((at) => usageEvent({ at })));
    for (const since of [...times, NOW - 2, NOW - 41 * DAY]) {
      for (const until of [undefined, NOW, NOW - 500, NOW - HOUR + 1, NOW - 25 * HOUR]) {
        if (until !== undefined && until < since) continue;
        const expected = times.filter((at) => at >= since && (until === undefined || at < until)).length;
        expect((await ask({ since, until })).total.requests).toBe(expected);
      }
    }
  });

  it('has no group for what happened only beside the range, wherever in a day or a block it begins', async () => {
    const block = 32 * DAY;
    const start = Math.floor((NOW - 40 * DAY) / block) * block;
    await write(
      usageEvent({ at: start, model: 'before' }),
      usageEvent({ at: start + 20 * DAY + 20 * HOUR + 50 * MINUTE, model: 'inside' }),
      usageEvent({ at: start + block + 5 * HOUR, model: 'after' }),
    );
    for (const since of [start + 1, start + 3 * HOUR, start + 5 * MINUTE, start + 2 * DAY + HOUR + MINUTE + 1]) {
      expect(await groupsBy({ since, until: start + block, by: 'model' })).toEqual([['inside', 1]]);
      // Equally many are in the order of their names.
      expect(await groupsBy({ since, by: 'model' })).toEqual([
        ['after', 1],
        ['inside', 1],
      ]);
      // By the hour, a range begins with a whole one.
      if (since < start + HOUR) continue;
      const query = { since, until: start + 20 * DAY + 21 * HOUR, by: 'hour', limit: 1 } as const;
      expect(await ask(query)).toMatchObject({ groups: [{ figures: { requests: 1 } }], more: false });
    }
  });

  it('lists events by time, status and key in pages that miss and repeat nothing', async () => {
    const events = Array.from({ length: 25 }, (_, i) =>
      usageEvent({
        at: NOW - Math.floor(i / 2),
        keyId: i % 3 === 0 ? 'A' : 'B',
        status: i % 5 === 0 ? 'failed' : 'success',
      }),
    );
    await write(...events);
    const collect = async (query: object): Promise<string[]> => {
      const ids: string[] = [];
      for (let after: string | undefined; ;) {
        const page = await store.events({ ...query, limit: 4, after }, 'desc');
        ids.push(...page.events.map((event) => event.id));
        if (page.next === null) return ids;
        after = page.next;
      }
    };
    const expected = (keep: (event: UsageEvent) => boolean): string[] =>
      events
        .filter(keep)
        .sort((a, b) => b.at - a.at || b.id - a.id)
        .map((event) => `${event.at}-${event.id}`);
    expect(await collect({})).toEqual(expected(() => true));
    expect(await collect({ keyId: 'A' })).toEqual(expected((event) => event.keyId === 'A'));
    expect(await collect({ status: 'failed' })).toEqual(expected((event) => event.status === 'failed'));
    expect(await collect({ keyId: 'B', status: 'failed', since: NOW - 8 })).toEqual(
      expected((event) => event.keyId === 'B' && event.status === 'failed' && event.at >= NOW - 8),
    );
    expect(await collect({ keyId: 'C' })).toEqual([]);
    await expect(store.events({ after: "1'; drop table events" }, 'desc')).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    });
  });

  it('counts the calls of the last seconds by status and by key, keys without any as 0', async () => {
    await write(
      usageEvent({ at: NOW - 4000, keyId: 'A' }),
      usageEvent({ at: NOW - 5001, keyId: 'A' }),
      usageEvent({ at: NOW - 1, keyId: 'B', status: 'reach_limit' }),
      usageEvent({ at: NOW - 1, keyId: 'B', operation: 'key.get' }),
    );
    expect(await store.recent({ seconds: 5 }, ['A', 'B', 'C'], NOW)).toEqual({
      total: 2,
      byStatus: { success: 1, failed: 0, reach_limit: 1 },
      byKey: [
        { keyId: 'A', requests: 1 },
        { keyId: 'B', requests: 1 },
        { keyId: 'C', requests: 0 },
      ],
    });
    expect((await store.recent({ seconds: 5, keyId: 'B', status: 'success' }, [], NOW)).total).toBe(0);
  });

  it('counts the calls of the last seconds of more keys than an answer lists', async () => {
    await write(...Array.from({ length: 900 }, (_, i) => usageEvent({ keyId: `KEY_${i}`, at: NOW - 1 })));
    const recent = await store.recent({ seconds: 5 }, [], NOW);
    expect(recent.total).toBe(900);
    expect(recent.byKey).toHaveLength(900);
  });

  it('prunes events and keeps their totals, then totals past their own retention', async () => {
    const old = NOW - 40 * DAY;
    await write(
      ...Array.from({ length: 1200 }, (_, i) => usageEvent({ at: old + i })),
      usageEvent({ at: NOW - HOUR }),
      usageEvent({ at: NOW - 500 * DAY }),
    );
    expect(await store.prunable(NOW - 30 * DAY)).toBe(1201);
    const deleted = { events: 0, totals: 0, other: 0 };
    const cutoffs = { events: NOW - 30 * DAY, totals: NOW - 400 * DAY, now: NOW };
    for await (const step of store.pruneSteps(cutoffs)) deleted[step.kind] += step.deleted;
    expect(deleted.events).toBe(1201);
    expect(deleted.totals).toBeGreaterThan(0);
    expect((await store.events({}, 'asc')).events).toHaveLength(1);
    expect((await ask({})).total.requests).toBe(1201);
    expect((await ask({ since: old, until: old + 10 })).total.requests).toBe(1200);
    expect((await ask({ by: 'day' })).groups.map((group) => group.name)).toEqual(['2026-10-11', '2026-11-20']);
    expect((await ask({ since: NOW - 2 * HOUR })).total.requests).toBe(1);
  });

  it('is consistent after a prune that was interrupted', async () => {
    await write(...Array.from({ length: 1100 }, (_, i) => usageEvent({ at: NOW - 40 * DAY + i })), usageEvent());
    const steps = store.pruneSteps({ events: NOW - 30 * DAY, totals: NOW - 400 * DAY, now: NOW });
    await steps.next();
    await store.close();
    connection = await openConnection(address);
    store = new UsageStore(connection);
    expect((await ask({})).total.requests).toBe(1101);
    expect((await store.events({ limit: 500 }, 'asc')).events).toHaveLength(500);
    for await (const _ of store.pruneSteps({ events: NOW - 30 * DAY, totals: NOW - 400 * DAY, now: NOW }));
    expect((await store.events({ limit: 500 }, 'asc')).events).toHaveLength(1);
    expect((await ask({})).total.requests).toBe(1101);
  });

  it('prunes everything and counts on', async () => {
    await write(usageEvent(), usageEvent({ at: NOW - 1 }));
    for await (const _ of store.pruneSteps({ events: NOW + 1, totals: NOW - 400 * DAY, now: NOW }));
    expect((await store.events({}, 'asc')).events).toEqual([]);
    await write(usageEvent({ at: NOW + 5 }));
    expect((await ask({ since: NOW - HOUR })).total.requests).toBe(3);
    expect((await ask({})).total.requests).toBe(3);
  });

  it.each([
    ['months', 100 * DAY],
    ['decades', 70 * 365 * DAY],
  ])('counts on after a prune by a clock that was %s ahead', async (_name, ahead) => {
    const prune = async (now: number): Promise<void> => {
      for await (const _ of store.pruneSteps({ events: now - 30 * DAY, totals: now - 400 * DAY, now }));
    };
    await write(usageEvent({ at: NOW - DAY }));
    await prune(NOW + ahead);
    await write(usageEvent({ at: NOW }), usageEvent({ at: NOW - DAY }));
    expect((await ask({ since: NOW - HOUR })).total.requests).toBe(1);
    await prune(NOW + HOUR);
    const later = NOW + 3 * DAY;
    await write(usageEvent({ at: later - HOUR }), usageEvent({ at: later }));
    expect((await ask({ since: later - MINUTE }, later)).total.requests).toBe(1);
    expect((await ask({ since: NOW - HOUR }, later)).total.requests).toBe(3);
  });

  it('keeps texts that look like SQL, and events out of the order of time', async () => {
    const caller = `x'); drop table events; --`;
    await write(
      usageEvent({ caller }),
      usageEvent({ at: NOW - 400 * DAY }),
      usageEvent({ at: 0 }),
      usageEvent({ at: NOW + 9 * DAY }),
    );
    expect((await ask({ by: 'caller', caller })).groups[0]).toMatchObject({ name: caller, figures: { requests: 1 } });
    expect((await ask({})).total.requests).toBe(4);
  });

  it('counts callers beyond a thousand a day together', async () => {
    await write(...Array.from({ length: 1005 }, (_, i) => usageEvent({ caller: `made-up-${i}` })));
    const { groups, total } = await ask({ by: 'caller', limit: 1 });
    expect(total.requests).toBe(1005);
    expect(groups).toMatchObject([{ name: '(others)', figures: { requests: 5 } }]);
  });

  it('keeps to a thousand models a day however often it is opened, and fills a call in where it was counted', async () => {
    await write(...Array.from({ length: 1000 }, (_, i) => usageEvent({ model: `model-${i}`, costMicros: 0 })));
    await store.close();
    connection = await openConnection(address);
    store = new UsageStore(connection);
    const late = { model: 'late', generationId: 'gen-late' };
    await write(usageEvent({ ...late, costMicros: null }), usageEvent({ model: 'model-7', costMicros: 0 }));
    await write(usageEvent({ ...late, operation: 'usage.track', costMicros: 777 }));
    const { groups, total } = await ask({ by: 'model', limit: 2000 });
    expect(total.costMicros).toBe(777);
    expect(groups).toHaveLength(1001);
    expect(groups[0]).toMatchObject({ name: 'model-7', figures: { requests: 2 } });
    expect(groups.find((group) => group.name === '(others)')).toMatchObject({
      figures: { requests: 1, costMicros: 777 },
    });
  });

  it('groups by organization, and counts what names none as the default one', async () => {
    await write(
      usageEvent({ organization: 'acme', at: NOW - 3 * HOUR }),
      usageEvent({ organization: 'acme', caller: 'prax' }),
      usageEvent({ organization: 'zeta' }),
      usageEvent(),
      usageEvent({ at: NOW - 1 }),
      usageEvent({ organization: 'default', at: NOW - 40 * DAY }),
    );
    expect(await groupsBy({ by: 'organization' })).toEqual([
      ['default', 3],
      ['acme', 2],
      ['zeta', 1],
    ]);
    expect(await groupsBy({ by: 'organization', since: NOW - 1 })).toEqual([['default', 1]]);
    expect(await groupsBy({ by: 'organization', caller: 'prax' })).toEqual([['acme', 1]]);
    expect((await ask({ by: 'organization', since: NOW - 4 * HOUR })).total.requests).toBe(5);
    const { events } = await store.events({ limit: 1 }, 'desc');
    expect(events).toMatchObject([{ organization: 'default' }]);
  });

  it('answers for the organizations that are asked about, and shows nothing of others', async () => {
    const generation = { generationId: 'gen-acme', provider: 'openrouter' };
    await write(
      usageEvent({ organization: 'acme', session: 'shared', keyId: 'A', caller: 'ann', ...generation }),
      usageEvent({ organization: 'acme', session: 'shared', keyId: 'A', caller: 'both', at: NOW - 3 * HOUR }),
      usageEvent({ organization: 'zeta', session: 'shared', keyId: 'A', caller: 'zoe' }),
      usageEvent({ session: 'shared', keyId: 'A', caller: 'both' }),
    );
    const acme = { organizations: ['acme'] };
    expect(await groupsBy({ ...acme, by: 'caller' })).toEqual([
      ['ann', 1],
      ['both', 1],
    ]);
    expect(await groupsBy({ ...acme, by: 'organization' })).toEqual([['acme', 2]]);
    expect(await groupsBy({ ...acme, by: 'session' })).toEqual([['shared', 2]]);
    expect(await groupsBy({ ...acme, by: 'key', caller: 'both' })).toEqual([['A', 1]]);
    expect(await groupsBy({ ...acme, by: 'caller', since: NOW - HOUR })).toEqual([['ann', 1]]);
    expect(await groupsBy({ organizations: ['acme', 'zeta'], by: 'session' })).toEqual([['shared', 3]]);
    expect(await groupsBy({ organizations: ['none'], by: 'caller' })).toEqual([]);
    expect((await ask({ organizations: ['default'] })).total.requests).toBe(1);
    expect((await ask({})).total.requests).toBe(4);
    expect((await store.session('shared', ['zeta']))?.figures.requests).toBe(1);
    expect(await store.session('shared', ['none'])).toBeNull();
    const { events } = await store.events({ ...acme, keyId: 'A' }, 'desc');
    expect(events.map(({ caller }) => caller)).toEqual(['ann', 'both']);
    expect((await store.events({ ...acme, limit: 1 }, 'asc')).events).toMatchObject([{ caller: 'both' }]);
    expect(await store.generation('gen-acme', ['default'])).toBeNull();
    expect(await store.generation('gen-acme', ['acme'])).toMatchObject({ caller: 'ann' });
    expect(await store.recent({ ...acme, seconds: 3600 }, ['A'], NOW)).toMatchObject({
      total: 1,
      byKey: [{ requests: 1 }],
    });
  });

  it('counts a call that was tried three times as one request with three attempts, by how the last one ended', async () => {
    await write(
      usageEvent({
        keyId: 'A',
        status: 'failed',
        retried: true,
        costMicros: null,
        promptTokens: null,
        completionTokens: null,
      }),
      usageEvent({ keyId: 'B', status: 'reach_limit', retried: true, costMicros: null }),
      usageEvent({ keyId: 'C' }),
    );
    expect((await ask({})).total).toMatchObject({
      requests: 1,
      attempts: 3,
      succeeded: 1,
      failed: 0,
      limitReached: 0,
      errorRate: 0,
      costMicros: 1500,
    });
    const { groups } = await ask({ by: 'key' });
    expect(groups.map(({ name, figures }) => [name, figures.requests, figures.attempts])).toEqual([
      ['C', 1, 1],
      ['A', 0, 1],
      ['B', 0, 1],
    ]);
    const recent = await store.recent({ seconds: 5 }, ['A', 'B', 'C'], NOW);
    expect(recent).toMatchObject({ total: 3, byStatus: { success: 1, failed: 1, reach_limit: 1 } });
  });

  it('counts the attempts of the last seconds of one provider, those of keys that are gone among them', async () => {
    await write(
      usageEvent({ at: NOW - 1, keyId: 'A' }),
      usageEvent({ at: NOW - 1, keyId: 'GONE', status: 'failed' }),
      usageEvent({ at: NOW - 1, keyId: 'OTHER', provider: 'openai' }),
    );
    expect(await store.recent({ seconds: 5, provider: 'openrouter' }, ['A', 'B'], NOW)).toEqual({
      total: 2,
      byStatus: { success: 1, failed: 1, reach_limit: 0 },
      byKey: [
        { keyId: 'A', requests: 1 },
        { keyId: null, requests: 1 },
        { keyId: 'B', requests: 0 },
      ],
    });
    expect(await store.recent({ seconds: 5, provider: 'nobody' }, [], NOW)).toMatchObject({ total: 0, byKey: [] });
  });

  it('counts attempts that found no key for their own provider only', async () => {
    await write(
      usageEvent({ at: NOW - 1, keyId: null }),
      usageEvent({ at: NOW - 1, keyId: null, status: 'failed', provider: 'openai' }),
    );
    expect(await store.recent({ seconds: 5, provider: 'openrouter' }, ['A'], NOW)).toMatchObject({
      total: 1,
      byStatus: { success: 1, failed: 0, reach_limit: 0 },
    });
  });

  it('refuses a database of a newer version and leaves it as it is', async () => {
    await sql`insert into kysely_migration (name, timestamp) values ('0099_later', 'x')`.execute(connection.db);
    await expect(openConnection(address)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' });
    await expect(openConnection(address)).rejects.toHaveProperty('hint', expect.stringContaining('not touched'));
  });

  it('makes all of its tables or none, so that a start that broke off half way is followed by one that works', async () => {
    // The last table is in the way of a new start, which fails after it made the others.
    for (const table of ['names', 'events', 'totals', 'sessions', 'positions', 'kysely_migration']) {
      await sql`drop table ${sql.table(table)}`.execute(connection.db);
    }
    await expect(openConnection(address)).rejects.toThrow('notes');
    await sql`drop table notes`.execute(connection.db);
    const opened = await openConnection(address);
    await opened.close();
  });

  it('imports a file once', async () => {
    const report = {
      repeated: false,
      generations: 2,
      added: 0,
      known: 0,
      unreadable: 0,
      carried: { requests: 0, costMicros: 0, tokens: 0, callers: 0 },
      unaccounted: { requests: 0, costMicros: 0, tokens: 0 },
    };
    await write(usageEvent({ generationId: 'gen-a' }));
    const params = {
      fingerprint: 'abc',
      report,
      callers: [],
      session: null,
      events: ['gen-a', 'gen-b'].map((generationId) => usageEvent({ operation: 'usage.import', generationId })),
    };
    expect(await store.import(params)).toMatchObject({ repeated: false, added: 1, known: 1 });
    expect(await store.import(params)).toMatchObject({ repeated: true, added: 0 });
    expect((await ask({})).total.requests).toBe(2);
  });

  it('carries what AIPass counted per caller and session beyond its generations, once, and only what is new in a later file', async () => {
    const first = await store.import(aipassFile(10, 0.5, ['g1', 'g2', 'g3', 'g4']));
    expect(first).toMatchObject({ added: 4, carried: { callers: 1, requests: 6, costMicros: 460_000, tokens: 940 } });
    const flow = { requests: 10, attempts: 10, costMicros: 500_000 };
    expect((await ask({ caller: 'flow' })).total).toMatchObject(flow);
    expect(await groupsBy({ by: 'model', caller: 'flow' })).toEqual([
      ['claude-3', 6],
      ['gpt-4', 4],
    ]);
    // Two more calls, and the oldest generations have left the file.
    const later = await store.import(aipassFile(12, 0.52, ['g3', 'g4', 'g5', 'g6']));
    expect(later).toMatchObject({ added: 2, known: 2, carried: { callers: 0, requests: 0 } });
    expect((await ask({ caller: 'flow' })).total).toMatchObject({ requests: 12, costMicros: 520_000 });
    const { groups } = await ask({ by: 'session' });
    expect(groups.map(({ name, figures }) => [name?.slice(0, 15), figures.requests, figures.costMicros])).toEqual([
      ['aipass-2026-10-', 12, 520_000],
    ]);
  });

  it('counts nothing twice where a file has grown after its first generations were pruned', async () => {
    await store.import(aipassFile(10, 0.5, ['g1', 'g2', 'g3', 'g4']));
    for await (const step of store.pruneSteps({ events: NOW - DAY, totals: 0, now: NOW })) void step;
    // Two more calls: one generation is new in the file, and older than what was pruned.
    const later = await store.import(aipassFile(12, 0.52, ['g1', 'g2', 'g3', 'g4', 'g5']));
    expect(later).toMatchObject({ added: 0, known: 5, carried: { callers: 1, requests: 2, costMicros: 20_000 } });
    expect((await ask({ caller: 'flow' })).total).toMatchObject({ requests: 12, costMicros: 520_000 });
  });

  it('lists generations whose cost is unknown', async () => {
    await write(
      usageEvent({ generationId: 'gen-1', costMicros: null }),
      usageEvent({ generationId: 'gen-2' }),
      usageEvent({ generationId: 'gen-3', costMicros: null, status: 'failed' }),
    );
    const unpriced = await store.unpriced(NOW - DAY, 'openrouter');
    expect(unpriced.map((generation) => generation.generationId).toSorted()).toEqual(['gen-1', 'gen-3']);
  });
});
