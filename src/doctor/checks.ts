/**
 * All checks, in the order in which `aipassd doctor` shows them: from what everything stands on to what stands on it.
 */

import { join } from 'node:path';
import type { Paths } from '../base/paths.ts';
import type { Status } from '../protocol/status.ts';
import { checkDaemon, checkUnit } from './daemon-checks.ts';
import { checkFreeSpace, checkPath, ownerOf, type PathRule } from './file-checks.ts';
import { findingsOf, type Finding } from './finding.ts';
import { judgeNative, judgeNode } from './machine-checks.ts';
import { checkProviders } from './network-checks.ts';
import { checkAudit, checkConfig, checkDatabase } from './store-checks.ts';

/** Is what the checks look at. */
export interface DoctorFacts {
  readonly paths: Paths;
  /** Is the user whose daemon and files are looked at. */
  readonly uid: number;
  readonly nodeVersion: string;
  readonly nativeWorks: boolean;
  /** Is where the service's unit or plist belongs and what stands in it, null where only its being there can be judged. */
  readonly unit: { readonly path: string; readonly text: string | null };
  /** Installs the service. */
  readonly installCommand: string;
  readonly lastRun: string | null;
  readonly askStatus: () => Promise<Status>;
  /** Tells whether providers may be asked for anything. */
  readonly online: boolean;
}

/** Runs every check, and yields what each finds as soon as it is known. */
export async function* runChecks(facts: DoctorFacts): AsyncGenerator<Finding> {
  const { paths } = facts;
  yield judgeNode(facts.nodeVersion);
  yield judgeNative(facts.nativeWorks);
  const owner = await ownerOf(paths.socket);
  if (owner === null || owner === facts.uid) yield* checkOwn(facts);
  else yield foreignFiles(paths.socket, owner);
  const { status, findings } = await checkDaemon(facts.askStatus, facts.lastRun);
  yield* findings;
  if (facts.online && status !== null)
    yield* await checkProviders(status.providers.filter((one) => one.baseUrl !== ''));
}

/** Looks at what belongs to the daemon's own user. */
async function* checkOwn({ paths, uid, unit, installCommand }: DoctorFacts): AsyncGenerator<Finding> {
  const config = checkConfig(paths.config);
  for (const rule of pathRules(paths, config.servesOthers)) yield await checkPath(rule, uid);
  yield await checkFreeSpace(paths.state);
  yield config.finding;
  yield await checkDatabase(paths.state, config.database);
  yield await checkAudit(paths.audit);
  yield await checkUnit(unit.path, unit.text, installCommand);
}

function foreignFiles(socket: string, owner: number): Finding {
  const text = `the daemon behind ${socket} is that of uid ${owner}, who checks its files with a doctor of its own`;
  return findingsOf('files').ok(`${text}; for the daemon of a whole machine: sudo aipassd doctor --system`);
}

const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;
const OTHERS_READ = 0o044;

function pathRules(paths: Paths, servesOthers: boolean): PathRule[] {
  return [
    { path: paths.secretsRoot, kind: 'folder', forbidden: OTHERS, whenMissing: 'aipassd init' },
    { path: paths.secrets, kind: 'folder', forbidden: OTHERS, whenMissing: 'aipassd init' },
    { path: paths.envFile, kind: 'file', forbidden: OTHERS, whenMissing: 'aipassd init' },
    { path: join(paths.secrets, 'google_creds.json'), kind: 'file', forbidden: OTHERS },
    { path: join(paths.secrets, 'oauth'), kind: 'folder', forbidden: OTHERS },
    { path: paths.config, kind: 'file', forbidden: OTHERS_WRITE, rootMayOwn: true },
    { path: paths.state, kind: 'folder', forbidden: OTHERS, whenMissing: 'start the daemon once: aipassd run' },
    { path: paths.audit, kind: 'file', forbidden: OTHERS },
    // As the daemon judges it: to pass through it harms nobody.
    { path: paths.runtime, kind: 'folder', forbidden: servesOthers ? OTHERS_WRITE : OTHERS_READ | OTHERS_WRITE },
    {
      path: paths.socket,
      kind: 'socket',
      // Who may ask is then judged by what the kernel says of each peer.
      forbidden: servesOthers ? 0 : OTHERS,
      whenMissing: 'start the daemon: aipassd install, or aipassd run',
    },
  ];
}
