/**
 * Opens what keeps tokens fresh. At a stop, a running hook is killed. Workers get a moment, and are
 * then left to themselves: each writes what it was granted without us.
 */

import { defer, STOP_GRACE_MS } from '../base/dispose.ts';
import { commandFiles, trustWarnings } from '../base/file-trust.ts';
import type { Runtime } from '../base/runtime.ts';
import { startSchedule } from '../base/schedule.ts';
import type { Vault } from '../credentials/vault.ts';
import { parseMemories } from './account-schema.ts';
import { Accounts } from './accounts.ts';
import { Consents } from './consents.ts';
import { HookRunner, RefreshAlerts } from './hooks.ts';
import { WorkerProcesses, type TokenWorker } from './worker-process.ts';

export interface OpenAccounts {
  readonly accounts: Accounts;
  readonly consents: Consents;
  readonly worker: TokenWorker;
}

/** Keeps accounts fresh until the stack is closed; at once, as the machine may have been off. */
export async function openAccounts(
  { config, paths, clock, random, logger: log, redactor, events, state, warnings }: Runtime,
  vault: Pick<Vault, 'onRescan'>,
  stack: AsyncDisposableStack,
): Promise<OpenAccounts> {
  const logger = log.component('refreshers');
  const { oauth, hooks: commands, schedules } = config.current;
  const worker = new WorkerProcesses();
  defer(stack, 'the workers', () => worker.settle(STOP_GRACE_MS));
  const hooks = new HookRunner(logger);
  defer(stack, 'the hooks', () => hooks.stop());
  // Who can change a command acts as this user when it runs.
  warnings.register(() =>
    trustWarnings(
      Object.values(config.current.hooks).flatMap((command) => (command === undefined ? [] : commandFiles(command))),
    ),
  );
  const alerts = new RefreshAlerts({
    clock,
    hooks: commands,
    publish: ({ kind, ...alert }) => events.publish(kind, alert),
    runHook: (command, alert) => hooks.run(command, alert),
  });
  const accounts = new Accounts({
    secrets: paths.secrets,
    config: oauth,
    clock,
    random,
    worker,
    memories: parseMemories(state.section('accounts')),
    onOutcome: (account, outcome) => {
      state.changed();
      const reason = 'reason' in outcome ? outcome.reason : undefined;
      const isError = outcome.kind === 'unsaved' || outcome.kind === 'rejected';
      logger[isError ? 'error' : outcome.kind === 'transient' ? 'warn' : 'info'](`${account.name}: ${outcome.kind}`, {
        reason,
      });
      if (outcome.kind === 'refreshed' && outcome.lostScopes.length > 0) {
        logger.warn(`${account.name}: the provider took scopes away`, { scopes: outcome.lostScopes });
      }
      alerts.note(account, outcome);
    },
    onTokens: (secrets) => redactor.learn(secrets, 'accounts'),
  });
  state.bind('accounts', () => accounts.remember());
  defer(stack, 'the accounts', () => accounts.stop());
  warnings.register(() => accounts.warnings());
  await accounts.scan();
  const tick = async (): Promise<void> => {
    await accounts.tick();
    // After the files were read again: an account that was fixed is not reported.
    alerts.tick(accounts);
  };
  tick().catch((error: unknown) => logger.error('the first check of the accounts failed', { error }));
  defer(
    stack,
    'the rescans of the accounts',
    vault.onRescan(() => accounts.rescan()),
  );
  defer(stack, 'the refresh schedule', startSchedule(schedules.refresh, tick, { name: 'refresh', logger, clock }));
  return { accounts, consents: new Consents(worker), worker };
}
