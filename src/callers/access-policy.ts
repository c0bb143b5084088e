/**
 * The access policy in use, with the names of the configuration resolved by the machine's account
 * files.
 */

import { readFileSync } from 'node:fs';
import type { Config } from '../base/config-schema.ts';
import type { Warning } from '../base/warning.ts';
import { resolveAccess, servesOthers, type AccessGrants } from './access.ts';
import { resolveOrganizations } from './organizations.ts';

/** The settings that decide who may ask. */
type AccessConfig = Pick<Config, 'access' | 'organizations'>;

/** A policy with its names resolved. */
interface ResolvedPolicy {
  readonly grants: AccessGrants;
  readonly warnings: readonly Warning[];
}

/** The policy in use; a reload of the configuration replaces it. */
export class AccessPolicy {
  readonly #ownUid: number;
  #resolved: ResolvedPolicy;

  constructor(config: AccessConfig, ownUid: number) {
    this.#ownUid = ownUid;
    this.#resolved = resolve(config, ownUid);
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
  replace(config: AccessConfig): void {
    this.#resolved = resolve(config, this.#ownUid);
  }
}

function resolve(config: AccessConfig, ownUid: number): ResolvedPolicy {
  const accounts = readAccounts();
  const access = resolveAccess(config.access, accounts, ownUid);
  const organizations = resolveOrganizations(config.organizations, accounts);
  return {
    grants: { ...access.grants, organizations: organizations.grants },
    warnings: [...access.warnings, ...organizations.warnings],
  };
}

/**
 * Reads the account files. Users and groups of a directory service are not in them and are
 * configured by number.
 */
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
