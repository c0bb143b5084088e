import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openUsage, type CostSources } from '../../../src/usage/open.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { recordingLogger } from '../../support/recording-logger.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { testRuntime } from '../../support/test-runtime.ts';

const sources: CostSources = {
  generationProvider: 'openrouter',
  fetchGeneration: () => Promise.reject(new Error('nothing is asked here')),
  fetchModels: () => Promise.resolve([]),
};

it('the flag of unpriced calls stays for one that came while the last daemon had left none', async () => {
  await using home = makeTempHome();
  mkdirSync(home.paths.state, { recursive: true });
  const flag = join(home.paths.state, 'unpriced');
  writeFileSync(flag, '');
  await using stack = new AsyncDisposableStack();
  const runtime = testRuntime(home, { clock: new ManualClock() });
  const { usage, record } = openUsage(runtime, sources, () => {}, stack);
  record({ operation: 'completion.create', status: 'success', provider: 'other', generationId: 'gen-1' });
  // Answered after what the opening asked.
  await usage.ask('bytes');
  expect(existsSync(flag)).toBe(true);
});

it('a stop in the middle of the pruning is no failure of the job', async () => {
  await using home = makeTempHome();
  const clock = new ManualClock(new Date(2026, 2, 1, 4, 16, 50).getTime());
  const logger = recordingLogger();
  const stack = new AsyncDisposableStack();
  openUsage({ ...testRuntime(home, { clock }), logger }, sources, () => {}, stack);
  const started = clock.started;
  clock.advance(20_000);
  expect(clock.started).toBeGreaterThan(started);
  await stack.disposeAsync();
  expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
});
