import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { completionOf, refusalOf, startLoopbackProvider, type LoopbackProvider } from '../support/loopback-provider.ts';
import { runCli } from '../support/run-cli.ts';
import { makeTempHome, type TempHome } from '../support/temp-home.ts';

const KEY = `sk-or-v1-${'0123456789abcdef'.repeat(4)}`;
const USAGE = { prompt_tokens: 10, completion_tokens: 5, cost: 0.0015 };

let home: TempHome;
let provider: LoopbackProvider;
let daemon: DaemonProcess;

beforeAll(async () => {
  home = makeTempHome();
  let answers = 0;
  provider = await startLoopbackProvider({
    reply: () => completionOf('pong', { id: `gen-${++answers}`, usage: USAGE }),
  });
  await home.writeKeys({ OPENROUTER_API_KEY: KEY });
  await home.writeConfig({ providers: { openrouter: { baseUrl: provider.baseUrl } } });
  daemon = await DaemonProcess.start(home);
  await using flow = await connect({ caller: 'flow', socket: home.paths.socket });
  const chat = { model: 'acme/large', messages: [{ role: 'user', content: 'ping' }] };
  for (let i = 0; i < 3; i++) await flow.complete(chat);
  await flow.stream({ ...chat, model: 'acme/small' }).result;
  await flow.key();
  // Last, because the key rests from then on.
  provider.queue(refusalOf(429, 'slow down'));
  await flow.complete(chat).catch(() => {});
}, 60_000);

afterAll(async () => {
  await daemon.stop();
  await provider.close();
  await home.remove();
});

