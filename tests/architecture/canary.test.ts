/**
 * Plants secrets everywhere, provokes every kind of success and failure, and looks for them in all
 * that comes out.
 */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { LoopbackProvider, Reply } from '../support/loopback-provider.ts';
import { readEnvironmentOf } from '../support/process-environment.ts';
import { RawClient } from '../support/raw-client.ts';
import { until } from '../support/until.ts';
import { LOCAL_KEY, OPENROUTER_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

const RAW_SECRET = 'canary-raw-secret-7391';
const JSON_SECRET = 'canary "quoted" json-secret-8402';
const BROKEN_SECRET = 'canary-broken-secret-9513';
const CANARIES = [
  LOCAL_KEY,
  OPENROUTER_KEY,
  RAW_SECRET,
  JSON_SECRET,
  JSON.stringify(JSON_SECRET).slice(1, -1),
  BROKEN_SECRET,
];

/** Returns the planted secrets that a text contains. */
function leaked(text: string): string[] {
  return CANARIES.filter((canary) => text.includes(canary));
}

it('no secret shows up in any output, log, state file, command line or environment', async () => {
  await using running = await createTestDaemon({ log: { level: 'debug' } });
  const { home, daemon, provider } = running;
  await plant(running);
  const outputs: string[] = [];

  echoTheKey(provider);
  const commands = [
    [],
    ['status'],
    ['status', '--json'],
    ['get-key'],
    ['get-key', 'openrouter', '--json'],
    ['get-key', 'brokn'],
    ['get-secret', 'vault/raw'],
    ['get-secret', '--list', '--json'],
    ['get-secret', 'vault/json', '--out', join(home.path, 'taken')],
    ['validate', 'local', '--online'],
    ['test'],
    ['models', '--json'],
    ['call', 'say it', '--model', 'm', '--stream'],
    ['call', 'say it', '--model', 'm'],
    ['list-providers', '--json'],
    ['run'],
  ];
  for (const command of commands) {
    const { stdout, stderr } = await running.cli(command);
    outputs.push(stdout, stderr);
  }
  for (const reply of badReplies()) {
    provider.queue(reply, reply);
    for (const more of [[], ['--stream']]) {
      const { stdout, stderr } = await running.cli(['call', 'x', '--model', 'm', ...more]);
      outputs.push(stdout, stderr);
    }
  }
  outputs.push(await badRequests(home.paths.socket));
  outputs.push(readFileSync(`/proc/${daemon.pid}/cmdline`, 'utf8'), readEnvironmentOf(daemon.pid));

  await daemon.stop();
  outputs.push(daemon.stdout, daemon.stderr, ...filesUnder(home.paths.state), ...filesUnder(home.paths.runtime));
  const everything = outputs.join('\n');
  expect(everything.length).toBeGreaterThan(10_000);
  expect(leaked(everything)).toEqual([]);
  // The search can fail.
  for (const canary of CANARIES) expect(leaked(`${everything}x${canary}`)).toContain(canary);
  // What was asked for by name is where it belongs.
  expect(readFileSync(join(home.path, 'taken'), 'utf8')).toContain(JSON_SECRET);
});

async function plant({ home, daemon }: TestDaemon): Promise<void> {
  const folder = join(home.paths.secrets, 'vault');
  await mkdir(folder, { mode: 0o700 });
  await writeFile(join(folder, 'raw'), RAW_SECRET, { mode: 0o600 });
  await writeFile(join(folder, 'json.json'), JSON.stringify({ token: JSON_SECRET }), { mode: 0o600 });
  await writeFile(join(folder, 'broken.json'), `{"token": "${BROKEN_SECRET}`, { mode: 0o600 });
  await writeFile(
    home.paths.envFile,
    `LOCAL_API_KEY=${LOCAL_KEY}\nOPENROUTER_API_KEY=${OPENROUTER_KEY}\nOPENROUTER_API_KEY=${OPENROUTER_KEY}\nBROKEN_API_KEY="${BROKEN_SECRET}\n`,
  );
  await until(
    'the daemon has seen it all',
    () => daemon.stdout.includes('broken.json') && daemon.stdout.includes('.env'),
  );
}

/** Makes the provider a chatterbox: whatever it is asked, it names the key. */
function echoTheKey(provider: LoopbackProvider): void {
  const body = {
    error: {
      message: `your key ${LOCAL_KEY} (Bearer ${LOCAL_KEY}) is bad`,
      code: LOCAL_KEY,
      type: LOCAL_KEY,
      metadata: { raw: LOCAL_KEY },
    },
  };
  const headers = { 'x-request-id': LOCAL_KEY, 'retry-after': LOCAL_KEY };
  for (const path of ['/v1/models', '/v1/key']) provider.route(path, { kind: 'json', status: 401, body, headers });
  provider.answerWith({ kind: 'json', status: 400, body, headers });
}

function badReplies(): Reply[] {
  const text = `<html>${LOCAL_KEY}</html>`;
  return [
    { kind: 'text', body: text, headers: { 'content-type': 'text/html' } },
    { kind: 'text', body: text, headers: { 'content-type': 'application/json' } },
    { kind: 'text', body: `data: ${LOCAL_KEY}\n\n`, headers: { 'content-type': 'text/event-stream' } },
    {
      kind: 'text',
      body: `event: thread.x\ndata: {${LOCAL_KEY}\n\n`,
      headers: { 'content-type': 'text/event-stream' },
    },
    {
      kind: 'text',
      body: `event: error\ndata: {"error":"${LOCAL_KEY}"}\n\n`,
      headers: { 'content-type': 'text/event-stream' },
    },
    { kind: 'events', events: [{ error: { message: LOCAL_KEY, code: LOCAL_KEY, metadata: { key: LOCAL_KEY } } }] },
    { kind: 'text', status: 302, body: '', headers: { location: `http://127.0.0.1:1/?key=${LOCAL_KEY}` } },
    { kind: 'json', status: 500, body: LOCAL_KEY },
    { kind: 'json', status: 429, body: { error: LOCAL_KEY }, headers: { 'retry-after': '1' } },
  ];
}

/**
 * Sends a key wherever a name belongs. It is masked by its shape alone: see
 * tests/system/no-oracle.test.ts.
 */
async function badRequests(socket: string): Promise<string> {
  await using client = await RawClient.greet(socket, { caller: OPENROUTER_KEY });
  const wrong: (readonly [string, unknown])[] = [
    [OPENROUTER_KEY, {}],
    ['key.get', { provider: OPENROUTER_KEY }],
    ['key.get', { provider: 'local', keyId: OPENROUTER_KEY }],
    ['secret.get', { name: `vault/${OPENROUTER_KEY}` }],
    ['completion.create', { model: 'm', messages: OPENROUTER_KEY }],
    [
      'completion.create',
      { model: 'm', provider: OPENROUTER_KEY, messages: [{ role: 'user', content: OPENROUTER_KEY }] },
    ],
    [OPENROUTER_KEY, OPENROUTER_KEY],
  ];
  for (const [id, [op, params]] of wrong.entries()) client.request(id, op, params);
  await until('all are answered', () => client.messages.length > wrong.length);
  return JSON.stringify(client.messages);
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'));
}
