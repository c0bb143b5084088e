/**
 * Keys that a daemon has written. They are credentials also where it was killed before it saved its
 * state, and go to the addresses of their credentials.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { startLoopbackProvider } from '../support/loopback-provider.ts';
import { until } from '../support/until.ts';
import { createTestDaemon } from '../support/test-daemon.ts';

const KEY = 'lk-killed-canary-0123456789abcd';

it('keeps the address and the names of a key whose daemon was killed right after it wrote the key', async () => {
  await using other = await startLoopbackProvider();
  other.route('/v1/models', { kind: 'json', body: { data: [{ id: 'elsewhere' }] } });
  await using running = await createTestDaemon();
  const { envFile } = running.home.paths;
  const text = (): string => readFileSync(envFile, 'utf8');
  const before = text();
  const fields = { account_key: 'team', display_name: 'Team', base_url: other.baseUrl, active: false };
  const client = await running.connect();
  const created = client.credentials.create({ provider: 'local', api_key: KEY, ...fields });
  const outcome = created.then(({ id }) => id).catch(() => undefined);
  await until('the key is in .env', () => text() !== before);
  await running.daemon.kill();
  const answered = await outcome;
  expect(text()).toBe(`${before}LOCAL_API_KEY_2=${KEY}\n`);

  running.daemon = await DaemonProcess.start(running.home);
  const again = await running.connect();
  const mine = (await again.credentials.list()).filter(({ key_id: keyId }) => keyId === 'LOCAL_API_KEY_2');
  expect(mine).toMatchObject([{ provider: 'local', ...fields, has_api_key: true, api_key_last_four: KEY.slice(-4) }]);
  expect([undefined, mine[0]?.id]).toContain(answered);
  const { models } = await again.credentials.usage(mine[0]?.id ?? '');
  expect(models).toEqual(['elsewhere']);
  expect(running.provider.requests.filter(({ key }) => key === KEY)).toEqual([]);
});

it.each([
  ['created', { account_key: 'bare' }, { account_key: 'bare' }],
  ['switched off', { active: false }, { active: false }],
  ['moved', { base_url: 'https://proxy.example.org', api_key: KEY }, { base_url: 'https://proxy.example.org' }],
  ['deleted', undefined, { isGone: true }],
])('loses nothing that was answered: a daemon killed after a credential was %s', async (kind, change, expected) => {
  await using running = await createTestDaemon();
  const aipass = await running.connect();
  const { credentials } = aipass;
  const own = (await credentials.list({ provider: 'local' }))[0]?.id ?? '';
  const id = kind === 'created' ? (await credentials.create({ provider: 'local', account_key: 'bare' })).id : own;
  if (change === undefined) await credentials.delete(id);
  else if (kind !== 'created') await credentials.update({ id, ...change });
  await running.daemon.kill();
  running.daemon = await DaemonProcess.start(running.home);
  const left = (await (await running.connect()).credentials.list()).find((one) => one.id === id);
  expect(left ?? { isGone: true }).toMatchObject(expected);
});

it('makes the same credential of a line that somebody writes by hand, on every machine', async () => {
  const ids = await Promise.all(
    [0, 1].map(async () => {
      await using running = await createTestDaemon();
      const { envFile } = running.home.paths;
      writeFileSync(envFile, `${readFileSync(envFile, 'utf8')}LOCAL_API_KEY_2=${KEY}\n`);
      const aipass = await running.connect();
      return await until('the key is there', async () => {
        const found = await aipass.credentials.list();
        return found.find(({ key_id: keyId }) => keyId === 'LOCAL_API_KEY_2')?.id;
      });
    }),
  );
  expect(ids[0]).toBe(ids[1]);
});

it('sends a key for a check to the base URL of its credential, and nowhere else', async () => {
  await using other = await startLoopbackProvider();
  other.route('/v1/models', { kind: 'json', body: { data: [{ id: 'elsewhere' }] } });
  await using running = await createTestDaemon({ local: { keyCheck: { url: 'http://127.0.0.1:1/v1/models' } } });
  const aipass = await running.connect();
  const own = (await aipass.credentials.list()).find(({ provider }) => provider === 'local');
  if (!own) throw new Error('there is no credential of local');
  await aipass.credentials.update({ id: own.id, base_url: other.baseUrl, api_key: KEY });
  const verdicts = await aipass.validate('local', { online: true });
  expect(verdicts).toMatchObject([{ keyId: 'LOCAL_API_KEY', verdict: 'valid', checked: 'online' }]);
  expect((await aipass.models('local')).map(({ id }) => id)).toEqual(['elsewhere']);
  expect(running.provider.requests).toEqual([]);
  expect(other.requests.map(({ key }) => key)).toEqual([KEY, KEY]);
});
