/**
 * The access policy in use, with the names of the configuration resolved by the machine's account files.
 */

import { readFileSync } from 'node:fs';
import type { Config } from '../base/config-schema.ts';
import type { Warning } from '../base/warning.ts';
import { resolveAccess, servesOthers, type AccessGrants } from './access.ts';

/** The policy in use; a reload of the configuration replaces it. */
export class AccessPolicy {
  readonly #ownUid: number;
  #resolved: ReturnType<typeof resolveAccess>;

  constructor(access: Config['access'], ownUid: number) {
    this.#ownUid = ownUid;
    this.#resolved = resolveAccess(access, readAccounts(), ownUid);
  }

  get grants(): AccessGrants {
    return this.#resolved.grants;
  }

  /** Whether users other than the daemon's own and root may ask. */
  get servesOthers(): boolean {
    return servesOthers(this.#resolved.grants);
  }

  warnings(): readonly Warning[] {
    return this.#resolved.warnings;
  }

  /** Applies another configuration, also to open connections. */
  replace(access: Config['access']): void {
    this.#resolved = resolveAccess(access, readAccounts(), this.#ownUid);
  }
}

/** Reads the account files. Users and groups of a directory service are not in them and are configured by number. */
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
