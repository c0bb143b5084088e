/**
 * `aipassd doctor`: what is wrong with this machine, and how to mend it. Changes nothing.
 */

import { AipassError } from '../../base/errors.ts';
import { peersAreKnown } from '../../base/native.ts';
import type { Paths } from '../../base/paths.ts';
import { runChecks } from '../../doctor/checks.ts';
import { ownerOf } from '../../doctor/file-checks.ts';
import type { Finding } from '../../doctor/finding.ts';
import { describeInstallation, SYSTEM_PATHS } from '../../service/installation.ts';
import { describeRun, readRunRecord, runRecordPath } from '../../service/last-exit.ts';
import { servicePath, SYSTEM_UNIT_FILE } from '../../service/plan.ts';
import type { Output } from '../output.ts';
import { JSON_OPTION, type Verb } from '../verb.ts';

/** Runs every check. */
export const doctor: Verb = {
  name: 'doctor',
  usage: '[--system] [--offline] [--json]',
  summary: 'check paths, modes, service, clock, disk, providers and daemon, and say how to mend what is wrong',
  details: [
    '--system   look at the daemon of the whole machine (as root)',
    '--offline  ask no provider',
    'Ends with 2 when something must be mended.',
  ],
  options: { ...JSON_OPTION, offline: { type: 'boolean' }, system: { type: 'boolean' } },
  maxPositionals: 0,
  async run(args, { out, paths: own, connect }) {
    const system = args.flag('system');
    const ownUid = process.getuid?.() ?? 0;
    const paths = system ? SYSTEM_PATHS : own;
    const last = readRunRecord(runRecordPath(paths.state));
    const checks = runChecks({
      paths,
      uid: system ? await systemUid(ownUid) : ownUid,
      nodeVersion: process.versions.node,
      nativeWorks: peersAreKnown(),
      unit: system ? SYSTEM_UNIT : ownUnit(own),
      installCommand: system ? 'sudo aipassd install --system' : 'aipassd install',
      lastRun: last && describeRun(last),
      askStatus: async () => (await connect(paths.socket)).status(),
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

/** Is judged by its being there: it names the Node and the package that installed it, which may be others than these. */
const SYSTEM_UNIT = { path: SYSTEM_UNIT_FILE, text: null };

function ownUnit(paths: Paths): { readonly path: string; readonly text: string } {
  const installation = describeInstallation({ system: false, paths });
  return { path: servicePath(installation), text: installation.text };
}

/** Returns the user of the daemon of the whole machine, whose folder only root may look into. */
async function systemUid(ownUid: number): Promise<number> {
  const uid = await ownerOf(SYSTEM_PATHS.state);
  if (uid !== null) return uid;
  if (ownUid === 0) {
    throw new AipassError('NOT_FOUND', `there is no daemon of the whole machine: ${SYSTEM_PATHS.state} is not there`, {
      hint: 'sudo aipassd install --system',
    });
  }
  throw new AipassError('FORBIDDEN', 'only root sees the files of the daemon of the whole machine', {
    hint: 'sudo aipassd doctor --system',
  });
}

const MARKS = { ok: ['green', 'ok     '], warning: ['yellow', 'warning'], problem: ['red', 'problem'] } as const;

function print({ check, verdict, text, hint }: Finding, out: Output): void {
  const [colour, mark] = MARKS[verdict];
  out.line(`${out.style(colour, mark)}  ${check.padEnd(13)}  ${text}`);
  if (hint !== undefined) out.line(`                         → ${hint}`);
}
