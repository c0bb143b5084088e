/**
 * `npm run soak:usage`: 8 clients, 20,000 completions against a loopback provider, the daemon
 * killed ten times meanwhile. Exits 1 when a reply is missing in the records, or is there twice.
 */

import { runKillPlan } from './usage-kill.ts';

const started = performance.now();
const report = await runKillPlan({ clients: 8, completions: 20_000, kills: 10 });
const seconds = (performance.now() - started) / 1000;
process.stdout.write(`${JSON.stringify({ ...report, seconds: Math.round(seconds) })}\n`);
if (report.missing + report.repeated + report.miscounted > 0) process.exitCode = 1;
