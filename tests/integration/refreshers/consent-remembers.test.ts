/**
 * What a consent asks for, what it remembers, and what its user is told, against endpoints that
 * answer as they are told.
 */

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ConsentPrompt } from '../../../src/protocol/oauth.ts';
import { Consents, type Consented } from '../../../src/refreshers/consents.ts';
import { AccountFiles, makeAccounts, token, type Document } from '../../support/account-files.ts';
import { TokenEndpoint, type TokenReply } from '../../support/token-endpoint.ts';
import { until } from '../../support/until.ts';

type Made = ReturnType<typeof makeAccounts>;

const GUESS = 'middle-of-a-secret';
const SCOPES = ['offline_access', 'User.Read', 'Mail.Read'];

async function open(files: AccountFiles, url: string, fields: Document = {}): Promise<Made> {
  await files.write('oauth/test.json', {
    authorization_endpoint: 'https://example.org/authorize?tenant=one',
    token_endpoint: url,
    device_authorization_endpoint: url,
    client_id: 'app',
    scopes: SCOPES,
    ...fields,
  });
  return makeAccounts(files);
}

/**
 * Consents as a user whose provider answers the authorization request with the given parameters.
 */
async function consent(
  { accounts, worker }: Made,
  answer: Readonly<Record<string, string>>,
  device = false,
  scopes?: readonly string[],
): Promise<{ readonly asked: URLSearchParams; readonly done: Consented }> {
  let asked = new URLSearchParams();
  const onPrompt = (_: string, prompt: ConsentPrompt): void => {
    if (prompt.kind !== 'browser') return;
    asked = new URL(prompt.url).searchParams;
    const redirect = new URL(asked.get('redirect_uri') ?? '');
    redirect.search = new URLSearchParams({ state: asked.get('state') ?? '', ...answer }).toString();
    void fetch(redirect);
  };
  const account = accounts.describe('test');
  const request = { device, port: 0, timeoutMs: 30_000, ...(scopes === undefined ? {} : { scopes }) };
  const done = await new Consents(worker).run(account, request, onPrompt, new AbortController().signal);
  await (await accounts.find('test')).reload();
  return { asked, done };
}

describe('a consent', () => {
  it('asks again for all that was asked for, whatever was granted the last time', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const made = await open(files, endpoint.url);
    endpoint.reply = () => ({
      body: { access_token: 'a', expires_in: 3600, refresh_token: 'r', scope: 'User.Read', token_type: 'Bearer' },
    });

    const first = await consent(made, { code: 'one' });
    expect(first.asked.get('scope')).toBe(SCOPES.join(' '));
    expect(first.asked.get('tenant')).toBe('one');
    expect(first.done).toMatchObject({ scopes: ['User.Read'], refusedScopes: ['Mail.Read'], renewable: true });
    const second = await consent(made, { code: 'two' });
    expect(second.asked.get('scope')).toBe(SCOPES.join(' '));
    expect(await files.read('oauth/test.json')).toMatchObject({ scopes: ['User.Read'], requested_scopes: SCOPES });
  });

  it('sends audience and resource to the page and to the token endpoint', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const made = await open(files, endpoint.url, { audience: 'https://api/', resource: ['https://a/', 'https://b/'] });
    endpoint.reply = () => ({ body: { access_token: 'a', expires_in: 3600 } });

    const { asked } = await consent(made, { code: 'one' });
    for (const parameters of [asked, endpoint.requests[0]]) {
      expect(parameters?.getAll('audience')).toEqual(['https://api/']);
      expect(parameters?.getAll('resource')).toEqual(['https://a/', 'https://b/']);
    }
  });

  it.each([
    ['at the page', { error: 'access_denied', error_description: 'AADSTS90094: admin consent is needed' }, undefined],
    ['at the token endpoint', { code: 'x' }, { error: 'invalid_client', error_description: 'use client_secret_post' }],
  ])(
    "shows the provider's code and words, and a remedy that can work, when it is refused %s",
    async (_, answer, body) => {
      await using endpoint = await TokenEndpoint.start();
      await using files = new AccountFiles();
      const made = await open(files, endpoint.url);
      endpoint.reply = () => ({ status: 401, body });

      const words = body ?? answer;
      await expect(consent(made, answer)).rejects.toMatchObject({
        code: 'PROVIDER_REJECTED',
        message: expect.stringContaining(`${words.error ?? ''} ("${words.error_description ?? ''}")`),
        hint: expect.stringMatching(body === undefined ? /administrator/ : /token_endpoint_auth_method/),
      });
    },
  );

  it.each(['in the redirect', 'as the code', 'as a scope'])(
    'does not tell whether a guess that its caller sent %s is part of a secret',
    async (place) => {
      await using endpoint = await TokenEndpoint.start();
      await using files = new AccountFiles();
      const made = await open(files, endpoint.url, {
        client_secret: `begins-${GUESS}-ends`,
        refresh_token: 'unsent-9876',
      });
      // The provider repeats what it was sent, and a secret that nobody sent.
      endpoint.reply = (form) => ({
        status: 400,
        body: {
          error: 'invalid_request',
          error_description: `not good: ${form.get('code') ?? form.get('scope') ?? ''}, unsent-9876`,
        },
      });
      const scopes = place === 'as a scope' ? [GUESS] : undefined;
      const refusal = { error: 'access_denied', error_description: `not good: ${GUESS}` };
      const answer = place === 'in the redirect' ? refusal : { code: GUESS };
      const failed = consent(made, answer, scopes !== undefined, scopes);
      await expect(failed).rejects.toMatchObject({ message: expect.stringContaining(GUESS) });
      await expect(failed).rejects.not.toMatchObject({ message: expect.stringContaining('unsent-9876') });
    },
  );

  it('by device code proves itself with PKCE', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const made = await open(files, endpoint.url);
    endpoint.reply = (form) => ({
      body: form.has('device_code')
        ? { access_token: 'a', expires_in: 3600 }
        : {
            device_code: 'd',
            user_code: 'ABCD',
            verification_uri: 'https://example.org/device',
            expires_in: 600,
            interval: 1,
          },
    });

    const running = consent(made, {}, true);
    await expect.poll(() => made.clock.waits.length).toBeGreaterThan(0);
    made.clock.advance(1000);
    await running;
    const [start, exchange] = endpoint.requests;
    const challenge = createHash('sha256')
      .update(exchange?.get('code_verifier') ?? '')
      .digest('base64url');
    expect(start?.get('code_challenge')).toBe(challenge);
    expect(start?.get('code_challenge_method')).toBe('S256');
    await expect(token(made.accounts, 'test')).resolves.toMatchObject({ accessToken: 'a' });
  });
});

