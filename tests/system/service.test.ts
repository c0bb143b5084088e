import { rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { runKit } from '../hostile/kit.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runCli } from '../support/run-cli.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { until } from '../support/until.ts';

const KEY = `sk-or-v1-${'0123456789abcdef'.repeat(4)}`;

it('every release is one line of the audit, with who got it and no secret, and the chain is checked against the daemon', async () => {
  await using home = makeTempHome();
  await home.writeKeys({ OPENROUTER_API_KEY: KEY });
  await using daemon = await DaemonProcess.start(home);
  await runCli(home, ['get-key', 'openrouter', '--reveal']);
  const audit = await runCli(home, ['audit', '--json']);
  const { records } = JSON.parse(audit.stdout);
  expect(records).toEqual([
    expect.objectContaining({ operation: 'key.get', credential: 'openrouter/OPENROUTER_API_KEY', outcome: 'released' }),
  ]);
  expect(records[0].caller).toMatchObject({ uid: process.getuid?.(), pid: expect.any(Number), name: 'cli' });
  expect(audit.stdout).not.toContain(KEY);
  expect(await runCli(home, ['audit', '--verify'])).toMatchObject({ code: 0 });

  await writeFile(home.paths.audit, '');
  expect(await runCli(home, ['audit', '--verify'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('CONFLICT'),
  });
  await daemon.stop();
});

it('a configuration that changes is taken up, and a wrong one leaves the one in use', async () => {
  await using home = makeTempHome();
  await using daemon = await DaemonProcess.start(home);
  await home.writeConfig({ limits: { inFlight: 9 } });
  await until('it is reloaded', () => daemon.stdout.includes('"applied":["limits.inFlight"]'));
  await home.writeConfig({ limitz: {} });
  daemon.signal('SIGHUP');
  await until('it is refused', () => daemon.stdout.includes('the configuration in use stays'));
  const status = await runCli(home, ['status']);
  expect(status).toMatchObject({ code: 0 });
  expect(status.stdout).toContain('did you mean "limits"?');
  await daemon.stop();
});

it('a provider, its keys and their settings are taken up from a configuration that changes, without a restart', async () => {
  await using home = makeTempHome();
  await home.writeKeys({ MY_LLM_API_KEY: 'first-canary-0123456789', MY_LLM_API_KEY_2: 'second-canary-0123456789' });
  await using daemon = await DaemonProcess.start(home);
  expect(await runCli(home, ['get-key', 'my-llm', '--reveal'])).toMatchObject({ code: 2 });
  const provider = { baseUrl: 'http://127.0.0.1:9/v1', pool: { strategy: 'priority' } };
  const reloadTo = async (keys: object, name: string): Promise<void> => {
    await home.writeConfig({ providers: { 'my-llm': { ...provider, keys } } });
    daemon.signal('SIGHUP');
    await until('it is reloaded', () => daemon.stdout.includes(`"applied":["${name}"]`));
  };
  const first = async () => JSON.parse((await runCli(home, ['pool', 'my-llm', '--json'])).stdout);
  await reloadTo({ MY_LLM_API_KEY_2: { priority: 0 }, MY_LLM_API_KEY: { priority: 5 } }, 'providers.my-llm');
  expect((await runCli(home, ['get-key', 'my-llm', '--reveal'])).code).toBe(0);
  expect(JSON.stringify(await first())).toContain('"priority"');
  await reloadTo({ MY_LLM_API_KEY_2: { account: 'team-b' } }, 'providers.my-llm.keys');
  expect(JSON.stringify(await first())).toContain('team-b');
  await daemon.stop();
});

it('status names how the last run ended, by a signal or by none', async () => {
  await using home = makeTempHome();
  await using first = await DaemonProcess.start(home);
  await first.stop('SIGINT');
  const stopped = await runCli(home, ['status']);
  expect(stopped.code).toBe(3);
  expect(stopped.stderr).toContain('SIGINT');
  await using second = await DaemonProcess.start(home);
  await second.kill();
  expect((await runCli(home, ['status'])).stderr).toContain('was killed');
});

it('doctor says what is wrong and how to fix it, and changes nothing', async () => {
  await using home = makeTempHome();
  await home.writeKeys({ OPENROUTER_API_KEY: KEY });
  await using daemon = await DaemonProcess.start(home);
  await writeFile(home.paths.envFile, `OPENROUTER_API_KEY=${KEY}\n`, { mode: 0o644 });
  const before = readFileSync(home.paths.envFile, 'utf8');
  await rm(home.paths.envFile);
  await writeFile(home.paths.envFile, before, { mode: 0o644 });
  const doctor = await runCli(home, ['doctor', '--offline']);
  expect(doctor.code).toBe(2);
  expect(doctor.stdout).toContain(`chmod 600 ${home.paths.envFile}`);
  expect(doctor.stdout).not.toContain(KEY);
  await daemon.stop();
});

it('install --print shows the service and changes nothing', async () => {
  await using home = makeTempHome();
  const printed = await runCli(home, ['install', '--print']);
  expect(printed).toMatchObject({ code: 0, stderr: '' });
  expect(printed.stdout).toContain(home.env['AIPASSD_SECRETS_DIR']);
  expect(await runCli(home, ['uninstall', '--print'])).toMatchObject({ code: 0 });
});

it('a start over a file that is no socket says so and ends with 2', async () => {
  await using home = makeTempHome();
  await home.makeRuntime();
  const other = createServer().listen(home.paths.socket);
  await until('somebody else listens', () => other.listening);
  await expect(DaemonProcess.start(home)).rejects.toThrow('ALREADY_RUNNING');
  other.close();
});

it('a few hostile clients do not keep a good one waiting, and nothing of its is lost', async () => {
  await using home = makeTempHome();
  await home.writeKeys({ OPENROUTER_API_KEY: KEY });
  await using daemon = await DaemonProcess.start(home);
  for (const only of ['the same id', '__proto__', 'reserved']) {
    const reports = await runKit({
      socket: home.paths.socket,
      op: 'key.get',
      params: {},
      only,
      settleMs: 0,
      quietMs: 100,
    });
    expect(reports).toHaveLength(1);
    for (const { good } of reports) {
      expect(good).toMatchObject({ connected: true, refused: 0 });
      expect(good.asked - good.answered).toBeLessThanOrEqual(1);
    }
  }
  await daemon.stop();
}, 60_000);
