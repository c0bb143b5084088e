import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Journal, segmentPath } from '../../../src/usage/journal.ts';
import { ManualClock } from '../../support/manual-clock.ts';

let home: string;
let folder: string;
let clock: ManualClock;
let journal: Journal;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'aip-journal-'));
  folder = join(home, 'queue');
  clock = new ManualClock();
  journal = new Journal(folder, clock, () => {});
});
afterEach(() => rmSync(home, { recursive: true }));

it('what waits in memory is bounded by its bytes, and counted by its events', () => {
  writeFileSync(folder, 'a file where the folder should be');
  const line = 'x'.repeat(1024 * 1024 - 1);
  for (let i = 0; i < 60; i += 1) journal.append(line, 256);
  expect(journal.state()).toEqual({ waitingInMemory: 50 * 256, lost: 10 * 256, failure: 'EEXIST', removed: false });
  unlinkSync(folder);
  clock.advance(1000);
  expect(journal.state()).toEqual({ waitingInMemory: 0, lost: 10 * 256, failure: null, removed: false });
  journal.close();
});

it('what no file took until the close is told of as lost, once', () => {
  writeFileSync(folder, 'a file where the folder should be');
  journal.append('{}');
  journal.append('{}', 3);
  expect(() => journal.close()).toThrow(
    expect.objectContaining({ code: 'INTERNAL', message: expect.stringMatching(/4 .*EEXIST/) }),
  );
  journal.close();
  expect(journal.state()).toMatchObject({ waitingInMemory: 0, lost: 4 });
});

function append(text: string): void {
  journal.append(text);
  journal.flush();
}

it('a segment that was removed is written anew within a second, and nothing of it is lost', () => {
  append('first');
  unlinkSync(segmentPath(folder, 1));
  append('second');
  clock.advance(1000);
  append('third');
  expect(readdirSync(folder)).toEqual(['0000000002.jsonl']);
  expect(readFileSync(segmentPath(folder, 2), 'utf8')).toBe('first\nsecond\nthird\n');
  expect(journal.state().removed).toBe(true);
  journal.close();
});

it('a folder that was moved away is made anew within a second, though nothing is recorded', () => {
  append('first');
  renameSync(folder, join(home, 'elsewhere'));
  clock.advance(1000);
  expect(readFileSync(segmentPath(folder, 2), 'utf8')).toBe('first\n');
  journal.close();
});

it('a segment that cannot be looked at for a while is still written to, and nothing is reported as removed', () => {
  append('first');
  renameSync(folder, join(home, 'elsewhere'));
  // A link in a circle: neither there nor missing.
  symlinkSync(folder, folder);
  clock.advance(1000);
  append('second');
  expect(journal.state()).toMatchObject({ removed: false, failure: null });
  unlinkSync(folder);
  renameSync(join(home, 'elsewhere'), folder);
  expect(readFileSync(segmentPath(folder, 1), 'utf8')).toBe('first\nsecond\n');
  journal.close();
});

it('the events of a removed segment are counted, not its lines', () => {
  journal.append('{}', 256);
  journal.append('{}');
  journal.flush();
  rmSync(folder, { recursive: true });
  writeFileSync(folder, 'a file where the folder should be');
  expect(journal.state().waitingInMemory).toBe(257);
  unlinkSync(folder);
  journal.close();
});
