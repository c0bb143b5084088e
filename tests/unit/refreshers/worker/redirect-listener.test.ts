import { expect, it } from 'vitest';
import { openRedirectListener } from '../../../../src/refreshers/worker/consent-browser.ts';

it.each([
  'http://[::1]:8123/callback',
  'http://127.0.0.2:8123/callback',
  'https://example.org/callback',
  'https://localhost:8123/callback',
])('a redirect to %s, which is not listened at, has to be pasted', async (registered) => {
  const listener = await openRedirectListener(registered, 0);
  listener.close();

  expect(listener).toMatchObject({ redirectUri: registered, isListening: false });
});
