/**
 * Holds the access policy in use, with the names of the configuration looked up in the machine's account files.
 */

import { readFileSync } from 'node:fs';
import type { Config } from '../base/config-schema.ts';
import type { Warning } from '../base/warning.ts';
import { resolveAccess, servesOthers, type AccessPolicy } from './access.ts';

/** Holds the policy in use. */
export class AccessKeeper {
  readonly #ownUid: number;
  #resolved: ReturnType<typeof resolveAccess>;

  constructor(access: Config['access'], ownUid: number) {
    this.#ownUid = ownUid;
    this.#resolved = resolveAccess(access, readAccounts(), ownUid);
  }

  get policy(): AccessPolicy {
    return this.#resolved.policy;
  }

  /** Tells whether anybody but the daemon's own user and root may ask. */
  get servesOthers(): boolean {
    return servesOthers(this.#resolved.policy);
  }

  warnings(): readonly Warning[] {
    return this.#resolved.warnings;
  }

  /** Puts another configuration to use, for connections that are open, too. */
  replace(access: Config['access']): void {
    this.#resolved = resolveAccess(access, readAccounts(), this.#ownUid);
  }
}

/** Reads the account files; users and groups of a directory service are not in them, and are named by number. */
function readAccounts(): { passwd: string; group: string } {
  return { passwd: readText('/etc/passwd'), group: readText('/etc/group') };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
