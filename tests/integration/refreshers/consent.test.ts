/**
 * Consent against a real OAuth server: in a browser here, in one elsewhere, by device code; and
 * revocation.
 */

import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { Consents, type Consented } from '../../../src/refreshers/consents.ts';
import type { ConsentPrompt } from '../../../src/protocol/oauth.ts';
import { AccountFiles, makeAccountsWith, oauthDocument, token, type Bench } from '../../support/account-files.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { OauthServer } from '../../support/oauth-server.ts';
import { WorkerProcesses } from '../../../src/refreshers/worker-process.ts';

interface Flow {
  readonly prompt: ConsentPrompt;
  readonly id: string;
  readonly done: Promise<Consented>;
  readonly consents: Consents;
  readonly abort: AbortController;
}

/** Starts a consent in a worker process and resolves when it says what the user has to do. */
async function start(
  { accounts, worker }: Bench<WorkerProcesses>,
  request: { device?: boolean; scopes?: readonly string[]; timeoutMs?: number; port?: number } = {},
): Promise<Flow> {
  const consents = new Consents(worker);
  const abort = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<Flow>();
  const done = consents.run(
    accounts.describe('test'),
    { device: false, port: 0, timeoutMs: 60_000, ...request },
    (id, prompt) => resolve({ prompt, id, done, consents, abort }),
    abort.signal,
  );
  done.catch(reject);
  return await promise;
}

async function bench(files: AccountFiles, server: OauthServer): Promise<Bench<WorkerProcesses>> {
  await files.write('oauth/test.json', oauthDocument(server.issuer, { scopes: ['read'] }));
  const made = makeAccountsWith(files, new ManualClock(Date.now()), new WorkerProcesses());
  return made;
}

function urlOf(prompt: ConsentPrompt): string {
  if (prompt.kind !== 'browser') throw new Error('that is no browser consent');
  return prompt.url;
}

describe('consent in a browser', () => {
  it('saves what was granted and remembers the scopes', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const accounts = await bench(files, server);
    const flow = await start(accounts, { scopes: ['read', 'write'] });

    const page = await fetch(await server.consent(urlOf(flow.prompt)));

    expect(await page.text()).toContain('You can close this window');
    expect(await flow.done).toMatchObject({ scopes: ['read', 'write'], refusedScopes: [], renewable: true });
    expect(await files.read('oauth/test.json')).toMatchObject({ scopes: ['read', 'write'], client_id: 'app' });
    await expect(token(accounts.accounts, 'test')).resolves.toMatchObject({ scopes: ['read', 'write'] });
  });

  it('uses PKCE, and shows the verifier to nobody', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const flow = await start(await bench(files, server));

    const url = new URL(urlOf(flow.prompt));

    expect(url.searchParams.get('code_challenge_method')).toBe('S256');
    expect(url.searchParams.get('scope')).toBe('read');
    flow.abort.abort();
    await expect(flow.done).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('goes on waiting after redirects that are not its own, and asks the provider for nothing', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const flow = await start(await bench(files, server));
    const before = await files.read('oauth/test.json');
    const own = await server.consent(urlOf(flow.prompt));
    const redirect = new URL(own);
    for (const [name, value] of [
      ['state', 'of-another'],
      ['state', ''],
      ['error', 'access_denied'],
    ] as const) {
      redirect.searchParams.set(name, value);
      expect((await fetch(redirect)).status).toBe(400);
    }
    expect((await fetch(own, { method: 'POST' })).status).toBe(404);
    const silent = Array.from({ length: 200 }, () => connect({ host: '127.0.0.1', port: Number(redirect.port) }));
    for (const socket of silent) socket.on('error', () => {});
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    expect(server.tokenCalls).toBe(0);
    expect(await files.read('oauth/test.json')).toEqual(before);

    expect((await fetch(own)).status).toBe(200);
    expect(await flow.done).toMatchObject({ renewable: true });
    for (const socket of silent) socket.destroy();
  });

  it('takes the pasted address of a browser elsewhere', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const flow = await start(await bench(files, server));

    flow.consents.paste(flow.id, `  ${await server.consent(urlOf(flow.prompt))}\n`);

    expect(await flow.done).toMatchObject({ renewable: true });
  });

  it('answers neither another path nor another host, and goes on waiting', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const flow = await start(await bench(files, server));
    const { origin } = new URL(new URL(urlOf(flow.prompt)).searchParams.get('redirect_uri') ?? '');

    expect((await fetch(`${origin}/favicon.ico`)).status).toBe(404);
    expect((await fetch(`${origin}/callback`)).status).toBe(404);
    await fetch(await server.consent(urlOf(flow.prompt)));

    expect(await flow.done).toMatchObject({ renewable: true });
    await expect(fetch(`${origin}/callback?code=1&state=2`)).rejects.toThrow('fetch failed');
  });

  it('refuses a second consent for the same account while the first waits', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const made = await bench(files, server);
    const flow = await start(made);

    const second = flow.consents.run(
      made.accounts.describe('test'),
      { device: false, port: 0, timeoutMs: 1000 },
      () => {},
      new AbortController().signal,
    );

    await expect(second).rejects.toMatchObject({ message: expect.stringContaining('already under way') });
    flow.abort.abort();
    await expect(flow.done).rejects.toBeInstanceOf(AipassError);
  });

  it('ends when nobody consents in time', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();

    const flow = await start(await bench(files, server), { timeoutMs: 300 });

    await expect(flow.done).rejects.toMatchObject({ code: 'TIMED_OUT' });
  });

  it('reports a refusal of the user', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const flow = await start(await bench(files, server));
    const asked = new URL(urlOf(flow.prompt)).searchParams;
    const redirect = new URL(asked.get('redirect_uri') ?? '');
    redirect.search = new URLSearchParams({ error: 'access_denied', state: asked.get('state') ?? '' }).toString();

    const page = fetch(redirect);

    await expect(flow.done).rejects.toMatchObject({ code: 'PROVIDER_REJECTED' });
    await (await page).text();
  });
});

