/**
 * Tokens that were granted and cannot be written: loud at once, the old ones stay, and nothing is
 * lost when the disk is fixed.
 */

import { mkdir, rm, rmdir, utimes, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { AccountFiles, makeAccounts, token, type Bench, type Document } from '../../support/account-files.ts';
import type { InProcessWorker } from '../../support/in-process-worker.ts';
import { TokenEndpoint } from '../../support/token-endpoint.ts';
import { until } from '../../support/until.ts';

const FILE = 'oauth/test.json';

/** Returns an account whose old token is valid for an hour. */
function account(url: string, now: number, fields: Document = {}): Document {
  return {
    token_endpoint: url,
    client_id: 'app',
    access_token: 'access-old',
    expires_at: Math.floor(now / 1000) + 3600,
    refresh_token: 'refresh-0',
    ...fields,
  };
}

/** Answers with rotated tokens; the first answer comes when something stands where the file was. */
async function breakWrites(endpoint: TokenEndpoint, files: AccountFiles, { clock }: Bench<InProcessWorker>) {
  await files.write(FILE, account(endpoint.url, clock.now()));
  endpoint.reply = async (_form, count) => {
    if (count === 1) {
      await rm(files.path(FILE));
      await mkdir(files.path(FILE));
    }
    return { body: { access_token: `access-${count}`, refresh_token: `refresh-${count}`, expires_in: 3600 } };
  };
}

it('are told at once while the old token is served, and are in the file when it can be written again', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  const bench = makeAccounts(files);
  const { accounts, clock, outcomes } = bench;
  await breakWrites(endpoint, files, bench);
  await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-old' });

  const refreshed = accounts.refresh('test');
  await until('the failure', () => {
    clock.advance(500);
    return outcomes.length > 0;
  });

  await expect(refreshed).resolves.toMatchObject([{ outcome: { kind: 'unsaved', remedy: expect.any(String) } }]);
  expect(outcomes).toMatchObject([{ outcome: { kind: 'unsaved', reason: expect.stringContaining('EISDIR') } }]);
  const [status] = await accounts.statuses();
  expect(status).toMatchObject({ state: 'stale', lastOutcome: { kind: 'unsaved' }, action: expect.any(String) });
  await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-old' });
  await accounts.tick();
  expect(endpoint.requests).toHaveLength(1);

  await rmdir(files.path(FILE));
  await writeFile(files.path(FILE), JSON.stringify(account(endpoint.url, clock.now())), { mode: 0o600 });
  await until('the tokens', () => {
    clock.advance(500);
    return outcomes.length > 1;
  });
  await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-1' });
  expect(await files.read(FILE)).toMatchObject({ refresh_token: 'refresh-1' });
  expect(await accounts.statuses()).toMatchObject([{ state: 'fresh', lastOutcome: { kind: 'refreshed' } }]);
  expect(endpoint.requests).toHaveLength(1);
  expect(await files.list('oauth')).toEqual(['test.json']);
});

it('give way to a grant that its user writes meanwhile', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  const bench = makeAccounts(files);
  const { accounts, clock, outcomes } = bench;
  await breakWrites(endpoint, files, bench);
  await token(accounts, 'test');
  await until('the failure', () => {
    clock.advance(500);
    if (outcomes.length === 0) void accounts.refresh('test');
    return outcomes.length > 0;
  });

  await rmdir(files.path(FILE));
  const theirs = account(endpoint.url, clock.now(), { refresh_token: 'refresh-theirs', access_token: 'access-theirs' });
  await files.write(FILE, theirs);
  await until('the end of the worker', () => {
    clock.advance(500);
    return outcomes.length > 1;
  });

  await expect(token(accounts, 'test')).resolves.toMatchObject({ accessToken: 'access-theirs' });
  expect(await files.read(FILE)).toEqual(theirs);
});

it('a file that another program is half through writing wins over what was granted', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  const { accounts, clock } = makeAccounts(files);
  await files.write(FILE, account(endpoint.url, clock.now(), { access_token: undefined }));
  const theirs = account(endpoint.url, clock.now(), { refresh_token: 'refresh-theirs', access_token: 'access-theirs' });
  endpoint.reply = async () => {
    await files.write(FILE, JSON.stringify(theirs).slice(0, 40));
    return { body: { access_token: 'access-1', refresh_token: 'refresh-1', expires_in: 3600 } };
  };

  const asked = token(accounts, 'test');
  await until('the half to be seen', () => clock.waits.some((wait) => wait <= 100));
  await files.write(FILE, theirs);
  clock.advance(100);

  await expect(asked).resolves.toMatchObject({ accessToken: 'access-theirs' });
  expect(await files.read(FILE)).toEqual(theirs);
});

it('what a worker left that was killed is removed by a later one, after a day and not before', async () => {
  await using endpoint = await TokenEndpoint.start();
  await using files = new AccountFiles();
  const { accounts, clock } = makeAccounts(files);
  await files.write(FILE, account(endpoint.url, clock.now()));
  const id = '01234567-89ab-cdef-0123-456789abcdef';
  const dead = [`.aipassd-${id}.tmp`, `.test.json.lock.${id}`];
  const young = `.aipassd-${id.replace('0', 'f')}.tmp`;
  for (const name of [...dead, young, '.aipassd-mine.tmp']) await files.write(`oauth/${name}`, 'refresh-lost');
  const before = Date.now() / 1000 - 90_000;
  for (const name of [...dead, '.aipassd-mine.tmp']) await utimes(files.path(`oauth/${name}`), before, before);
  endpoint.reply = () => ({ body: { access_token: 'access-1', expires_in: 3600 } });

  await accounts.refresh('test');

  expect(await files.list('oauth')).toEqual(['.aipassd-mine.tmp', young, 'test.json'].toSorted());
});
