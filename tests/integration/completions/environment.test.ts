import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CANARY, startFixture } from './completer-fixture.ts';

beforeEach(() => {
  vi.stubEnv('OPENAI_API_KEY', 'sk-environment-0123456789');
  vi.stubEnv('OPENAI_ADMIN_KEY', 'sk-environment-0123456789');
  vi.stubEnv('OPENAI_ORG_ID', 'org-environment');
  vi.stubEnv('OPENAI_PROJECT_ID', 'proj-environment');
  vi.stubEnv('OPENAI_BASE_URL', 'http://127.0.0.1:9/environment');
  vi.stubEnv('OPENAI_LOG', 'debug');
});

afterEach(() => {
  vi.unstubAllEnvs();
});

test('headers from the environment that cannot even be parsed do not stop the first request', async () => {
  vi.stubEnv('OPENAI_CUSTOM_HEADERS', 'no header: \u0007');
  await using fixture = await startFixture();
  expect((await fixture.ask()).content).toBe('pong');
});

test('a request carries the key and the headers of its provider, and nothing of the SDK or the environment', async () => {
  vi.stubEnv('OPENAI_CUSTOM_HEADERS', 'x-environment: yes');
  await using fixture = await startFixture({ config: { headers: { 'X-Title': 'Mine' } } });
  await fixture.ask();
  const headers = fixture.upstream.requests[0]?.headers ?? {};
  expect(headers).toMatchObject({
    accept: 'application/json',
    authorization: `Bearer ${CANARY}`,
    'http-referer': 'https://aipass.local',
    'x-title': 'Mine',
    'user-agent': 'aipassd',
    'content-type': 'application/json',
  });
  expect(Object.keys(headers).filter((name) => /stainless|openai|environment/.test(name))).toEqual([]);
  expect(JSON.stringify(headers)).not.toContain('environment');
});

test('the SDK prints nothing, whatever the environment says', async () => {
  const printed: unknown[] = [];
  for (const level of ['debug', 'info', 'warn', 'error', 'log'] as const) {
    vi.spyOn(console, level).mockImplementation((...parts: unknown[]) => void printed.push(parts));
  }
  await using fixture = await startFixture();
  await fixture.ask();
  fixture.upstream.queue({ kind: 'text', body: 'data: {broken\n\n', headers: { 'content-type': 'text/event-stream' } });
  await fixture.failure({ stream: true });
  expect(printed).toEqual([]);
});
