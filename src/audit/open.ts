/**
 * Opens the audit and its upkeep.
 */

import { defer } from '../base/dispose.ts';
import type { Runtime } from '../base/runtime.ts';
import { openJournal, type AuditJournal } from './journal.ts';
import { startAuditUpkeep } from './upkeep.ts';

/** Opens the audit; it is closed, with everything on the disk, when the stack is. */
export function openAudit(
  { config, paths, clock, logger, warnings }: Runtime,
  stack: AsyncDisposableStack,
): AuditJournal {
  const journal = openJournal(paths.audit, clock);
  defer(stack, 'the audit', () => journal.close());
  warnings.register(() => [journal.warning()].filter((warning) => warning !== null));
  defer(
    stack,
    'the upkeep of the audit',
    startAuditUpkeep(journal, () => config.current.audit, clock, logger.component('audit')),
  );
  return journal;
}
