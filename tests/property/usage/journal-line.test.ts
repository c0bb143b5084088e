import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { maskKeyShapes } from '../../../src/base/redactor.ts';
import { COST_SOURCES, EVENT_COLUMNS, USAGE_STATUSES, type EventField } from '../../../src/protocol/usage.ts';
import { boundValue, COLUMNS, type RawEvent } from '../../../src/usage/event.ts';
import { LinePrinter, parseEvents } from '../../../src/usage/journal-line.ts';

const RUN = 'run-1';

/** Values that a program or a provider may report for any field. */
const value = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, false, -1, 0, 1.5, Number.NaN, 2 ** 60, {}, ''),
  fc.nat(),
  fc.double(),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('curl', ' a name ', 'two\nlines', `sk-${'x'.repeat(20)}`, 'x'.repeat(129), 'é'.repeat(5000), '"\\'),
);

const reported = Object.fromEntries(
  COLUMNS.filter(({ field }) => !['id', 'run', 'status', 'costSource'].includes(field)).map(
    ({ field }): [EventField, fc.Arbitrary<unknown>] => [field, value],
  ),
);

const event = fc
  .record({
    ...reported,
    status: fc.constantFrom(...USAGE_STATUSES),
    costSource: fc.constantFrom(undefined, null, ...COST_SOURCES),
  })
  .map((fields): RawEvent => ({ operation: 'chat.create', ...fields }));

/** Bounds each value by its column, and adds what the recorder knows. */
function expectedEvent(raw: RawEvent, { now, id }: { readonly now: number; readonly id: number }): object {
  const fields: Partial<Record<EventField, unknown>> = raw;
  const bounded = Object.fromEntries(
    COLUMNS.map((column) => {
      const given = fields[column.field];
      const unknown = column.missing ?? (column.kind === 'flag' ? false : null);
      return [column.field, given === undefined || given === null ? unknown : boundValue(column, given, maskKeyShapes)];
    }),
  );
  const costSource = bounded['costMicros'] === null ? null : (raw.costSource ?? 'response');
  return { ...bounded, id, run: RUN, at: bounded['at'] ?? now, costSource };
}

it('an event is read back from its line as it is bounded, whatever was printed before it', () => {
  const printer = new LinePrinter({ run: RUN, redact: maskKeyShapes });
  fc.assert(
    fc.property(event, fc.nat(EVENT_COLUMNS.id.max), (raw, id) => {
      const recorder = { now: 1000, id };
      const line = printer.print(raw, recorder);
      expect(line).not.toContain('\n');
      // JSON has no negative zero.
      expect(parseEvents(line)).toEqual([JSON.parse(JSON.stringify(expectedEvent(raw, recorder)))]);
    }),
    { numRuns: 2000 },
  );
});
