/**
 * A real OAuth server with rotation and reuse detection, on a clock that the test moves.
 */

import { describe, expect, it } from 'vitest';
import { AccountFiles, makeAccounts, makeAccountsWith, oauthDocument, token } from '../../support/account-files.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { OauthServer } from '../../support/oauth-server.ts';
import { WorkerProcesses } from '../../../src/refreshers/worker-process.ts';

const HOUR = 3_600_000;

describe('an account of a server that rotates refresh tokens', () => {
  it('is renewed by the first caller, and the rotated token is in the file with every field that nobody knows', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const first = await server.grant();
    await files.write(
      'oauth/test.json',
      oauthDocument(server.issuer, { refresh_token: first, note: { mine: [1, 2] } }),
    );
    const { accounts, clock } = makeAccounts(files);

    const value = await token(accounts, 'test');

    expect(value.expiresAt).toBe(clock.now() + HOUR);
    const saved = await files.read('oauth/test.json');
    expect(saved).toMatchObject({ access_token: value.accessToken, note: { mine: [1, 2] }, scopes: ['read', 'write'] });
    expect(saved['refresh_token']).not.toBe(first);
    expect(server.tokenCalls).toBe(1);
  });

  it('stays fresh for two weeks of ticks, and never sends a refresh token twice', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', oauthDocument(server.issuer, { refresh_token: await server.grant() }));
    const { accounts, clock } = makeAccounts(files);
    await accounts.scan();

    const minutes = 14 * 24 * 60;
    let stale = 0;
    for (let minute = 0; minute < minutes; minute += 10) {
      clock.advance(10 * 60_000);
      await accounts.tick();
      const [status] = await accounts.statuses();
      if (status?.state !== 'fresh') stale += 1;
    }

    expect(stale).toBe(0);
    expect(server.refusals).toBe(0);
    // Every 48 minutes is due, seen at the next look of ten minutes.
    expect(server.tokenCalls).toBeGreaterThanOrEqual(minutes / 60);
    expect(server.tokenCalls).toBeLessThanOrEqual(minutes / 48 + 1);
  });

  it('asks the token endpoint once for two hundred callers at once', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', oauthDocument(server.issuer, { refresh_token: await server.grant() }));
    const { accounts } = makeAccounts(files);

    const values = await Promise.all(Array.from({ length: 200 }, () => token(accounts, 'test')));

    expect(new Set(values.map((value) => value.accessToken)).size).toBe(1);
    expect(server.tokenCalls).toBe(1);
  });

  it('serves its first caller after one refresh when the machine slept for eight hours', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', oauthDocument(server.issuer, { refresh_token: await server.grant() }));
    const { accounts, clock } = makeAccounts(files);
    await token(accounts, 'test');

    clock.suspend(8 * HOUR);
    const value = await token(accounts, 'test');

    expect(value.expiresAt).toBe(clock.now() + HOUR);
    expect(server.tokenCalls).toBe(2);
  });

  it('is renewed by a worker process, which leaves no lock and no temporary file behind', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    await files.write('oauth/test.json', oauthDocument(server.issuer, { refresh_token: await server.grant() }));
    const clock = new ManualClock(Date.now());
    const { accounts } = makeAccountsWith(files, clock, new WorkerProcesses());

    const value = await token(accounts, 'test');

    expect(await files.read('oauth/test.json')).toMatchObject({ access_token: value.accessToken });
    expect(await files.list('oauth')).toEqual(['test.json']);
  });
});
