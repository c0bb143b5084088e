/**
 * Who else can get at a secrets file or folder, and the command that fixes it. Pure: classifies the
 * result of `stat`.
 *
 * Readable by others is reported. What breaks the rule of base/file-trust.ts (others can write it)
 * is reported and not used: a file, and a folder with everything in it.
 */

import { entryFault, type OwnedEntry } from '../base/file-trust.ts';
import { plainText } from '../base/plain-text.ts';
import { shellQuote } from '../base/shell-quote.ts';
import type { Warning } from '../base/warning.ts';

/** What to report, and whether the content must not be used. */
export interface AccessOutcome {
  readonly warnings: readonly Warning[];
  readonly refused: boolean;
}

const OTHERS_READ = 0o044;
const OTHERS_WRITE = 0o022;
const ROOT = 0;

/** Maximum length of a path on Linux. */
const MAX_PATH_LENGTH = 4096;

/** Checks the mode and the owner of a file or folder for a user; without a user only the mode. */
export function classifyAccess(
  path: string,
  kind: 'file' | 'folder',
  facts: OwnedEntry,
  user: number | undefined,
): AccessOutcome {
  const readable = (facts.mode & OTHERS_READ) !== 0;
  const writable = (facts.mode & OTHERS_WRITE) !== 0;
  const foreign = user !== undefined && facts.uid !== user && facts.uid !== ROOT;
  if (!readable && !writable && !foreign) return { warnings: [], refused: false };

  const refused = entryFault(path, facts, user) !== null;
  const faults: string[] = [];
  if (readable || writable) {
    const ways = [readable ? 'read' : '', writable ? 'write' : ''].filter((way) => way !== '');
    faults.push(`other users can ${ways.join(' and ')} this ${kind}`);
  }
  if (foreign) faults.push(`this ${kind} belongs to another user (uid ${facts.uid})`);
  const problem = `${faults.join('; ')}${refused ? '; what it holds is not used' : ''}`;
  return {
    warnings: [{ subject: plainText(path, MAX_PATH_LENGTH), problem, hint: accessHint(path, kind, facts, user) }],
    refused,
  };
}

/** Returns the command that gives a file or folder to the user alone. */
export function accessHint(path: string, kind: 'file' | 'folder', facts: OwnedEntry, user: number | undefined): string {
  const quoted = shellQuote(path);
  const commands: string[] = [];
  const chmod = `chmod ${kind === 'file' ? '600' : '700'} ${quoted}`;
  if (user !== undefined && facts.uid !== user) {
    commands.push(`${user === ROOT ? '' : 'sudo '}chown ${user} ${quoted}`);
    if ((facts.mode & (OTHERS_READ | OTHERS_WRITE)) !== 0) commands.push(chmod);
  } else {
    commands.push(chmod);
  }
  return commands.join(' && ');
}
