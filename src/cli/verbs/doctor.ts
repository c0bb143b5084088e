/**
 * `aipassd doctor`: what is wrong with this machine, and how to mend it. Changes nothing.
 */

import { peersAreKnown } from '../../base/native.ts';
import { runChecks } from '../../doctor/checks.ts';
import type { Finding } from '../../doctor/finding.ts';
import { describeInstallation } from '../../service/installation.ts';
import { describeRun, readRunRecord, runRecordPath } from '../../service/last-exit.ts';
import { servicePath } from '../../service/plan.ts';
import type { Output } from '../output.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Runs every check. */
export const doctor: Verb = {
  name: 'doctor',
  usage: '[--offline] [--json]',
  summary: 'check paths, modes, service, clock, disk, providers and daemon, and say how to mend what is wrong',
  details: ['--offline  ask no provider', 'Ends with 2 when something must be mended.'],
  options: { ...JSON_OPTION, offline: { type: 'boolean' } },
  maxPositionals: 0,
  async run(args, { out, paths, connect }) {
    const installation = describeInstallation({ system: false, paths });
    const last = readRunRecord(runRecordPath(paths.state));
    const checks = runChecks({
      paths,
      uid: process.getuid?.() ?? 0,
      nodeVersion: process.versions.node,
      nativeWorks: peersAreKnown(),
      unit: { path: servicePath(installation), text: installation.text },
      lastRun: last && describeRun(last),
      askStatus: async () => (await connect()).status(),
      online: !args.flag('offline'),
    });
    const findings: Finding[] = [];
    for await (const finding of checks) {
      findings.push(finding);
      if (!args.flag('json')) print(finding, out);
    }
    const problems = findings.filter((finding) => finding.verdict === 'problem').length;
    if (args.flag('json')) out.json({ findings });
    else out.line('', problems === 0 ? 'nothing must be mended' : `to mend: ${problems}`);
    return problems === 0 ? 0 : 2;
  },
};

const MARKS = { ok: ['green', 'ok     '], warning: ['yellow', 'warning'], problem: ['red', 'problem'] } as const;

function print({ check, verdict, text, hint }: Finding, out: Output): void {
  const [colour, mark] = MARKS[verdict];
  out.line(`${out.style(colour, mark)}  ${check.padEnd(13)}  ${text}`);
  if (hint !== undefined) out.line(`                         → ${hint}`);
}
