/**
 * `npm run soak:refresh`: 200 rotations with at least 50 kills of the daemon while an exchange is
 * in flight. Exits 1 when the account came to harm.
 */

import { soakRefresh } from '../support/refresh-soak.ts';

const started = performance.now();
const report = await soakRefresh({ rotations: 200, killsInFlight: 60, random: Math.random });
const seconds = Math.round((performance.now() - started) / 1000);
process.stdout.write(`${JSON.stringify({ ...report, seconds })}\n`);
process.exit(report.alive && report.refusals === 0 ? 0 : 1);
