import Database from 'better-sqlite3';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EVENT_COLUMNS } from '../../../src/protocol/usage.ts';
import { JOURNAL_START } from '../../../src/usage/journal.ts';
import { parseEvents } from '../../../src/usage/journal-line.ts';
import { openConnection } from '../../../src/usage/store/open.ts';
import { UsageStore } from '../../../src/usage/store/usage-store.ts';
import { usageEvent } from '../../support/usage-events.ts';

const AT = Date.UTC(2026, 10, 20, 12, 30, 15);
const NOW = AT + 60_000;

let folder: string;
let store: UsageStore;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aip-migrations-'));
  const path = join(folder, 'usage.db');
  // What 0.1.0 wrote: four events in all.
  const file = new Database(path);
  file.exec(readFileSync(new URL('../../support/usage-0.1.0.sql', import.meta.url), 'utf8'));
  file.close();
  store = new UsageStore(await openConnection(path));
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

it('a database of 0.1.0 answers as before: one attempt a request, all of the default organization', async () => {
  const { total } = await store.answer({}, NOW);
  expect(total).toMatchObject({ requests: 3, attempts: 3, succeeded: 2, failed: 1, releases: 1, costMicros: 1500 });
  expect(total.tokens).toMatchObject({ prompt: 200, cacheWrite: 0 });
  for (const query of [{ by: 'organization' }, { by: 'organization', since: AT - 1 }] as const) {
    const { groups, total: all } = await store.answer(query, NOW);
    expect(groups).toEqual([{ name: 'default', figures: all }]);
  }
  expect((await store.session('session-1'))?.figures).toMatchObject({ requests: 3, attempts: 3 });
  expect((await store.events({}, 'desc')).events).toMatchObject([
    { operation: 'key.get', organization: 'default', cacheWriteTokens: null, retried: false },
    { generationId: 'gen-1', status: 'failed' },
    { caller: 'flow', promptTokens: 100 },
    { caller: 'prax', generationId: 'gen-2' },
  ]);
  expect(await store.position('journal-1')).toEqual({ segment: 4, offset: 100 });
});

it('a database of 0.1.0 takes new events, and reports on those that it has', async () => {
  const events = [
    usageEvent({ at: NOW, organization: 'acme', cacheWriteTokens: 7 }),
    usageEvent({ at: NOW, operation: 'usage.track', generationId: 'gen-2', costMicros: 90, costSource: 'generation' }),
  ];
  expect(await store.write({ events, journal: null, end: JOURNAL_START })).toEqual({ added: 1, known: 1 });
  const { total, groups } = await store.answer({ by: 'organization' }, NOW + 1);
  expect(total).toMatchObject({ requests: 4, costMicros: 3090, tokens: { cacheWrite: 7 } });
  expect(groups.map(({ name, figures }) => [name, figures.requests])).toEqual([
    ['default', 3],
    ['acme', 1],
  ]);
});

it('the events of the database have the columns of the table of columns, and no others', () => {
  const file = new Database(join(folder, 'usage.db'), { readonly: true });
  const columns = file.prepare(`select name from pragma_table_info('events')`).pluck().all();
  file.close();
  expect(new Set(columns)).toEqual(new Set(Object.values(EVENT_COLUMNS).map(({ column }) => column)));
});

it('a line of the queue that 0.1.0 wrote is an event of today', () => {
  const line =
    '{"at":1,"id":2,"caller":"c","uid":null,"pid":null,"executable":null,"session":null,"run":"r","provider":"p",' +
    '"keyId":"k","account":null,"operation":"key.get","model":null,"status":"success","errorCode":null,"httpStatus":null,' +
    '"promptTokens":null,"completionTokens":null,"cachedTokens":null,"reasoningTokens":null,"costMicros":null,' +
    '"costSource":null,"latencyMs":null,"firstTokenMs":null,"generationId":null,"again":[[5,6]]}';
  expect(parseEvents(line)).toMatchObject([
    { at: 1, id: 2, organization: 'default', retried: false, cacheWriteTokens: null, billingAccount: null },
    { at: 5, id: 6, organization: 'default' },
  ]);
});
