/**
 * Checks the daemon: that it answers, its version, and its warnings.
 */

import { readFile } from 'node:fs/promises';
import { AipassError } from '../base/errors.ts';
import { readWeakened } from '../service/sandbox.ts';
import { VERSION } from '../base/version.ts';
import type { Status } from '../protocol/status.ts';
import { findingsOf, type Finding } from './finding.ts';

/** Asks the daemon for its status; `lastRun` explains why it does not run. */
export async function checkDaemon(
  ask: () => Promise<Status>,
  lastRun: string | null,
): Promise<{ readonly status: Status | null; readonly findings: Finding[] }> {
  const { ok, warning, problem } = findingsOf('daemon');
  let status: Status;
  try {
    status = await ask();
  } catch (error) {
    const reason = error instanceof AipassError ? error : new AipassError('INTERNAL', String(error));
    const before = lastRun === null ? '' : `; ${lastRun}`;
    return { status: null, findings: [problem(`${reason.message}${before}`, reason.hint ?? 'aipassd install')] };
  }
  const findings = [ok(`it runs: pid ${status.pid}, version ${status.version}, Node ${status.node}`)];
  if (status.version !== VERSION) {
    findings.push(
      warning(
        `it is version ${status.version}, installed is ${VERSION}`,
        status.restart === undefined ? 'restart it' : `restart it: ${status.restart}`,
      ),
    );
  }
  const fresh = status.accounts.filter(({ action }) => action === null);
  if (fresh.length > 0) {
    const tokens = fresh.map(({ name, state }) => `${name} is ${state}`).join(', ');
    findings.push(findingsOf('tokens').ok(tokens));
  }
  for (const { subject, problem: text, hint } of status.warnings) findings.push(warning(`${subject}: ${text}`, hint));
  return { status, findings };
}

/**
 * Checks that the service's unit or plist is up to date; with null, that it exists.
 */
export async function checkUnit(path: string, expected: string | null, install: string): Promise<Finding> {
  const { ok, warning } = findingsOf('unit');
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return warning(`${path} is not there: the daemon does not start by itself`, install);
  if (expected === null) return ok(`${path} is there`);
  const { whole, leftOut, reason } = readWeakened(text);
  if (leftOut.length > 0 && whole === expected) {
    const names = leftOut.map((line) => line.slice(0, line.indexOf('=') + 1)).join(', ');
    return warning(
      `${path} runs without part of its sandbox, because ${reason}: ${names}`,
      `allow it, then: ${install}`,
    );
  }
  return text === expected
    ? ok(`${path} is up to date`)
    : warning(`${path} does not match this version, Node and package`, install);
}
