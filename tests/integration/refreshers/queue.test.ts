/**
 * The one queue of worker processes.
 */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { MAX_WORKERS, WorkerProcesses } from '../../../src/refreshers/worker-process.ts';
import { AccountFiles, makeAccountsWith, token } from '../../support/account-files.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { runProgram } from '../../support/run-program.ts';
import { TokenEndpoint } from '../../support/token-endpoint.ts';

const ACCOUNTS = 40;

async function writeAccounts(files: AccountFiles, url: string): Promise<readonly string[]> {
  const names = Array.from({ length: ACCOUNTS }, (_, index) => `account${index}`);
  for (const name of names) {
    await files.write(`oauth/${name}.json`, {
      token_endpoint: url,
      client_id: 'app',
      client_secret: 'secret',
      token_endpoint_auth_method: 'client_secret_post',
      refresh_token: name,
    });
  }
  return names;
}

describe('the queue of workers', () => {
  it('gives every caller its token, with no more than eight workers at once', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const names = await writeAccounts(files, endpoint.url);
    const { accounts } = makeAccountsWith(files, new ManualClock(), new WorkerProcesses());
    let open = 0;
    let peak = 0;
    endpoint.reply = async (form) => {
      open += 1;
      peak = Math.max(peak, open);
      await new Promise(setImmediate);
      open -= 1;
      return { body: { access_token: `for ${form.get('refresh_token')}`, expires_in: 3600 } };
    };

    const values = await Promise.all(names.map((name) => token(accounts, name)));
    expect(values.map(({ accessToken }) => accessToken)).toEqual(names.map((name) => `for ${name}`));
    expect(endpoint.requests).toHaveLength(ACCOUNTS);
    expect(peak).toBeLessThanOrEqual(MAX_WORKERS);
  });

  it('lets a caller go before refreshes that nobody waits for', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const names = await writeAccounts(files, endpoint.url);
    const { accounts } = makeAccountsWith(files, new ManualClock(), new WorkerProcesses());
    const last = names.at(-1) ?? '';
    const all = Promise.withResolvers<void>();
    endpoint.reply = async (form, count) => {
      // Until all workers are busy, nobody asks.
      if (count === MAX_WORKERS) all.resolve();
      await all.promise;
      return { body: { access_token: `for ${form.get('refresh_token')}`, expires_in: 3600 } };
    };

    await accounts.scan();
    const refreshes = [...accounts].map((account) => account.refresh());
    await all.promise;
    await token(accounts, last);
    const order = endpoint.requests.map((form) => form.get('refresh_token'));
    expect(order.indexOf(last)).toBeLessThanOrEqual(2 * MAX_WORKERS);
    await Promise.all(refreshes);
  });
});

describe('a worker that cannot be started', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('fails its job alone, and its place is free again', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const names = await writeAccounts(files, endpoint.url);
    const { accounts, clock } = makeAccountsWith(files, new ManualClock(), new WorkerProcesses());
    endpoint.reply = () => ({ body: { access_token: 'new', expires_in: 3600 } });
    // Too long for the system, which spawn() reports by throwing.
    vi.stubEnv('NO_PROXY', 'x'.repeat(4_000_000));
    const failed = await accounts.refresh();
    expect(failed).toHaveLength(names.length);
    for (const { outcome } of failed) {
      expect(outcome).toMatchObject({
        kind: 'transient',
        reason: expect.stringContaining('no worker could be started: '),
      });
    }

    vi.unstubAllEnvs();
    clock.suspend(3_600_000);
    await expect(token(accounts, names[0] ?? '')).resolves.toMatchObject({ accessToken: 'new' });
    accounts.stop();
  });

  it('for lack of file descriptors rejects its job', async () => {
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { WorkerProcesses } from ${JSON.stringify(import.meta.resolve('../../../src/refreshers/worker-process.ts'))};
      const fds = [];
      try {
        for (;;) fds.push(openSync('/dev/null'));
      } catch {}
      const failure = new WorkerProcesses().run({}).catch((error) => error);
      const { message } = await failure;
      for (const fd of fds) closeSync(fd);
      console.log(message);
    `;
    const limited = ['-c', 'ulimit -n 100; exec "$0" --input-type=module -e "$1"', process.execPath, script];

    const { code, stdout, stderr } = await runProgram('/bin/sh', limited);

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^no worker could be started: .*EMFILE/);
  });
});
