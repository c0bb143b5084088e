/**
 * Who runs the daemon: `aipassd run` in the foreground, `install` has the service manager do it,
 * and `uninstall` undoes that.
 */

import { foregroundClock } from '../../base/clock.ts';
import { AipassError } from '../../base/errors.ts';
import type { Paths } from '../../base/paths.ts';
import { delay } from '../../base/timers.ts';
import { type Aipass, connect } from '../../client/index.ts';
import type { Status } from '../../protocol/status.ts';
import { describeInstallation, fitToMachine, SYSTEM_PATHS } from '../../service/installation.ts';
import { describeStep, executePlan, planInstall, planUninstall, type Step } from '../../service/plan.ts';
import type { Output } from '../output.ts';
import { defineVerb, flag } from '../verb.ts';

export const install = defineVerb({
  name: 'install',
  summary: 'install the daemon as a service of systemd or launchd, and start it',
  parameters: {
    system: flag('one daemon for the whole machine, under a user of its own (systemd, as root)'),
    print: flag('show what would be written and done, and change nothing'),
  },
  async run({ system, print }, { out, paths }) {
    const installation = await fitToMachine(describeInstallation({ system, paths }));
    const plan = planInstall(installation);
    if (print) {
      out.line(`# ${installation.path}`, installation.text.trimEnd(), '', '# what would be done');
      printPlan(plan, out);
      return;
    }
    await carryOut(plan, out);
    const used: Paths = system ? SYSTEM_PATHS : paths;
    const status = await waitUntilReady(used.socket);
    out.line(`aipassd ${status.version} is ready, pid ${status.pid}, on ${used.socket}`);
  },
});

export const uninstall = defineVerb({
  name: 'uninstall',
  summary: 'stop the service and remove what install wrote; secrets and state stay',
  parameters: {
    system: flag('the one of the whole machine (as root)'),
    print: flag('show what would be done, and change nothing'),
  },
  async run({ system, print }, { out, paths }) {
    const plan = planUninstall(describeInstallation({ system, paths }));
    if (print) printPlan(plan, out);
    else await carryOut(plan, out);
  },
});

function printPlan(plan: readonly Step[], out: Output): void {
  for (const step of plan) out.line(describeStep(step));
}

async function carryOut(plan: readonly Step[], out: Output): Promise<void> {
  for await (const done of executePlan(plan)) out.line(done.text);
}

/** Maximum time that a start may take, in milliseconds: as long as the units' TimeoutStartSec. */
const READY_LIMIT_MS = 30_000;
const TRY_MS = 100;

/**
 * Resolves with the status of the daemon on a socket once it answers.
 *
 * @throws AipassError DAEMON_UNREACHABLE when it does not within 30 s.
 */
async function waitUntilReady(socket: string): Promise<Status> {
  const deadline = performance.now() + READY_LIMIT_MS;
  for (;;) {
    let aipass: Aipass | undefined;
    try {
      aipass = await connect({ caller: 'cli', socket });
      return await aipass.status();
    } catch (error) {
      const isLate = performance.now() > deadline;
      if (!(error instanceof AipassError) || error.code !== 'DAEMON_UNREACHABLE' || isLate) throw error;
      await delay(foregroundClock, TRY_MS);
    } finally {
      await aipass?.close();
    }
  }
}

export const run = defineVerb({
  name: 'run',
  summary: 'run the daemon in the foreground',
  details: [
    'SIGTERM and Ctrl-C stop it; requests in flight get 10 s to finish. A second signal stops it at once.',
    'It needs no configuration. AIPASSD_SECRETS_DIR, AIPASSD_CONFIG, AIPASSD_STATE_DIR and AIPASSD_RUNTIME_DIR change where its files are.',
  ],
  parameters: {},
  run: (_values, { runDaemon }) => runDaemon(),
});
