import Database from 'better-sqlite3';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal } from '../../../src/usage/journal.ts';
import { StoreRunner } from '../../../src/usage/store-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { portOf } from '../../support/port-of.ts';
import { usageEvent } from '../../support/usage-events.ts';

let folder: string;
let database: string;
let clock: ManualClock;
let journal: Journal;
let runner: StoreRunner;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aip-runner-'));
  // In a folder of its own, so that a file in its place is an outage.
  database = join(folder, 'data', 'usage.db');
  const journalFolder = join(folder, 'queue');
  clock = new ManualClock();
  journal = new Journal(journalFolder, clock, () => {});
  runner = new StoreRunner({ database, journalFolder, wasOpen: false, clock, report: () => {} });
});
afterEach(async () => {
  await runner.close(false);
  journal.close();
  rmSync(folder, { recursive: true, force: true });
});

function record(times: number): void {
  for (let i = 0; i < times; i++) journal.append(JSON.stringify(usageEvent()));
  journal.flush();
}

describe('the runner of the store', () => {
  it('tries again no later for the questions that were asked meanwhile, and answers with all that waited', async () => {
    writeFileSync(join(folder, 'data'), '');
    record(5);
    for (let i = 0; i < 10; i++) await expect(runner.call((store) => store.bytes())).rejects.toThrow('EEXIST');
    // The second one is the journal's own timer.
    expect(clock.waits.toSorted((a, b) => a - b)).toEqual([250, 1000]);
    clock.advance(250);
    await expect(runner.call((store) => store.bytes())).rejects.toThrow('EEXIST');
    expect(clock.waits.toSorted((a, b) => a - b)).toEqual([500, 750]);

    rmSync(join(folder, 'data'));
    const { total } = await runner.call((store) => store.answer({}, Date.UTC(2026, 10, 21)));
    expect(total.requests).toBe(5);
    expect(clock.waits).toEqual([750]);
  });

  it('takes in what it was woken for right after it had found nothing more', async () => {
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    let reports = 0;
    const woken = new StoreRunner({
      database,
      journalFolder: join(folder, 'queue'),
      wasOpen: false,
      clock,
      report: ({ position }) => {
        reports += 1;
        if (position.offset > 0) resolve();
        if (reports > 1) return;
        // Comes after the step that reports, and before anything that is put off to a later turn.
        setImmediate(() => {
          record(1);
          woken.wake();
        });
      },
    });
    woken.wake();
    await taken;
    await woken.close(false);
  });

  it('tries to connect once for each question while the server cannot be reached', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const cut = new StoreRunner({
      database: `postgres://user@127.0.0.1:${portOf(server)}/usage`,
      journalFolder: join(folder, 'queue'),
      wasOpen: false,
      clock,
      report: () => {},
    });
    await expect(cut.call((store) => store.bytes())).rejects.toBeInstanceOf(Error);
    expect(connections).toBe(1);
    await expect(cut.call((store) => store.bytes())).rejects.toBeInstanceOf(Error);
    expect(connections).toBe(2);
    await cut.close(false);
    server.close();
  });

  it('brings in what waits before it closes', async () => {
    record(1);
    await runner.call((store) => store.bytes());
    record(2);
    await runner.close(true);
    const file = new Database(database, { readonly: true });
    expect(file.prepare('select count(*) from events').pluck().get()).toBe(3);
    file.close();
  });
});
