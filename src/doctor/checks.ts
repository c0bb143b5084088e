/**
 * All checks of `aipassd doctor`, in order: foundations first.
 */

import { join } from 'node:path';
import { openNetwork } from '../base/network.ts';
import type { Paths } from '../base/paths.ts';
import type { Status } from '../protocol/status.ts';
import { checkDaemon, checkUnit } from './daemon-checks.ts';
import { checkFreeSpace, checkPath, ownerOf, type PathRule } from './file-checks.ts';
import { findingsOf, type Finding } from './finding.ts';
import { judgeNative, judgeNode } from './machine-checks.ts';
import { checkNetwork, checkProviders } from './network-checks.ts';
import { checkAudit, checkConfig, checkDatabase } from './store-checks.ts';

/** What the checks need. */
export interface DoctorDeps {
  readonly paths: Paths;
  /** User whose daemon and files are checked. */
  readonly uid: number;
  readonly nodeVersion: string;
  readonly nativeWorks: boolean;
  /**
   * Path and expected text of the service's unit or plist; without a text only its presence is
   * checked.
   */
  readonly unit: { readonly path: string; readonly text: string | null };
  /** Command that installs the service. */
  readonly installCommand: string;
  readonly lastRun: string | null;
  readonly askStatus: () => Promise<Status>;
  /** Environment of this process, which the daemon may not share. */
  readonly env: Record<string, string | undefined>;
  /** Whether the checks may contact providers. */
  readonly online: boolean;
}

/** Runs every check and yields its findings. */
export async function* runChecks(deps: DoctorDeps): AsyncGenerator<Finding> {
  const { paths } = deps;
  const shellProxy = deps.env['https_proxy'] || deps.env['HTTPS_PROXY'] || undefined;
  yield judgeNode(deps.nodeVersion);
  yield judgeNative(deps.nativeWorks);
  const owner = await ownerOf(paths.socket);
  if (owner === null || owner === deps.uid) yield* checkOwn(deps);
  else yield foreignFiles(paths.socket, owner);
  const { status, findings } = await checkDaemon(deps.askStatus, deps.lastRun);
  yield* findings;
  if (status?.network !== undefined) {
    yield* checkNetwork(status.network, shellProxy);
    const { httpsProxy, httpProxy, noProxy } = status.network;
    const proxy = httpsProxy ?? httpProxy;
    // A daemon that has its proxy from its own environment; the way of this shell may be another.
    if (proxy !== null && shellProxy === undefined && deps.env['HTTPS_PROXY'] === undefined)
      openNetwork({ proxy, noProxy }, deps.env);
  }
  if (deps.online && status !== null) yield* await checkProviders(status.providers.filter((one) => one.baseUrl !== ''));
}

/** Checks the files of the daemon's own user. */
async function* checkOwn({ paths, uid, unit, installCommand, env }: DoctorDeps): AsyncGenerator<Finding> {
  const config = checkConfig(paths.config);
  // The providers are asked on the way that the daemon takes.
  openNetwork(config.network, env);
  for (const rule of pathRules(paths, config.servesOthers)) yield await checkPath(rule, uid);
  yield await checkFreeSpace(paths.state);
  yield config.finding;
  yield await checkDatabase(paths.state, uid, config.database);
  yield await checkAudit(paths.audit);
  yield await checkUnit(unit.path, unit.text, installCommand);
}

function foreignFiles(socket: string, owner: number): Finding {
  const text = `the daemon behind ${socket} is that of uid ${owner}, who can check its files with: aipassd doctor`;
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
    // The daemon's rule: passing through is harmless.
    { path: paths.runtime, kind: 'folder', forbidden: servesOthers ? OTHERS_WRITE : OTHERS_READ | OTHERS_WRITE },
    {
      path: paths.socket,
      kind: 'socket',
      // The kernel then identifies each peer.
      forbidden: servesOthers ? 0 : OTHERS,
      whenMissing: 'start the daemon: aipassd install, or aipassd run',
    },
  ];
}