describe('consent by device code', () => {
  it('shows a code, waits for its user and saves what was granted', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const accounts = await bench(files, server);
    const flow = await start(accounts, { device: true });
    if (flow.prompt.kind !== 'device') throw new Error('that is no device flow');

    await server.approveDevice(flow.prompt.userCode);

    expect(await flow.done).toMatchObject({ renewable: true });
    await expect(token(accounts.accounts, 'test')).resolves.toMatchObject({ scopes: ['read'] });
  });
});

describe('client credentials', () => {
  it('bring a token without any user', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    await files.write(
      'oauth/test.json',
      oauthDocument(server.issuer, { grant_type: 'client_credentials', scopes: ['read'] }),
    );
    const { accounts } = makeAccountsWith(files, new ManualClock(Date.now()), new WorkerProcesses());

    await expect(token(accounts, 'test')).resolves.toMatchObject({ scopes: ['read'] });
    expect(await accounts.statuses()).toMatchObject([{ kind: 'client-credentials', state: 'fresh' }]);
  });
});

describe('revocation', () => {
  it('ends the grant at the provider, deletes the tokens here, and keeps everything else', async () => {
    await using server = await OauthServer.start();
    await using files = new AccountFiles();
    const refreshToken = await server.grant();
    await files.write('oauth/test.json', oauthDocument(server.issuer, { refresh_token: refreshToken, note: 'mine' }));
    const { accounts, worker } = makeAccountsWith(files, new ManualClock(Date.now()), new WorkerProcesses());
    const account = accounts.describe('test');

    expect(await worker.run({ kind: 'revoke', account })).toEqual({ kind: 'revoked', atProvider: true });

    const left = await files.read('oauth/test.json');
    expect(left).toMatchObject({ note: 'mine', scopes: ['read', 'write'] });
    expect(left).not.toHaveProperty('refresh_token');
    await expect(token(accounts, 'test')).rejects.toMatchObject({ code: 'REAUTH_REQUIRED' });
    await files.write('oauth/test.json', oauthDocument(server.issuer, { refresh_token: refreshToken }));
    await expect(token(accounts, 'test')).rejects.toMatchObject({ message: expect.stringContaining('invalid_grant') });
  });
});
