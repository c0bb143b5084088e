import { expect, it } from 'vitest';
import { runKillPlan } from '../support/usage-kill.ts';

// The long form, 8 clients with 20,000 completions and ten kills, is `npm run soak:usage`.
it('records every completion whose reply was received exactly once, though the daemon is killed meanwhile', async () => {
  const report = await runKillPlan({ clients: 8, completions: 400, kills: 2 });
  expect(report).toMatchObject({ replies: 400, missing: 0, repeated: 0, miscounted: 0 });
  expect(report.recorded).toBeGreaterThanOrEqual(400);
}, 120_000);
