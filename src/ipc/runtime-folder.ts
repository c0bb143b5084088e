/**
 * The folder of the sockets. It is made with mode 0700; the mode of an existing folder is never
 * changed, because others may use a shared one, such as /tmp.
 *
 * A user who may write to the folder could replace our socket. Passing through it is harmless,
 * because the socket decides who may connect: mode 0711, which the host-wide unit sets, is as safe
 * as 0700.
 */

import { lstatSync, mkdirSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { AipassError } from '../base/errors.ts';
import { assertTrusted } from '../base/file-trust.ts';
import { describeFailure } from '../base/system-failure.ts';
import type { Warning } from '../base/warning.ts';

const FOLDER_MODE = 0o700;
const OTHERS_WRITE = 0o022;
const OTHERS_READ = 0o044;
const OTHERS_PASS = 0o011;

/**
 * Makes the folder with mode 0700 if it is missing.
 *
 * @throws AipassError UNSAFE_PERMISSIONS if it belongs to another user, or if others may write to
 * it or, unless others are served, read it.
 */
export function makeRuntimeFolder(path: string, servesOthers: boolean): void {
  // Before it is made: a folder that root leaves in a user's place locks that user out.
  assertTrusted('the folder of the socket', dirname(path));
  let facts: Stats;
  try {
    mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
    facts = lstatSync(path);
  } catch (error) {
    throw describeFailure('cannot make the folder of the socket', error, path);
  }
  const problem = describeProblem(facts, servesOthers);
  if (problem === undefined) return;
  throw new AipassError('UNSAFE_PERMISSIONS', `the folder of the socket, ${path}, ${problem}`, {
    hint: 'set AIPASSD_RUNTIME_DIR to a folder of your own with mode 0700, for daemon and clients alike; one that is not there is made',
  });
}

function describeProblem(facts: Stats, servesOthers: boolean): string | undefined {
  // The target of a link may change later.
  if (!facts.isDirectory()) return 'is a link, not a folder';
  const us = process.geteuid?.();
  if (us !== undefined && facts.uid !== us) return `belongs to another user (uid ${facts.uid})`;
  const mode = (facts.mode & 0o7777).toString(8).padStart(4, '0');
  if ((facts.mode & OTHERS_WRITE) !== 0) return `can be written to by other users (mode ${mode})`;
  if (!servesOthers && (facts.mode & OTHERS_READ) !== 0) return `can be read by other users (mode ${mode})`;
  return undefined;
}

/**
 * Returns a warning for the folder that keeps other users from the socket although they are to be
 * served.
 */
export function blockedPathWarnings(folder: string, servesOthers: boolean): Warning[] {
  if (!servesOthers) return [];
  for (let path = folder; ; path = dirname(path)) {
    const mode = lstatSync(path, { throwIfNoEntry: false })?.mode;
    if (mode !== undefined && (mode & OTHERS_PASS) === 0) {
      return [
        {
          subject: path,
          problem: '`access` lists other users, who cannot reach the socket through this folder',
          hint: `chmod 711 ${path}, or one daemon for the whole machine: sudo aipassd install --system`,
        },
      ];
    }
    if (path === dirname(path)) return [];
  }
}