/** Returns an answer in a form. */
function formReply(fields: Readonly<Record<string, string>>): TokenReply {
  return {
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  };
}

/**
 * Answers the begin of a flow with the first reply, and each question whether the user is done with
 * the next.
 */
async function flow(endpoint: TokenEndpoint, made: Made, replies: readonly TokenReply[]): Promise<Consented> {
  endpoint.reply = (_, count) => replies[count - 1] ?? 'stall';
  let isDone = false;
  const running = consent(made, {}, true).finally(() => {
    isDone = true;
  });
  running.catch(() => {});
  await until('the end of the flow', () => {
    made.clock.advance(5_000);
    return isDone;
  });
  return (await running).done;
}

describe('a device flow', () => {
  const begin = { device_code: 'd', user_code: 'ABCD', verification_uri: 'https://example.org/device' };
  const granted: TokenReply = { body: { access_token: 'a', expires_in: 3600, refresh_token: 'r' } };

  it.each<[string, readonly TokenReply[]]>([
    [
      'with numbers as texts',
      [
        { body: { ...begin, expires_in: '900', interval: '5', message: 'open the page' } },
        { status: 400, body: { error: 'authorization_pending', error_description: 'AADSTS70016: pending.' } },
        granted,
      ],
    ],
    [
      'in forms, with errors under status 200',
      [
        formReply({ ...begin, expires_in: '899', interval: '5' }),
        formReply({ error: 'authorization_pending' }),
        formReply({ error: 'slow_down', interval: '10' }),
        formReply({ access_token: 'a', refresh_token: 'r', token_type: 'bearer', scope: '' }),
      ],
    ],
    [
      'without lifetime and interval, through faults of the server',
      [{ body: begin }, { html: '<h1>Bad gateway</h1>', status: 502 }, 'reset', { status: 429, body: {} }, granted],
    ],
  ])('%s comes to its end', async (_, replies) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const made = await open(files, endpoint.url);

    expect(await flow(endpoint, made, replies)).toMatchObject({ renewable: true });
    expect(endpoint.requests).toHaveLength(replies.length);
  });

  it.each(['access_denied', 'expired_token'])('that ends with %s is reported, and not asked again', async (error) => {
    await using endpoint = await TokenEndpoint.start();
    await using files = new AccountFiles();
    const made = await open(files, endpoint.url);

    await expect(
      flow(endpoint, made, [{ body: { ...begin, expires_in: 60 } }, { status: 400, body: { error } }]),
    ).rejects.toMatchObject({ code: 'PROVIDER_REJECTED', message: expect.stringContaining(error) });
    expect(endpoint.requests).toHaveLength(2);
  });
});
