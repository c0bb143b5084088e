/**
 * All checks, in the order in which `aipassd doctor` shows them: from what everything stands on to what stands on it.
 */

import { join } from 'node:path';
import type { Paths } from '../base/paths.ts';
import type { Status } from '../protocol/status.ts';
import { checkDaemon, checkUnit } from './daemon-checks.ts';
import { checkFreeSpace, checkPath, type PathRule } from './file-checks.ts';
import type { Finding } from './finding.ts';
import { judgeNative, judgeNode } from './machine-checks.ts';
import { checkProviders } from './network-checks.ts';
import { checkAudit, checkConfig, checkDatabase } from './store-checks.ts';

/** Is what the checks look at. */
export interface DoctorFacts {
  readonly paths: Paths;
  readonly uid: number;
  readonly nodeVersion: string;
  readonly nativeWorks: boolean;
  /** Is where the service's unit or plist belongs and what stands in it. */
  readonly unit: { readonly path: string; readonly text: string };
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
  for (const rule of pathRules(paths)) yield await checkPath(rule, facts.uid);
  yield await checkFreeSpace(paths.state);
  yield checkConfig(paths.config);
  yield await checkDatabase(join(paths.state, 'usage.db'));
  yield await checkAudit(paths.audit);
  yield await checkUnit(facts.unit.path, facts.unit.text);
  const { status, findings } = await checkDaemon(facts.askStatus, facts.lastRun);
  yield* findings;
  if (facts.online && status !== null)
    yield* await checkProviders(status.providers.filter((one) => one.baseUrl !== ''));
}

const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;

function pathRules(paths: Paths): PathRule[] {
  return [
    { path: paths.secretsRoot, kind: 'folder', forbidden: OTHERS, whenMissing: 'aipassd init' },
    { path: paths.secrets, kind: 'folder', forbidden: OTHERS, whenMissing: 'aipassd init' },
    { path: paths.envFile, kind: 'file', forbidden: OTHERS, whenMissing: 'aipassd init' },
    { path: join(paths.secrets, 'google_creds.json'), kind: 'file', forbidden: OTHERS },
    { path: join(paths.secrets, 'oauth'), kind: 'folder', forbidden: OTHERS },
    { path: paths.config, kind: 'file', forbidden: OTHERS_WRITE },
    { path: paths.state, kind: 'folder', forbidden: OTHERS, whenMissing: 'start the daemon once: aipassd run' },
    { path: paths.audit, kind: 'file', forbidden: OTHERS },
    { path: paths.runtime, kind: 'folder', forbidden: OTHERS_WRITE },
    {
      path: paths.socket,
      kind: 'socket',
      forbidden: OTHERS,
      whenMissing: 'start the daemon: aipassd install, or aipassd run',
    },
  ];
}
