/**
 * The folder of the sockets: made for us alone, and never changed where somebody else made it. A folder that is shared,
 * such as /tmp, has other users in it, whom a change of its mode would shut out.
 *
 * Whoever may write to it could put a socket of their own in our place. Passing through it harms nobody, because the
 * socket itself says who may connect; so a folder with mode 0711, as the host-wide unit makes it, is as good as 0700.
 */

import { lstatSync, mkdirSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { AipassError } from '../base/errors.ts';
import { describeFailure } from '../base/system-failure.ts';
import type { Warning } from '../base/warning.ts';

const FOLDER_MODE = 0o700;
const OTHERS_WRITE = 0o022;
const OTHERS_READ = 0o044;
const OTHERS_PASS = 0o011;

/**
 * Makes the folder, mode 0700, where there is none.
 *
 * @throws AipassError UNSAFE_PERMISSIONS for one that belongs to somebody else, or that lets others in: to write in any
 * case, to read unless others are served.
 */
export function makeRuntimeFolder(path: string, servesOthers: boolean): void {
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
  // Of a link, the target may be right today and another one tomorrow.
  if (!facts.isDirectory()) return 'is a link and no folder';
  const us = process.geteuid?.();
  if (us !== undefined && facts.uid !== us) return `belongs to another user (uid ${facts.uid})`;
  const mode = (facts.mode & 0o7777).toString(8).padStart(4, '0');
  if ((facts.mode & OTHERS_WRITE) !== 0) return `can be written to by other users (mode ${mode})`;
  if (!servesOthers && (facts.mode & OTHERS_READ) !== 0) return `can be read by other users (mode ${mode})`;
  return undefined;
}

/** Says which folder on the way to the socket lets no other user through, where other users are to be served. */
export function closedWay(folder: string, servesOthers: boolean): Warning[] {
  if (!servesOthers) return [];
  for (let path = folder; ; path = dirname(path)) {
    const mode = lstatSync(path, { throwIfNoEntry: false })?.mode;
    if (mode !== undefined && (mode & OTHERS_PASS) === 0) {
      return [
        {
          subject: path,
          problem: 'access lets other users ask, and they cannot get through this folder to the socket',
          hint: `chmod 711 ${path}, or one daemon for the whole machine: sudo aipassd install --system`,
        },
      ];
    }
    if (path === dirname(path)) return [];
  }
}
