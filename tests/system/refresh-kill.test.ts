/**
 * The daemon is killed while tokens rotate. The long form is `npm run soak:refresh`.
 */

import { expect, it } from 'vitest';
import { soakRefresh } from '../support/refresh-soak.ts';

it('SIGKILL of the daemon in the middle of rotations never costs a refresh token', async () => {
  const report = await soakRefresh({ rotations: 10, killsInFlight: 4, random: Math.random });

  expect(report.killsInFlight).toBeGreaterThanOrEqual(4);
  expect(report.rotations).toBeGreaterThanOrEqual(10);
  expect(report).toMatchObject({ refusals: 0, alive: true });
}, 120_000);
