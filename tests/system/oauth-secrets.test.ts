/**
 * Plants tokens, has a hostile provider echo them, and looks for them in all that comes out.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { identifyProcess } from '../../src/base/process-identity.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { readEnvironmentOf } from '../support/process-environment.ts';
import { runCli } from '../support/run-cli.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { TokenEndpoint } from '../support/token-endpoint.ts';

const REFRESH = 'canary-refresh-token-5170';
const SECRET = 'canary-client-secret-8263';
const ACCESS = 'canary-access-token-3391';

/**
 * Finds the workers that a test's endpoint is talking to, by their entry file, and reads how they
 * were started.
 */
function workerStarts(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && identifyProcess(Number(name)) !== undefined)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        if (!command.includes('refreshers/worker/main')) return [];
        return [command, readEnvironmentIfAllowed(pid)];
      } catch {
        return [];
      }
    });
}

/** Returns the environment of a worker; only root may read it once the worker is not dumpable. */
function readEnvironmentIfAllowed(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch (error) {
    if (process.getuid?.() === 0) throw error;
    return '';
  }
}

it.runIf(process.platform === 'linux')(
  'no token shows up in output, log, argv or environment of daemon and worker',
  async () => {
    await using endpoint = await TokenEndpoint.start();
    await using home = makeTempHome();
    await home.writeConfig({
      log: { level: 'debug' },
      hooks: { onRefreshed: ['/bin/true'], onReauthRequired: ['/bin/true'] },
    });
    await mkdir(join(home.paths.secrets, 'oauth'), { recursive: true, mode: 0o700 });
    const account = { client_id: 'app', client_secret: SECRET, refresh_token: REFRESH, token_endpoint: endpoint.url };
    const file = join(home.paths.secrets, 'oauth', 'test.json');
    await writeFile(file, JSON.stringify({ ...account, token_endpoint_auth_method: 'client_secret_post' }), {
      mode: 0o600,
    });
    const outputs: string[] = [];
    const echo = `${REFRESH} ${SECRET} ${ACCESS}`;
    endpoint.reply = (_form, count) => {
      outputs.push(...workerStarts());
      if (count === 1) return { body: { access_token: ACCESS, expires_in: 3600, scope: 'read' } };
      if (count === 2) return { status: 500, body: { error: echo, error_description: echo } };
      if (count === 3) return { html: `<p>${echo}</p>` };
      return { status: 400, body: { error: 'invalid_grant', error_description: echo, error_uri: echo } };
    };
    await using daemon = await DaemonProcess.start(home);

    const commands = [
      ['refresh', 'test'],
      ['refresh'],
      ['refresh', 'test', '--json'],
      ['refresh', 'test'],
      ['status'],
      ['status', '--json'],
      ['validate', 'test'],
      ['get-secret', 'oauth/test'],
      ['get-secret', '--list'],
    ];
    for (const command of commands) {
      const { stdout, stderr } = await runCli(home, command);
      outputs.push(stdout, stderr);
    }
    outputs.push(readFileSync(`/proc/${daemon.pid}/cmdline`, 'utf8'), readEnvironmentOf(daemon.pid));
    await daemon.stop();
    outputs.push(daemon.stdout, daemon.stderr, readFileSync(home.paths.log, 'utf8'));

    const everything = outputs.join('\n');
    expect(everything).toContain('invalid_grant');
    expect(everything).toContain('refreshers/worker/main');
    for (const canary of [REFRESH, SECRET, ACCESS]) expect(everything.includes(canary), `found ${canary}`).toBe(false);
    // The search can fail: the token is where it belongs.
    expect(readFileSync(file, 'utf8')).toContain(ACCESS);
  },
);
