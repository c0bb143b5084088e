/**
 * Opens what keeps tokens fresh. What runs when the daemon stops is given a moment to end, and then left to itself: a
 * worker writes what it was granted without us.
 */

import { defer } from '../base/dispose.ts';
import type { Runtime } from '../base/runtime.ts';
import { startSchedule } from '../base/schedule.ts';
import { parseMemories } from './account-memory.ts';
import { Accounts } from './accounts.ts';
import { Consents } from './consents.ts';
import { Hooks } from './hook.ts';
import { Notices } from './notices.ts';
import { WorkerProcess, type TokenWorker } from './worker-process.ts';

/** How long a stop waits for exchanges in flight, in milliseconds. */
const STOP_GRACE_MS = 10_000;

/** What the accounts are wired with. */
export interface AccountsDeps {
  /** Calls back whenever a file in the folder of the secrets may have changed; the returned function ends that. */
  readonly onRescan: (listener: () => void) => () => void;
}

/** Everything that keeps tokens fresh. */
export interface OpenAccounts {
  readonly accounts: Accounts;
  readonly consents: Consents;
  readonly worker: TokenWorker;
}

/** Finds the accounts and looks after them until the stack is closed; the first time at once, because the machine may have been off for days. */
export async function openAccounts(
  { config, paths, clock, random, logger, redactor, events, state, warnings }: Runtime,
  { onRescan }: AccountsDeps,
  stack: AsyncDisposableStack,
): Promise<OpenAccounts> {
  const { oauth, hooks: commands, schedules } = config.current;
  const worker = new WorkerProcess();
  defer(stack, 'the workers', () => worker.settle(STOP_GRACE_MS));
  const hooks = new Hooks(logger);
  defer(stack, 'the hooks', () => hooks.stop());
  const notices = new Notices({
    clock,
    hooks: commands,
    publish: ({ kind, ...notice }) => events.publish(kind, notice),
    runHook: (command, notice) => hooks.run(command, notice),
  });
  const accounts: Accounts = new Accounts({
    secrets: paths.secrets,
    config: oauth,
    clock,
    random,
    worker,
    memories: parseMemories(state.section('accounts')),
    onOutcome: (keeper, outcome) => {
      state.changed();
      const reason = 'reason' in outcome ? outcome.reason : undefined;
      const loud = outcome.kind === 'unsaved' || outcome.kind === 'rejected';
      logger[loud ? 'error' : outcome.kind === 'transient' ? 'warn' : 'info'](`${keeper.name}: ${outcome.kind}`, {
        reason,
      });
      notices.note(keeper, outcome);
    },
    onTokens: () => redactor.learn(accounts.secrets(), 'accounts'),
  });
  state.bind('accounts', () => accounts.remember());
  defer(stack, 'the accounts', () => accounts.stop());
  warnings.register(() => accounts.warnings());
  await accounts.scan();
  const tick = async (): Promise<void> => {
    notices.flush();
    await accounts.tick();
  };
  tick().catch((error: unknown) => logger.error('the first check of the accounts failed', { error }));
  defer(
    stack,
    'the rescans of the accounts',
    onRescan(() => accounts.look()),
  );
  defer(stack, 'the refresh schedule', startSchedule(schedules.refresh, tick, { name: 'refresh', logger, clock }));
  return { accounts, consents: new Consents(worker), worker };
}
