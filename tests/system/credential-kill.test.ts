/**
 * Keys that a daemon has written: they are credentials also where it was killed before it saved its state, and go to
 * the addresses of their credentials.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { startLoopbackProvider } from '../support/loopback-provider.ts';
import { until } from '../support/until.ts';
import { createTestDaemon } from '../support/test-daemon.ts';

const KEY = 'lk-killed-canary-0123456789abcd';

it('makes a credential with the derived id of a key whose daemon was killed before it saved its state', async () => {
  await using running = await createTestDaemon();
  const { envFile } = running.home.paths;
  const text = (): string => readFileSync(envFile, 'utf8');
  const before = text();
  const client = await running.connect();
  const created = client.credentials.create({ provider: 'local', account_key: 'team', api_key: KEY });
  const outcome = created.then(({ id }) => id).catch(() => undefined);
  await until('the key is in .env', () => text() !== before);
  await running.daemon.kill();
  await outcome;
  expect(text()).toBe(`${before}LOCAL_API_KEY_2=${KEY}\n`);

  running.daemon = await DaemonProcess.start(running.home);
  const again = await running.connect();
  const mine = (await again.credentials.list()).filter(({ key_id: keyId }) => keyId === 'LOCAL_API_KEY_2');
  expect(mine).toMatchObject([{ provider: 'local', has_api_key: true, api_key_last_four: KEY.slice(-4) }]);
  expect(text()).toBe(`${before}LOCAL_API_KEY_2=${KEY}\n`);

  // Somebody who writes the same line by hand gets the same id.
  await using other = await createTestDaemon();
  writeFileSync(other.home.paths.envFile, text());
  const third = await other.connect();
  const [same] = await until('the key is there', async () => {
    const found = (await third.credentials.list()).filter(({ key_id: keyId }) => keyId === 'LOCAL_API_KEY_2');
    return found.length > 0 && found;
  });
  expect(mine[0]?.id).toBe(same?.id);
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
