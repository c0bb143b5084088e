import { expect, test } from 'vitest';
import { isTimeZone, windowAt } from '../../../src/base/time-window.ts';

test.each([
  ['2026-06-15T12:34:56Z', 'minute', 'UTC', '2026-06-15T12:34:00.000Z', '2026-06-15T12:35:00.000Z'],
  ['2026-06-15T12:34:56Z', 'hour', 'UTC', '2026-06-15T12:00:00.000Z', '2026-06-15T13:00:00.000Z'],
  ['2026-06-15T12:34:56Z', 'hour', 'Asia/Kolkata', '2026-06-15T12:30:00.000Z', '2026-06-15T13:30:00.000Z'],
  ['2026-06-15T12:34:56Z', 'day', 'UTC', '2026-06-15T00:00:00.000Z', '2026-06-16T00:00:00.000Z'],
  ['2026-06-15T00:00:00Z', 'day', 'UTC', '2026-06-15T00:00:00.000Z', '2026-06-16T00:00:00.000Z'],
  ['2026-12-31T23:59:59Z', 'month', 'UTC', '2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
  ['2026-06-15T03:00:00Z', 'day', 'America/Los_Angeles', '2026-06-14T07:00:00.000Z', '2026-06-15T07:00:00.000Z'],
  ['2026-03-29T12:00:00Z', 'day', 'Europe/Berlin', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z'],
  ['2026-10-25T12:00:00Z', 'day', 'Europe/Berlin', '2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z'],
  ['2018-11-04T12:00:00Z', 'day', 'America/Sao_Paulo', '2018-11-04T03:00:00.000Z', '2018-11-05T02:00:00.000Z'],
  ['2026-11-21T05:00:00Z', 'month', 'America/Los_Angeles', '2026-11-01T07:00:00.000Z', '2026-12-01T08:00:00.000Z'],
] as const)('%s lies in a %s of %s that begins at %s', (instant, per, zone, start, end) => {
  const window = windowAt(Date.parse(instant), per, zone);
  expect([new Date(window.start).toISOString(), new Date(window.end).toISOString()]).toEqual([start, end]);
});

test('a zone that no machine knows is told from one that it does', () => {
  expect([isTimeZone('UTC'), isTimeZone('Asia/Kolkata'), isTimeZone('Mars/Base'), isTimeZone('')]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
