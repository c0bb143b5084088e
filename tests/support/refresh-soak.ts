/**
 * Kills the daemon with SIGKILL at random moments of token rotations, and returns whether the
 * account ever came to harm. The server revokes everything when a refresh token is used twice.
 */

import { readFile } from 'node:fs/promises';
import { AipassError } from '../../src/base/errors.ts';
import { connect } from '../../src/client/index.ts';
import { saveGrantedAccount } from './account-files.ts';
import { DaemonProcess } from './daemon-process.ts';
import { OauthServer } from './oauth-server.ts';
import { makeTempHome } from './temp-home.ts';
import { until } from './until.ts';

/** Length of a run. */
export interface SoakOptions {
  readonly rotations: number;
  /** How many of the kills have to hit an exchange in flight. */
  readonly killsInFlight: number;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
}

/** What happened. */
export interface SoakReport {
  readonly rotations: number;
  readonly kills: number;
  /** Counts the kills while the server had a token request that was not answered yet. */
  readonly killsInFlight: number;
  /** Counts the kills within a few milliseconds after the answer, when the worker writes. */
  readonly killsAtWrite: number;
  /** Counts token requests that the server refused; one is one too many. */
  readonly refusals: number;
  /** Whether the account could still be renewed at the end. */
  readonly alive: boolean;
}

/** How long one rotation or restart may take before the run fails, in milliseconds. */
const STEP_LIMIT_MS = 60_000;

/** Rotates and kills until both counts are reached. */
export async function soakRefresh(options: SoakOptions): Promise<SoakReport> {
  const { random } = options;
  await using server = await OauthServer.start();
  await using home = makeTempHome();
  const file = await saveGrantedAccount(home.paths.secrets, server);

  let daemon = await DaemonProcess.start(home);
  let kills = 0;
  let killsInFlight = 0;
  let killsAtWrite = 0;
  let plan: 'none' | 'arrival' | 'held' | 'write' = 'none';
  let lateKill: Promise<void> = Promise.resolve();
  const killed = new Set<DaemonProcess>();
  const kill = (): void => {
    plan = 'none';
    kills += 1;
    killed.add(daemon);
    daemon.signal('SIGKILL');
  };
  server.onArrival = () => {
    if (plan !== 'arrival') return;
    kill();
    killsInFlight += 1;
  };
  server.beforeAnswer = async () => {
    if (plan === 'held') {
      await sleep(random() * 20);
      kill();
      killsInFlight += 1;
      await sleep(random() * 20);
    } else if (plan === 'write') {
      lateKill = sleep(random() * 12).then(() => {
        kill();
        killsAtWrite += 1;
      });
    }
  };

  const rotations = (): number => server.tokenCalls - server.refusals;
  try {
    while ((rotations() < options.rotations || killsInFlight < options.killsInFlight) && server.refusals === 0) {
      const left = Math.max(1, options.rotations - rotations());
      const share = Math.max(0.3, (options.killsInFlight - killsInFlight) / left);
      const dice = random();
      plan = dice < share / 2 ? 'arrival' : dice < share ? 'held' : dice < share + 0.1 ? 'write' : 'none';
      await rotate(home.paths.socket);
      await lateKill;
      daemon = await restartIfKilled(daemon, killed);
    }
    server.onArrival = () => {};
    server.beforeAnswer = () => {};
    const alive = (await rotate(home.paths.socket)) === 'refreshed';
    // What the daemon serves is what is on disk.
    await using aipass = await connect({ socket: home.paths.socket });
    const { accessToken } = await aipass.token('test');
    const saved = await readFile(file, 'utf8');
    return {
      rotations: rotations(),
      kills,
      killsInFlight,
      killsAtWrite,
      refusals: server.refusals,
      alive: alive && saved.includes(accessToken),
    };
  } finally {
    await daemon[Symbol.asyncDispose]();
  }
}

/** Makes the daemon renew the token; a daemon that dies meanwhile is what this is about. */
async function rotate(socket: string): Promise<string> {
  try {
    await using aipass = await connect({ socket });
    const { results } = await aipass.request('oauth.refresh', { name: 'test' }, { timeoutMs: STEP_LIMIT_MS });
    return results[0]?.outcome ?? 'none';
  } catch (error) {
    if (error instanceof AipassError && error.code === 'DAEMON_UNREACHABLE') return 'killed';
    throw error;
  }
}

/** Waits for a kill that was sent to arrive, and starts the next daemon. */
async function restartIfKilled(daemon: DaemonProcess, killed: ReadonlySet<DaemonProcess>): Promise<DaemonProcess> {
  if (!killed.has(daemon)) return daemon;
  await until('the killed daemon is gone', () => !daemon.isRunning, STEP_LIMIT_MS);
  await daemon[Symbol.asyncDispose]();
  return await DaemonProcess.start(daemon.home);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
