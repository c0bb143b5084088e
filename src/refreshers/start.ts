/**
 * Wires the parts that keep tokens fresh. What runs when the daemon stops is given a moment to end, and then left to
 * itself: a worker writes what it was granted without us.
 */

import type { Clock } from '../base/clock.ts';
import type { Config } from '../base/config-schema.ts';
import type { Logger } from '../base/logger.ts';
import type { Redactor } from '../base/redactor.ts';
import type { Releasers } from '../base/releasers.ts';
import type { StateStore } from '../base/state-store.ts';
import { parseMemories } from './account-memory.ts';
import { Accounts } from './accounts.ts';
import { Consents } from './consents.ts';
import { Hooks } from './hook.ts';
import { Notices, type Notice } from './notices.ts';
import { WorkerProcess, type TokenWorker } from './worker-process.ts';

/** Is how long a stop waits for exchanges in flight, in milliseconds. */
const STOP_GRACE_MS = 10_000;

/** Is what refreshing works with. */
export interface RefreshingParts {
  readonly secrets: string;
  readonly oauth: Config['oauth'];
  readonly hooks: Config['hooks'];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly redactor: Redactor;
  readonly releasers: Releasers;
  readonly state: Pick<StateStore, 'section' | 'bind' | 'changed'>;
  readonly publish: (event: Notice['kind'], notice: Omit<Notice, 'kind'>) => void;
}

/** Is everything that keeps tokens fresh. */
export interface Refreshing {
  readonly accounts: Accounts;
  readonly consents: Consents;
  readonly worker: TokenWorker;
  /** Looks after all accounts once; called by the schedule. */
  readonly tick: () => Promise<void>;
}

/** Finds the accounts and begins to look after them; the first look at once, because the machine may have been off for days. */
export async function startRefreshing(parts: RefreshingParts): Promise<Refreshing> {
  const { clock, logger, redactor, releasers } = parts;
  const worker = new WorkerProcess();
  releasers.add('the workers', () => worker.settle(STOP_GRACE_MS));
  const hooks = new Hooks(logger);
  releasers.add('the hooks', () => hooks.stop());
  const notices = new Notices({
    clock,
    hooks: parts.hooks,
    publish: ({ kind, ...notice }) => parts.publish(kind, notice),
    runHook: (command, notice) => hooks.run(command, notice),
  });
  const accounts: Accounts = new Accounts({
    secrets: parts.secrets,
    config: parts.oauth,
    clock,
    random: Math.random,
    worker,
    memories: parseMemories(parts.state.section('accounts')),
    onOutcome: (keeper, outcome) => {
      parts.state.changed();
      const reason = 'reason' in outcome ? outcome.reason : undefined;
      const loud = outcome.kind === 'unsaved' || outcome.kind === 'rejected';
      logger[loud ? 'error' : outcome.kind === 'transient' ? 'warn' : 'info'](`${keeper.name}: ${outcome.kind}`, {
        reason,
      });
      notices.note(keeper, outcome);
    },
    onTokens: () => redactor.learn(accounts.secrets(), 'accounts'),
  });
  parts.state.bind('accounts', () => accounts.remember());
  releasers.add('the accounts', () => accounts.stop());
  await accounts.scan();
  const tick = async (): Promise<void> => {
    notices.flush();
    await accounts.tick();
  };
  tick().catch((error: unknown) => logger.error('the first look at the accounts failed', { error }));
  return { accounts, consents: new Consents(worker), worker, tick };
}
