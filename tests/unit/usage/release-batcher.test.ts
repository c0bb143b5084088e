import { describe, expect, it } from 'vitest';
import type { RawEvent } from '../../../src/usage/event.ts';
import type { Recurrence } from '../../../src/usage/journal-line.ts';
import { ReleaseBatcher } from '../../../src/usage/release-batcher.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const release: RawEvent = { operation: 'key.get', status: 'success', pid: 1, session: 's', keyId: 'K', provider: 'p' };

function waiting() {
  const clock = new ManualClock(1000);
  const lines: { release: RawEvent; again: readonly Recurrence[] }[] = [];
  let id = 0;
  const releases = new ReleaseBatcher({ clock, randomId: () => ++id }, (one, again) =>
    lines.push({ release: one, again }),
  );
  return { clock, lines, releases };
}

describe('releases that wait', () => {
  it('share a line with those that differ in their moment alone', () => {
    const { clock, lines, releases } = waiting();
    releases.add(release);
    clock.advance(5);
    releases.add({ ...release });
    releases.add({ ...release, keyId: 'L' });
    releases.add({ ...release, keyId: 'L', status: 'failed', errorCode: 'NOT_FOUND' });
    releases.add(release);
    expect(lines).toEqual([]);
    clock.advance(15);
    expect(lines).toEqual([
      { release: { ...release, at: 1000 }, again: [[1005, 1]] },
      { release: { ...release, keyId: 'L', at: 1005 }, again: [] },
      { release: { ...release, keyId: 'L', status: 'failed', errorCode: 'NOT_FOUND', at: 1005 }, again: [] },
      { release: { ...release, at: 1005 }, again: [] },
    ]);
    expect(clock.waits).toEqual([]);
  });

  it('wait no longer when they are many', () => {
    const { lines, releases } = waiting();
    for (let i = 0; i < 600; i++) releases.add(release);
    expect(lines.map(({ again }) => again.length + 1)).toEqual([256, 256]);
    releases.flush();
    expect(lines.map(({ again }) => again.length + 1)).toEqual([256, 256, 88]);
  });
});
