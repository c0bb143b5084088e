import { describe, expect, it } from 'vitest';
import { LinePrinter, parseEvents, type Recurrence } from '../../../src/usage/journal-line.ts';
import { usageEvent } from '../../support/usage-events.ts';

const printer = new LinePrinter({ run: 'run-1' });

describe('a line of the journal', () => {
  const event = usageEvent({ operation: 'key.get' });
  const recorder = { now: 0, id: event.id };

  it('holds every moment of what happened again', () => {
    const again: Recurrence[] = [
      [event.at + 1, 7],
      [event.at + 1, 8],
    ];
    expect(parseEvents(printer.print(event, recorder))).toEqual([event]);
    expect(parseEvents(printer.print(event, recorder, again))).toEqual([
      event,
      { ...event, at: event.at + 1, id: 7 },
      { ...event, at: event.at + 1, id: 8 },
    ]);
  });

  it.each(['', '{', '[]', 'null', '{"at":1}'])('is damaged where it reads %j', (line) => {
    expect(parseEvents(line)).toBeNull();
  });

  it.each([[{ again: 5 }], [{ again: [5] }], [{ again: [[1]] }], [{ again: [[1, 'x']] }], [{ again: [[1, 0.5]] }]])(
    'is damaged where it holds %j',
    (damage) => {
      expect(parseEvents(JSON.stringify({ ...event, ...damage }))).toBeNull();
    },
  );
});
