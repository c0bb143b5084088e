/**
 * `aipassd install` and `aipassd uninstall`: has the service manager run the daemon, and takes that back.
 */

import type { Paths } from '../../base/paths.ts';
import { describeStep, executePlan } from '../../service/execute.ts';
import { SYSTEM_PATHS, describeInstallation } from '../../service/installation.ts';
import { planInstall, planUninstall, servicePath, type Step } from '../../service/plan.ts';
import type { Output } from '../output.ts';
import type { Arguments, Verb, VerbContext } from '../verb.ts';
import { waitUntilReady } from '../ready.ts';

const OPTIONS = { system: { type: 'boolean' }, print: { type: 'boolean' } } as const;

/** Installs and starts the service. */
export const install: Verb = {
  name: 'install',
  usage: '[--system] [--print]',
  summary: 'have systemd or launchd run the daemon, now and from now on',
  details: [
    '--system  one daemon for the whole machine, as a user of its own (systemd, as root)',
    '--print   show what would be written and done, and change nothing',
  ],
  options: OPTIONS,
  maxPositionals: 0,
  async run(args, { out, paths }) {
    const facts = describeInstallation({ system: args.flag('system'), paths });
    const plan = planInstall(facts);
    if (args.flag('print')) {
      out.line(`# ${servicePath(facts)}`, facts.text.trimEnd(), '', '# what would be done');
      printPlan(plan, out);
      return 0;
    }
    await carryOut(plan, out);
    const used: Paths = args.flag('system') ? SYSTEM_PATHS : paths;
    const status = await waitUntilReady(used.socket);
    out.line(`aipassd ${status.version} is ready, pid ${status.pid}, on ${used.socket}`);
    return 0;
  },
};

/** Stops and removes the service. */
export const uninstall: Verb = {
  name: 'uninstall',
  usage: '[--system] [--print]',
  summary: 'stop the service and take back what install wrote; secrets and state stay',
  details: [
    '--system  the one of the whole machine (as root)',
    '--print   show what would be done, and change nothing',
  ],
  options: OPTIONS,
  maxPositionals: 0,
  async run(args: Arguments, { out, paths }: VerbContext) {
    const plan = planUninstall(describeInstallation({ system: args.flag('system'), paths }));
    if (args.flag('print')) printPlan(plan, out);
    else await carryOut(plan, out);
    return 0;
  },
};

function printPlan(plan: readonly Step[], out: Output): void {
  for (const step of plan) out.line(describeStep(step));
}

async function carryOut(plan: readonly Step[], out: Output): Promise<void> {
  for await (const done of executePlan(plan)) out.line(done.text);
}