const json = async (...args: string[]): Promise<unknown> => {
  const { code, stdout, stderr } = await runCli(home, args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
};

describe('the usage of a daemon', () => {
  it('is summed by caller with what the kernel says of it', async () => {
    expect(await json('stats', '--by', 'caller', '--json')).toMatchObject({
      total: { requests: 5, succeeded: 4, limitReached: 1, errorRate: 0.2, releases: 1 },
      groups: [{ name: 'flow', figures: { requests: 5 } }],
    });
    await using aipass = await connect({ socket: home.paths.socket });
    const { events } = await aipass.usage.events({ status: 'reach_limit' });
    expect(events).toMatchObject([
      { caller: 'flow', uid: process.getuid?.(), pid: process.pid, httpStatus: 429, keyId: 'OPENROUTER_API_KEY' },
    ]);
    // macOS does not tell the executable of another process.
    expect(events[0]?.executable).toBe(process.platform === 'linux' ? process.execPath : null);
    expect(JSON.stringify(await aipass.usage.events({}))).not.toContain(KEY);
  });

  it('is shown as words, as a table and as CSV', async () => {
    const words = await runCli(home, ['stats']);
    expect(words.stdout).toMatch(/Total Requests:\s+5/);
    expect(words.stdout).toMatch(/Total Cost:\s+\$0\.006000/);
    expect(words.stdout).toContain('Callers: 1');
    expect(words.stdout).toContain('acme/large');
    const table = await runCli(home, ['stats', '--by', 'status', '--since', '1h']);
    expect(table.stdout).toMatch(/success\s+4/);
    const csv = await runCli(home, ['stats', '--by', 'model', '--csv']);
    expect(csv.stdout.split('\r\n')[0]).toMatch(/^name,requests,succeeded/);
    const wrong = await runCli(home, ['stats', '--by', 'moon']);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('write one of: caller');
    for (const time of ['yesterday', '2026-02-30', '2026-11-31T10:00Z', '2026-13-01', '2026-11-21T25:00Z', '-1d']) {
      expect((await runCli(home, ['stats', `--since=${time}`])).code).toBe(1);
    }
    expect((await runCli(home, ['stats', '--since', '2024-02-29T23:59+01:00'])).code).toBe(0);
  });

  it('is told for a run, a session and a caller', async () => {
    expect(await json('session', '--json')).toMatchObject({ session: { figures: { requests: 5, releases: 1 } } });
    await using aipass = await connect({ socket: home.paths.socket });
    const { groups } = await aipass.stats({ by: 'session' });
    const id = groups[0]?.name ?? '';
    expect(id).toMatch(/^client-/);
    expect(await json('session', '--id', id, '--json')).toMatchObject({ id, session: { figures: { requests: 5 } } });
    expect((await runCli(home, ['session'])).stdout).toMatch(/Session Requests:\s+5/);
    expect((await runCli(home, ['caller-usage', 'flow'])).stdout).toMatch(/Total Requests:\s+5/);
    expect((await runCli(home, ['caller-usage'])).code).toBe(1);
    const nobody = await runCli(home, ['caller-usage', 'nobody']);
    expect(nobody.code).toBe(0);
    expect(nobody.stderr).toContain('nobody');
  });

  it('is found by the name that a caller gives itself, however long or odd', async () => {
    const long = `x\u0007'); drop table events; -- ${'y'.repeat(10_000)}`;
    await using odd = await connect({ caller: long, socket: home.paths.socket });
    await odd.key();
    expect((await odd.stats({ caller: long })).total.releases).toBe(1);
    const { groups } = await odd.stats({ by: 'caller' });
    const shown = groups.map(({ name }) => name).find((name) => name?.includes('drop table'));
    expect(shown).toMatch(/^x '\); drop table events; -- y+…$/);
    expect((await runCli(home, ['caller-usage', long])).stdout).toMatch(/Credentials released:\s+1/);
    await expect(odd.usage.session('x\0'.repeat(60))).resolves.toMatchObject({ session: null });
  });

  it('counts the last seconds by key, and lists keys that had no call', async () => {
    await using aipass = await connect({ socket: home.paths.socket });
    const recent = await aipass.usage.recent({ seconds: 3600 });
    expect(recent).toMatchObject({ total: 5, byStatus: { success: 4, failed: 0, reach_limit: 1 } });
    expect(recent.byKey).toEqual([{ keyId: 'OPENROUTER_API_KEY', requests: 5 }]);
    expect((await aipass.usage.recent({ seconds: 3600, keyId: 'ANOTHER' })).byKey).toEqual([
      { keyId: 'ANOTHER', requests: 0 },
    ]);
  });

  it('takes a tracked generation once', async () => {
    const data = { total_cost: 0.25, native_tokens_prompt: 7, native_tokens_completion: 2, model: 'acme/huge' };
    provider.route('/v1/generation', { kind: 'json', body: { data } });
    const first = await runCli(home, ['track', 'gen-elsewhere', 'by-hand']);
    expect(first.stderr).toBe('');
    expect(first.stdout).toContain('Tracked: 7 prompt + 2 completion tokens, $0.250000');
    const again = await runCli(home, ['track', 'gen-elsewhere']);
    expect(again.stdout).toContain('counted once');
    // One that a completion brought about keeps its own numbers.
    expect((await runCli(home, ['track', 'gen-1'])).stdout).toContain('10 prompt + 5 completion tokens, $0.001500');
    expect(await json('stats', '--caller', 'by-hand', '--json')).toMatchObject({
      total: { requests: 1, costMicros: 250_000 },
    });
    expect(await json('stats', '--json')).toMatchObject({ total: { requests: 6 } });
    provider.route('/v1/generation', refusalOf(404, 'not yet'));
    expect(await runCli(home, ['track', 'gen-unknown'])).toMatchObject({ code: 2 });
  });

  it('is exported as CSV and as JSON lines', async () => {
    const csv = (await runCli(home, ['export'])).stdout.trim().split('\r\n');
    expect(csv[0]).toMatch(/^id,at,caller,uid,pid/);
    const lines = (await runCli(home, ['export', '--json', '--status', 'success'])).stdout.trim().split('\n');
    expect(csv.length).toBeGreaterThan(lines.length);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      operation: 'completion.create',
      caller: 'flow',
      status: 'success',
    });
  });

  it("takes over AIPass's file once", async () => {
    const usage = { total_cost: 0.5, tokens_prompt: 1, tokens_completion: 1, generation_time: 10, latency: 5 };
    const file = join(home.path, 'usage_tracker_data.json');
    const tracking = {
      'gen-old': { timestamp: '2026-01-01T00:00:00', caller: 'aipass', model: 'm', usage_data: usage },
    };
    await writeFile(file, JSON.stringify({ module_name: 'api_usage', data: { generation_tracking: tracking } }));
    expect((await runCli(home, ['import', file])).stdout).toContain('Imported 1 of 1 generations');
    expect((await runCli(home, ['import', file])).stdout).toContain('imported before');
    expect((await readFile(home.paths.audit, 'utf8')).split('"usage.import"')).toHaveLength(2);
    expect(await json('stats', '--caller', 'aipass', '--json')).toMatchObject({
      total: { requests: 1, costMicros: 500_000 },
    });
    expect((await runCli(home, ['import', join(home.path, 'nowhere.json')])).code).toBe(2);
    expect(await runCli(home, ['import', join(home.path, 'config.jsonc')])).toMatchObject({ code: 2, stdout: '' });
  });

  it('shows in the status where it is kept', async () => {
    expect(await json('status', '--json')).toMatchObject({
      usage: { database: 'ready', kind: 'sqlite', queued: false },
    });
  });

  it('is cleaned up by hand: counted, asked for, then gone, with the totals kept', async () => {
    expect((await runCli(home, ['cleanup', '30', '--dry-run'])).stdout).toContain('Would clean up 1 entry');
    expect((await runCli(home, ['audit'])).stdout).not.toContain('usage.prune');
    expect((await runCli(home, ['cleanup', '30'])).stdout).toMatch(/1 entry .*30 days/);
    expect((await runCli(home, ['cleanup'])).stdout).toContain('Nothing to clean');
    const asked = await runCli(home, ['cleanup', '0']);
    expect(asked).toMatchObject({ code: 2 });
    expect(asked.stderr).toContain('--yes');
    for (const days of ['-1', 'abc', '1.5', '99999'])
      expect((await runCli(home, ['cleanup', '--', days])).code).toBe(1);
    expect((await runCli(home, ['cleanup', '0', '--yes'])).stdout).toContain('Cleaned up');
    expect((await runCli(home, ['export', '--json'])).stdout).toBe('');
    expect(await json('stats', '--json')).toMatchObject({ total: { requests: 7 } });
  });
});
