import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { Output } from '../../../src/cli/output.ts';
import { printFigures } from '../../../src/cli/verbs/usage.ts';
import { Metrics } from '../../../src/gateway/metrics.ts';
import { TOKEN_COLUMNS } from '../../../src/protocol/usage.ts';
import { COLUMNS, exportHead, exportLine, type RawEvent, type UsageEvent } from '../../../src/usage/event.ts';
import { JOURNAL_START } from '../../../src/usage/journal.ts';
import { LinePrinter, parseEvents } from '../../../src/usage/journal-line.ts';
import { openConnection } from '../../../src/usage/store/open.ts';
import { UsageStore } from '../../../src/usage/store/usage-store.ts';

const AT = Date.UTC(2026, 10, 20, 12, 30, 15);

/** An event with a value of its own in each column. */
const REPORTED: RawEvent = {
  ...Object.fromEntries(COLUMNS.map(({ field, kind }, place) => [field, valueOf(kind, place)])),
  operation: 'chat.create',
  status: 'success',
};

function valueOf(kind: (typeof COLUMNS)[number]['kind'], place: number): unknown {
  switch (kind) {
    case 'time':
      return AT;
    case 'name':
    case 'text':
      return `text-${place}`;
    case 'flag':
      return true;
    case 'cost-source':
      return 'prices';
    case 'status':
      return 'success';
    case 'id':
    case 'count':
    case 'tokens':
    case 'money':
    case 'duration':
      return 100 + place;
  }
}

let folder: string;
let store: UsageStore;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aip-columns-'));
  store = new UsageStore(await openConnection(join(folder, 'usage.db')));
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Prints the event to the journal, reads it back, and takes it into the database. */
async function record(): Promise<UsageEvent> {
  const printer = new LinePrinter({ run: 'run-1', redact: (text) => text });
  const [event] = parseEvents(printer.print(REPORTED, { now: AT, id: 7 })) ?? [];
  if (!event) throw new Error('the line is not an event');
  await store.write({ events: [event], journal: null, end: JOURNAL_START });
  return event;
}

/** Returns the names of columns whose value differs from that of the event. */
function lostIn(found: Readonly<Record<string, unknown>>): string[] {
  const expected = { ...REPORTED, id: 7, run: 'run-1' };
  return COLUMNS.map(({ field }) => field).filter((field) => found[field] !== expected[field]);
}

/** Returns the names of columns of tokens whose sum is not in a text. */
function lostSums(sumOf: (column: (typeof TOKEN_COLUMNS)[number]) => unknown): string[] {
  return TOKEN_COLUMNS.filter((column) => sumOf(column) !== REPORTED[column.field]).map(({ field }) => field);
}

it('every column comes back from the journal, from the database, by its generation, and in an export', async () => {
  expect(lostIn({ ...(await record()) })).toEqual([]);
  const [stored] = (await store.events({}, 'desc')).events;
  const found = await store.generation(REPORTED.generationId ?? '');
  for (const event of [stored, found]) {
    expect(event?.id).toBe(`${AT}-7`);
    expect(lostIn({ ...event, id: 7 })).toEqual([]);
  }
  const lines = [exportHead('csv'), ...(stored ? [exportLine(stored, 'csv')] : [])];
  const [heads, cells] = lines.map((line) => line.trimEnd().split(','));
  expect(heads).toEqual(COLUMNS.map(({ field }) => field));
  expect(cells?.map((cell) => cell.replace(/^.*-7$/, '7'))).toEqual(
    COLUMNS.map(({ field }) =>
      field === 'at' ? new Date(AT).toISOString() : String({ ...REPORTED, id: 7, run: 'run-1' }[field]),
    ),
  );
});

it('every column of tokens is summed in answers, in sessions, on the terminal and in the metrics', async () => {
  await record();
  const { total } = await store.answer({}, AT + 1000);
  expect(lostSums(({ figure }) => total.tokens[figure])).toEqual([]);
  // The events of a part of a minute are summed themselves.
  const minute = await store.answer({ since: AT - 1, until: AT + 1 }, AT + 1000);
  expect(lostSums(({ figure }) => minute.total.tokens[figure])).toEqual([]);
  const session = await store.session(REPORTED.session ?? '');
  expect(lostSums(({ figure }) => session?.figures.tokens[figure])).toEqual([]);

  let text = '';
  const stream = { write: (piece: string) => (text += piece) };
  printFigures(total, 'Total', new Output(stream, stream, {}));
  for (const { field } of TOKEN_COLUMNS) expect(text).toContain(` ${REPORTED[field]}`);

  const metrics = new Metrics(systemClock);
  metrics.observe(REPORTED);
  const printed = metrics.format(undefined, [REPORTED.organization ?? '']).text;
  const parts = TOKEN_COLUMNS.filter(({ part }) => part !== undefined);
  for (const { field, part } of parts) expect(printed).toMatch(new RegExp(`kind="${part}".*} ${REPORTED[field]}\n`));
});

it('a later report on a generation fills in every column of what the call took', async () => {
  const taken = COLUMNS.filter(({ kind }) => ['tokens', 'money', 'duration'].includes(kind)).map(({ field }) => field);
  const bare: RawEvent = { ...REPORTED, costSource: null, ...Object.fromEntries(taken.map((field) => [field, null])) };
  const printer = new LinePrinter({ run: 'run-1', redact: (text) => text });
  const lines = [
    printer.print(bare, { now: AT, id: 7 }),
    printer.print({ ...REPORTED, operation: 'usage.track' }, { now: AT, id: 8 }),
  ];
  const events = lines.flatMap((line) => parseEvents(line) ?? []);
  expect(await store.write({ events, journal: null, end: JOURNAL_START })).toEqual({ added: 1, known: 1 });
  const [stored] = (await store.events({}, 'desc')).events;
  expect(lostIn({ ...stored, id: 7 })).toEqual([]);
  const { total } = await store.answer({}, AT + 1000);
  expect(total.costMicros).toBe(REPORTED.costMicros);
  expect(lostSums(({ figure }) => total.tokens[figure])).toEqual([]);
});

it('the search for lost columns finds one that is lost', async () => {
  const event: Record<string, unknown> = { ...(await record()) };
  expect(lostIn({ ...event, model: null, retried: false })).toEqual(['model', 'retried']);
  expect(lostSums(({ figure }) => (figure === 'reasoning' ? 0 : REPORTED[fieldOf(figure)]))).toEqual([
    'reasoningTokens',
  ]);
});

function fieldOf(figure: string): (typeof TOKEN_COLUMNS)[number]['field'] {
  const column = TOKEN_COLUMNS.find((each) => each.figure === figure);
  if (!column) throw new Error(`no column of ${figure}`);
  return column.field;
}
