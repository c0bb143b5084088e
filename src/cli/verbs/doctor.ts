/**
 * `aipassd doctor`: what is wrong with this machine, and how to fix it. Changes nothing.
 */

import { AipassError } from '../../base/errors.ts';
import { findSocket } from '../../base/find-socket.ts';
import { peersAreKnown } from '../../base/native.ts';
import { describeNetwork, NO_NETWORK } from '../../base/network.ts';
import { SYSTEM_UNIT_FILE } from '../../base/start-command.ts';
import { type Finding, ownerOf, runChecks } from '../../doctor/checks.ts';
import type { Status } from '../../protocol/status.ts';
import { describeInstallation, SYSTEM_PATHS } from '../../service/installation.ts';
import { formatCount } from '../format.ts';
import type { Output } from '../output.ts';
import { todoOf } from '../todo.ts';
import { defineVerb, flag, JSON_FLAG } from '../verb.ts';
import { askStatus } from './status.ts';

export const doctor = defineVerb({
  name: 'doctor',
  summary: 'check paths, modes, service, clock, disk, providers and daemon, and show how to fix problems',
  details: ['Exits with 2 when there is a problem.'],
  parameters: {
    system: flag('check the daemon of the whole machine (as root)'),
    offline: flag('ask no provider'),
    all: flag('also show what is in order'),
    json: JSON_FLAG,
  },
  async run({ system, offline, all, json }, { out, paths: own, connect }) {
    const ownUid = process.getuid?.() ?? 0;
    const paths = system ? SYSTEM_PATHS : own;
    const asked: { status?: Status } = {};
    const checks = runChecks({
      paths,
      env: process.env,
      uid: system ? await systemUid(ownUid) : ownUid,
      nativeWorks: peersAreKnown(),
      unit: system ? SYSTEM_UNIT : describeInstallation({ system: false, paths: own }),
      installCommand: system ? 'sudo aipassd install --system' : 'aipassd install',
      askStatus: async () => {
        // What the daemon warns of is printed with what else is to be done about it.
        asked.status = await askStatus({ paths, connect: () => connect(system ? paths.socket : findSocket(paths)) });
        return { ...asked.status, warnings: [] };
      },
      online: !offline,
    });
    const findings: Finding[] = [];
    const add = (finding: Finding): void => {
      findings.push(finding);
      // A proxy or an authority in use decides about all that follows.
      const isInUse = finding.check === 'network' && describeNetwork(asked.status?.network ?? NO_NETWORK).length > 0;
      if (!json && (all || isInUse || finding.verdict !== 'ok')) print(finding, out);
    };
    for await (const finding of checks) add(finding);
    const advised = new Set(findings.map(({ hint }) => hint));
    for (const { verdict, problem, hint } of asked.status === undefined ? [] : todoOf(asked.status)) {
      // The daemon warns of the modes of files that the checks have seen, with the same command.
      if (/^(?:sudo )?(?:chmod|chown) /.test(hint) && advised.has(hint)) continue;
      add({ check: 'daemon', verdict, text: problem, hint });
    }
    const count = (verdict: Finding['verdict']): number => findings.filter((one) => one.verdict === verdict).length;
    const [problems, warnings] = [count('problem'), count('warning')];
    if (json) out.json({ findings });
    else {
      if (problems + warnings > 0 && !all) out.line('');
      out.line(summarize(problems, warnings, count('ok')));
    }
    return problems === 0 ? 0 : 2;
  },
});

/** Returns the last line: what was found, or that nothing was. */
function summarize(problems: number, warnings: number, fine: number): string {
  const checks = `${formatCount(fine, 'check')} passed`;
  if (problems + warnings === 0) return `No problems found; ${checks}.`;
  return `${formatCount(problems, 'problem')}, ${formatCount(warnings, 'warning')}; ${checks}.`;
}

/** Only its existence is checked: it was written for the Node that installed it. */
const SYSTEM_UNIT = { path: SYSTEM_UNIT_FILE, text: null };

/** Returns the user of the daemon of the whole machine, whose folder only root may read. */
async function systemUid(ownUid: number): Promise<number> {
  const uid = await ownerOf(SYSTEM_PATHS.state);
  if (uid !== null) return uid;
  if (ownUid === 0) {
    throw new AipassError(
      'NOT_FOUND',
      `there is no daemon of the whole machine: ${SYSTEM_PATHS.state} does not exist`,
      {
        hint: 'sudo aipassd install --system',
      },
    );
  }
  throw new AipassError('FORBIDDEN', 'only root sees the files of the daemon of the whole machine', {
    hint: 'sudo aipassd doctor --system',
  });
}

const MARKS = { ok: ['green', 'ok     '], warning: ['yellow', 'warning'], problem: ['red', 'problem'] } as const;

function print({ check, verdict, text, hint }: Finding, out: Output): void {
  const [colour, mark] = MARKS[verdict];
  out.todo(`${out.style(colour, mark)}  ${check.padEnd(13)}  `, text, hint);
}
