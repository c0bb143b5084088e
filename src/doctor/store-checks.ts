/**
 * Checks the configuration, the usage database and the audit.
 */

import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { trustWarnings } from '../base/file-trust.ts';
import type { NetworkSettings } from '../base/network.ts';
import { readLines } from '../audit/lines.ts';
import { verifyAudit } from '../audit/verify.ts';
import { readUsableConfig } from '../providers/usable-config.ts';
import { findingsOf, type Finding } from './finding.ts';

/**
 * Checks the configuration; returns whether other users may ask, the database and the network,
 * which other checks need.
 */
export function checkConfig(path: string): {
  readonly finding: Finding;
  readonly servesOthers: boolean;
  readonly database: string | undefined;
  readonly network: NetworkSettings;
} {
  const { ok, problem } = findingsOf('configuration');
  try {
    const { access, usage, network } = readUsableConfig(path, systemClock);
    return {
      finding: ok(`${path} is in order`),
      servesOthers: Object.values(access).some((list) => list.users.length + list.groups.length > 0),
      database: usage.database,
      network,
    };
  } catch (error) {
    const hint = error instanceof AipassError ? error.hint : undefined;
    const message = error instanceof Error ? error.message : String(error);
    return { finding: problem(message, hint ?? `edit ${path}`), servesOthers: false, database: undefined, network: {} };
  }
}

/** First bytes of a SQLite database (https://sqlite.org/fileformat2.html, section 1.3). */
const SQLITE_MAGIC = 'SQLite format 3\0';

/**
 * Checks whether the daemon's user alone writes the usage database, and its format, if there is
 * one; `setting` comes from the configuration.
 */
export async function checkDatabase(stateFolder: string, uid: number, setting = 'usage.db'): Promise<Finding> {
  const { ok, problem } = findingsOf('database');
  if (/^postgres(?:ql)?:\/\//i.test(setting)) return ok("usage is kept in PostgreSQL: see the daemon's status");
  const path = resolve(stateFolder, setting);
  const [fault] = trustWarnings([path], uid);
  if (fault) return problem(`${path} is not used, ${fault.subject}: ${fault.problem}`, fault.hint);
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(SQLITE_MAGIC.length), 0, SQLITE_MAGIC.length, 0);
      // A new database has no bytes until its first table.
      if (bytesRead === 0 || buffer.toString('latin1') === SQLITE_MAGIC) return ok(`${path} is a database`);
      return problem(
        `${path} is not a SQLite database`,
        `move it away and start the daemon again: mv ${path} ${path}.broken`,
      );
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') return ok('no usage database yet');
    return problem(`${path} cannot be read: ${code ?? 'unknown reason'}`, `chmod 600 ${path}`);
  }
}

/** Checks the chain of the audit. */
export async function checkAudit(path: string): Promise<Finding> {
  const { ok, problem } = findingsOf('audit');
  try {
    const outcome = await verifyAudit(readLines(path));
    return outcome.kind === 'intact'
      ? ok(
          `the audit is intact: ${outcome.records} lines${outcome.cutShort ? ', and an incomplete last line from a crash' : ''}`,
        )
      : problem(
          `line ${outcome.line} of ${path} ${outcome.problem}`,
          `the audit was changed: examine it, then move it away`,
        );
  } catch (error) {
    return problem(`${path} cannot be read: ${systemErrorCode(error) ?? 'unknown reason'}`, `chmod 600 ${path}`);
  }
}
