/**
 * The part of the composition root that every run begins with: folders, locks, log and audit.
 */

import { mkdir } from 'node:fs/promises';
import { openAudit, type AuditJournal } from './audit/journal.ts';
import type { Clock } from './base/clock.ts';
import type { Config } from './base/config-schema.ts';
import { captureConsole } from './base/console-capture.ts';
import { openLogger, type Logger } from './base/logger.ts';
import type { Paths } from './base/paths.ts';
import { Redactor } from './base/redactor.ts';
import type { Releasers } from './base/releasers.ts';
import type { AccessPolicy } from './callers/access-policy.ts';
import { takeInstance, takeState } from './ipc/instance-lock.ts';
import { makeRuntimeFolder } from './ipc/runtime-folder.ts';

/** Is what a run begins from. */
interface RunSurroundings {
  readonly config: Pick<Config, 'log'>;
  readonly access: Pick<AccessPolicy, 'servesOthers'>;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly releasers: Releasers;
}

/** Is what a run has from its first line on. */
interface Run {
  readonly redactor: Redactor;
  /** Is where the log goes, or null where it goes to stdout alone. */
  readonly logFile: string | null;
  readonly logger: Logger;
  readonly journal: AuditJournal;
}

/**
 * Takes the instance, and opens log and audit.
 *
 * @throws AipassError when another daemon runs, or a folder cannot be made or is not ours alone.
 */
export async function openRun({ config, access, paths, clock, releasers }: RunSurroundings): Promise<Run> {
  await mkdir(paths.state, { recursive: true, mode: 0o700 });
  makeRuntimeFolder(paths.runtime, access.servesOthers);
  releasers.add('the instance lock', await takeInstance(paths));
  releasers.add('the lock of the state', await takeState(paths));

  const redactor = new Redactor();
  const logFile = config.log.file === undefined ? paths.log : config.log.file;
  const logger = openLogger({ level: config.log.level, file: logFile, stdout: true, redactor });
  releasers.add('the log', () => logger.close());
  releasers.add('the console', captureConsole(logger));
  const journal = openAudit(paths.audit, clock);
  releasers.add('the audit', () => journal.close());
  return { redactor, logFile, logger, journal };
}
