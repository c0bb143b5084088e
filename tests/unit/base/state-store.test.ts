import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StateStore } from '../../../src/base/state-store.ts';
import { ManualClock } from '../../support/manual-clock.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aip-state-'));
  path = join(folder, 'state', 'state.json');
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Opens the store on the test's file. */
async function open(clock = new ManualClock('2026-06-15T12:00:00Z')): Promise<StateStore> {
  const store = new StateStore({ path, clock, logger: { warn: () => {} } });
  await store.open();
  return store;
}

test('what a section held at the stop is there at the next start', async () => {
  const store = await open();
  store.bind('pools', () => ({ uses: 7 }));
  store.changed();
  await store.flush();
  const again = await open();
  expect(again.section('pools')).toEqual({ uses: 7 });
  expect(again.section('toString')).toBeUndefined();
});

test('sections that nobody binds in this run survive it', async () => {
  mkdirSync(join(folder, 'state'));
  writeFileSync(path, JSON.stringify({ other: [1, 2], pools: 1 }));
  const store = await open();
  store.bind('pools', () => 2);
  store.changed();
  await store.flush();
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ other: [1, 2], pools: 2 });
});

test('many changes are one write, of what holds when it is made', async () => {
  const clock = new ManualClock('2026-06-15T12:00:00Z');
  const store = await open(clock);
  let writes = 0;
  store.bind('pools', () => {
    writes += 1;
    return writes;
  });
  for (let change = 0; change < 100; change += 1) store.changed();
  expect(writes).toBe(0);
  clock.advance(500);
  await store.flush();
  expect(writes).toBe(1);
});

test('the file is its owner’s alone, and no temporary file stays behind', async () => {
  const store = await open();
  store.bind('pools', () => ({}));
  store.changed();
  await store.flush();
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(folder, 'state'))).toEqual(['state.json']);
});

test('what a killed daemon left half written is removed at the next start', async () => {
  mkdirSync(join(folder, 'state'));
  writeFileSync(`${path}.3141592`, '{"half":');
  writeFileSync(join(folder, 'state', '.aipassd-00000000-0000-4000-8000-000000000000.tmp'), '{');
  writeFileSync(join(folder, 'state', 'usage.db'), '');
  await open();
  expect(readdirSync(join(folder, 'state'))).toEqual(['usage.db']);
});

describe('a broken file', () => {
  test.each(['', '{', '[1]', 'null', '7', '\u0000\u0000', '{"pools": 1}x'])(
    'of %j is put aside and reported',
    async (text) => {
      mkdirSync(join(folder, 'state'));
      writeFileSync(path, text);
      const store = await open();
      expect(store.section('pools')).toBeUndefined();
      expect(store.warnings).toMatchObject([{ subject: path }]);
      const aside = readdirSync(join(folder, 'state')).find((name) => name.startsWith('state.json.broken-'));
      expect(readFileSync(join(folder, 'state', aside ?? ''), 'utf8')).toBe(text);
      store.bind('pools', () => 1);
      store.changed();
      await store.flush();
      expect(existsSync(path)).toBe(true);
    },
  );
});

test('what cannot be read is put aside, not replaced by the next save', async () => {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'kept'), '');
  const store = await open();
  expect(store.warnings).toMatchObject([{ subject: path, problem: expect.stringContaining('(EISDIR)') }]);
  store.bind('pools', () => 1);
  store.changed();
  await store.flush();
  const aside = readdirSync(join(folder, 'state')).find((name) => name.startsWith('state.json.broken-'));
  expect(readdirSync(join(folder, 'state', aside ?? ''))).toEqual(['kept']);
});

test('a file that cannot be written is told at the stop, and written when it can be again', async () => {
  const store = await open();
  store.bind('pools', () => 1);
  mkdirSync(path);
  store.changed();
  await expect(store.flush()).rejects.toThrow('cannot write the state');
  rmSync(path, { recursive: true });
  chmodSync(join(folder, 'state'), 0o700);
  await store.flush();
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ pools: 1 });
});

test('where there is no room for the whole document, the old one stays and the failure is reported', async () => {
  const store = await open();
  store.bind('pools', () => ({ uses: 7 }));
  store.changed();
  await store.flush();
  const before = readFileSync(path, 'utf8');
  const program = `
    import { StateStore } from ${JSON.stringify(new URL('../../../src/base/state-store.ts', import.meta.url).href)};
    import { systemClock } from ${JSON.stringify(new URL('../../../src/base/clock.ts', import.meta.url).href)};
    process.on('SIGXFSZ', () => {});
    const warnings = [];
    const logger = { warn: (text) => warnings.push(text) };
    const store = new StateStore({ path: ${JSON.stringify(path)}, clock: systemClock, logger });
    await store.open();
    store.bind('pools', () => 'y'.repeat(1_000_000));
    store.changed();
    const outcome = await store.flush().then(() => 'written', () => 'failed');
    console.log(JSON.stringify({ outcome, warnings }));
  `;
  // As on a full disk: the first write is a short one, and the next one fails.
  const limited = 'ulimit -f 64; exec "$0" --input-type=module -e "$1"';
  const { stdout, stderr } = spawnSync('/bin/sh', ['-c', limited, process.execPath, program], { encoding: 'utf8' });
  expect(stdout, stderr).toContain('"failed"');
  expect(JSON.parse(stdout)).toEqual({ outcome: 'failed', warnings: [expect.stringContaining('EFBIG')] });
  expect(readFileSync(path, 'utf8')).toBe(before);
  expect(readdirSync(join(folder, 'state'))).toEqual(['state.json']);
});
