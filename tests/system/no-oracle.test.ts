/**
 * Nothing that a caller sent tells, by what comes back, whether it is part of a secret. Each probe
 * is sent twice: with a piece of a secret, and with another text of the same form. The two answers
 * may differ in that text alone.
 */

import { chmodSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startClientProgram } from '../support/client-program.ts';
import { until } from '../support/until.ts';
import { LOCAL_KEY, OPENROUTER_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

/** A user that no machine has; the configuration grants it `use` by number. */
const ATTACKER = 54_011;

const RAW_SECRET = 'opaque-words-of-a-weak-secret';

/**
 * Pieces of held secrets, and whole ones, each beside a text of the same letters and length that is
 * in none.
 */
const GUESSES: readonly (readonly [name: string, guess: string, control: string])[] = [
  ['a piece of a key', OPENROUTER_KEY.slice(1, 24), `${OPENROUTER_KEY.slice(1, 20)}zzzz`],
  ['a piece of an unshaped key', LOCAL_KEY.slice(0, 20), `${LOCAL_KEY.slice(0, 16)}zzzz`],
  ['a whole unshaped key', LOCAL_KEY, `${LOCAL_KEY.slice(0, -4)}zzzz`],
  ['a whole opaque secret', RAW_SECRET, `${RAW_SECRET.slice(0, -4)}zzzz`],
];

/**
 * Sends every probe with a text, as another user where this is root, and returns the answers as one
 * text.
 */
async function probe(running: TestDaemon, text: string): Promise<string> {
  const become =
    process.getuid?.() === 0 ? `process.setgroups([]); process.setgid(${ATTACKER}); process.setuid(${ATTACKER});` : '';
  running.provider.queue({
    kind: 'json',
    status: 400,
    body: { error: { message: `no model ${text} (or "${text}")`, code: text } },
  });
  await using program = startClientProgram(
    running.home.paths.socket,
    `
      ${become}
      const text = process.env.PROBE;
      const aipass = await connect({ socket, caller: text });
      const probes = [
        [text, {}],
        ['pool.explain', { provider: text }],
        ['pool.explain', { provider: 'local', model: text }],
        ['pool.list', { provider: text }],
        ['key.list', { provider: text }],
        ['key.get', { provider: text, keyId: text }],
        ['secret.list', { provider: text }],
        ['secret.get', { name: 'telegram/' + text }],
        ['provider.validate', { provider: text }],
        ['provider.validate', { provider: 'local', keyId: text }],
        ['provider.models', { provider: text }],
        ['token.get', { name: text }],
        ['oauth.refresh', { name: text }],
        ['event.subscribe', { events: [text] }],
        ['status.get', { [text]: text }],
        ['usage.session', { id: text }],
        ['usage.track', { generationId: text, caller: text }],
        ['completion.create', { provider: text, model: text, messages: [{ role: 'user', content: text }] }],
        ['completion.create', { provider: 'local', model: text, messages: [{ role: 'user', content: text }] }],
      ];
      const answers = [];
      for (const [op, params] of probes) {
        const answer = await aipass.request(op, params).catch((e) => ({ code: e.code, message: e.message, hint: e.hint }));
        answers.push([op === text ? 'TEXT' : op, answer]);
      }
      // Records are kept by a thread of their own, in its time.
      const recorded = async () => (await aipass.request('usage.events', { limit: 100 })).events
        .filter(({ caller, operation }) => caller === text && operation.startsWith('completion'))
        .map(({ operation, provider, model, status, errorCode }) => [operation, provider, model, status, errorCode]);
      while ((await recorded()).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
      answers.push(['usage.events', (await recorded()).toSorted()]);
      answers.push(['usage.stats', (await aipass.request('usage.stats', { by: 'caller', caller: text })).groups.map(({ name }) => name)]);
      console.log(JSON.stringify(answers));
      await aipass.close();
    `,
    { env: { PROBE: text, PATH: process.env['PATH'] ?? '' } },
  );
  const { stdout, stderr } = await program.result();
  expect(stderr).toBe('');
  return stdout;
}

/** Removes the probe's text, and what differs between any two runs: times, ids and counts. */
function withoutText(answers: string, text: string): string {
  return answers
    .replaceAll(text, 'TEXT')
    .replaceAll(text.toUpperCase().replaceAll('-', '_'), 'TEXT')
    .replaceAll(/-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/g, '0')
    .replaceAll(/"(id|session|next)":"[^"]*"/g, '"$1":""');
}

describe('what a caller sends', () => {
  let running: TestDaemon;
  beforeAll(async () => {
    running = await createTestDaemon({ access: { use: { users: [ATTACKER] } }, limits: { requestsPerSecond: 10_000 } });
    const { paths, path } = running.home;
    await mkdir(join(paths.secrets, 'vault'), { mode: 0o700 });
    await writeFile(join(paths.secrets, 'vault', 'raw'), RAW_SECRET, { mode: 0o600 });
    for (const folder of [path, dirname(paths.socket)]) chmodSync(folder, 0o711);
    await until('the secret is held', async () => (await running.cli(['get-secret', 'vault/raw'])).code === 0);
  });
  afterAll(() => running[Symbol.asyncDispose]());

  it.each(GUESSES)('does not tell that it is %s', async (_name, guess, control) => {
    const [ofGuess, ofControl] = [await probe(running, guess), await probe(running, control)];
    expect(JSON.parse(withoutText(ofGuess, guess))).toEqual(JSON.parse(withoutText(ofControl, control)));
    // The probes reach what they are about: the caller's words come back.
    expect(ofControl.split(control).length).toBeGreaterThan(8);
  });
});
