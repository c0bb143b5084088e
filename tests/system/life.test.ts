import { existsSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { RawClient } from '../support/raw-client.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { runProgram } from '../support/run-program.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { until } from '../support/until.ts';
import { OPENROUTER_KEY, createTestDaemon } from '../support/test-daemon.ts';

describe('the life of the daemon', () => {
  it('starts on an empty home, makes what it needs for its user alone, and says what to do next', async () => {
    await using home = makeTempHome();
    await using daemon = await DaemonProcess.start(home);
    await until('it says what to do', () => daemon.stdout.includes('then, in another terminal'));
    expect(daemon.stdout).toContain(`put one into ${home.paths.envFile}`);
    expect(readFileSync(home.paths.envFile, 'utf8')).toContain('OPENROUTER_API_KEY=');
    expect(mode(home.paths.envFile)).toBe('600');
    expect(mode(home.paths.socket)).toBe('600');
    for (const folder of [home.paths.secrets, home.paths.runtime, home.paths.state]) expect(mode(folder)).toBe('700');
    await until('the log file is there', () => existsSync(home.paths.log));
    expect(mode(home.paths.log)).toBe('600');
    await daemon.stop();
  });

  it('reports a .env that is a link to itself by its path, and forgets it once the file is fixed', async () => {
    await using home = makeTempHome();
    await home.writeKeys({});
    rmSync(home.paths.envFile);
    symlinkSync('.env', home.paths.envFile);
    await using daemon = await DaemonProcess.start(home);
    const status = async (): Promise<string> => (await runCli(home, ['status'])).stdout;
    await until('it is reported', async () => (await status()).includes('ELOOP'));
    rmSync(home.paths.envFile);
    await home.writeKeys({ OPENROUTER_API_KEY: OPENROUTER_KEY });
    await until('nothing is reported', async () => !(await status()).includes('ELOOP'));
    expect(await status()).toContain('nothing to do');
    expect(daemon.isRunning).toBe(true);
  });

  it.runIf(process.platform === 'linux').each([
    ['AIPASSD_STATE_DIR', 'run'],
    ['AIPASSD_RUNTIME_DIR', 'run'],
    ['AIPASSD_SECRETS_DIR', 'init'],
  ])('%s in a place where no folder can be made ends aipassd %s with an error', async (variable, verb) => {
    await using home = makeTempHome();
    const ended = await runCli(home, [verb], { env: { [variable]: '/proc/aip' } });
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('/proc/aip');
  });

  it('warns where its state folder was removed, until it is restarted', async () => {
    await using home = makeTempHome();
    await using daemon = await DaemonProcess.start(home);
    const problem = 'removed while the daemon ran';
    expect((await runCli(home, ['status'])).stdout).not.toContain(problem);
    rmSync(home.paths.state, { recursive: true });
    expect((await runCli(home, ['status'])).stdout).toContain(problem);
    expect((await runCli(home, ['logs'])).stderr).toContain('aipassd status');
    await daemon.kill();
    await using again = await DaemonProcess.start(home);
    expect((await runCli(home, ['status'])).stdout).not.toContain(problem);
    expect(again.isRunning).toBe(true);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends with 0 on %s, and leaves neither socket nor lock', async (signal) => {
    await using home = makeTempHome();
    await using daemon = await DaemonProcess.start(home);
    await daemon.stop(signal);
    expect(existsSync(home.paths.socket)).toBe(false);
    expect(existsSync(home.paths.lock)).toBe(false);
    expect(readFileSync(home.paths.log, 'utf8')).toContain(`stopping on ${signal}`);
  });

  it('lets a completion in flight finish before it stops, and takes no new connection meanwhile', async () => {
    await using running = await createTestDaemon();
    running.provider.answerWith({ kind: 'paced' });
    const aipass = await running.connect();
    const stream = aipass.stream({ model: 'm', messages: [{ role: 'user', content: 'go on' }] });
    const request = await running.provider.nextRequest();
    running.daemon.signal('SIGTERM');
    await until('it stops', () => running.daemon.stdout.includes('stopping on SIGTERM'));
    await until('the socket is closed', async () => (await runCli(running.home, ['status'])).code === 3);
    await request.stream.push({
      id: 'gen-1',
      model: 'm',
      choices: [{ index: 0, delta: { content: 'done after all' }, finish_reason: 'stop' }],
    });
    await request.stream.done();
    expect((await stream.result).content).toBe('done after all');
    expect((await running.daemon.ended()).code).toBe(0);
  });

  it('says while it stops that it does, and afterwards that it was killed where it was', async () => {
    await using running = await createTestDaemon();
    running.provider.answerWith({ kind: 'paced' });
    const aipass = await running.connect();
    const stream = aipass.stream({ model: 'm', messages: [{ role: 'user', content: 'go on' }] });
    void stream.result.catch(() => {});
    await running.provider.nextRequest();
    running.daemon.signal('SIGTERM');
    await until('the socket is closed', () => !existsSync(running.home.paths.socket));
    const status = await runCli(running.home, ['status']);
    expect(status.code).toBe(3);
    expect(status.stderr).toContain(`(pid ${running.daemon.pid}) is stopping (SIGTERM)`);
    expect(status.stderr).not.toContain('killed');
    await running.daemon.kill();
    expect((await runCli(running.home, ['status'])).stderr).toMatch(/killed.*SIGTERM/);
  });

  it.each([
    ['an exception', (error: string) => `throw ${error}`],
    ['a rejection', (error: string) => `void Promise.reject(${error})`],
  ])('ends in good order with 70 on %s that nobody expected, and without the secret in it', async (_name, fail) => {
    await using home = makeTempHome();
    await home.writeKeys({ OPENROUTER_API_KEY: OPENROUTER_KEY });
    const preload = join(home.path, 'preload.mjs');
    const error = `Object.assign(new TypeError('it held ${OPENROUTER_KEY}'), { key: '${OPENROUTER_KEY}' })`;
    await writeFile(preload, `process.on('SIGUSR2', () => { ${fail(error)}; });`);
    await using daemon = await DaemonProcess.start(home, { NODE_OPTIONS: `--import=${preload}` });
    await using client = await RawClient.greet(home.paths.socket);
    daemon.signal('SIGUSR2');
    const ended = await daemon.ended();
    expect(ended.code).toBe(70);
    await client.closed();
    expect(existsSync(home.paths.socket) || existsSync(home.paths.lock)).toBe(false);
    const log = readFileSync(home.paths.log, 'utf8');
    expect(log).toContain('stopping after an unexpected failure');
    expect(log).toContain('it held ');
    const status = await runCli(home, ['status']);
    expect(status.stderr).toContain('with exit code 70: an unexpected failure (TypeError)');
    const record = readFileSync(join(home.paths.state, 'last-run.json'), 'utf8');
    expect([ended.stdout, ended.stderr, log, status.stderr, record].join('\n')).not.toContain(OPENROUTER_KEY);
  });

  it('refuses a second daemon on the same socket with exit code 2 and the pid of the first', async () => {
    await using home = makeTempHome();
    await using daemon = await DaemonProcess.start(home);
    const second = await runCli(home, ['run']);
    expect(second.code).toBe(2);
    expect(second.stderr).toContain('ALREADY_RUNNING');
    expect(second.stderr).toContain(String(daemon.pid));
    await using client = await RawClient.greet(home.paths.socket);
    expect((await client.ask(1, 'status.get')).type).toBe('reply');
  });

  it('lets exactly one of several daemons started at once serve', async () => {
    await using home = makeTempHome();
    const starts = await Promise.allSettled(Array.from({ length: 4 }, () => DaemonProcess.start(home)));
    const alive = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    try {
      expect(alive).toHaveLength(1);
      const reasons = starts.flatMap((start) => (start.status === 'rejected' ? [String(start.reason)] : []));
      for (const reason of reasons) expect(reason).toContain('ALREADY_RUNNING');
    } finally {
      for (const daemon of alive) await daemon.kill();
    }
  });

  it("refuses a second daemon on the same state, wherever its socket would be, also when the first one's folder is gone", async () => {
    await using home = makeTempHome();
    await using daemon = await DaemonProcess.start(home);
    const elsewhere = await runCli(home, ['run'], { env: { AIPASSD_RUNTIME_DIR: join(home.path, 'elsewhere') } });
    rmSync(home.paths.runtime, { recursive: true });
    for (const second of [elsewhere, await runCli(home, ['run'])]) {
      expect(second.code).toBe(2);
      expect(second.stderr).toContain('ALREADY_RUNNING');
      expect(second.stderr).toContain(`kill ${daemon.pid}`);
    }
    await daemon.kill();
    await using next = await DaemonProcess.start(home);
    await next.stop();
    expect(readdirSync(home.paths.state)).not.toContain('state.lock');
  });

  it('replaces the stale socket and lock of a killed daemon', async () => {
    await using home = makeTempHome();
    const killed = await DaemonProcess.start(home);
    await killed.kill();
    expect(existsSync(home.paths.socket)).toBe(true);
    await using daemon = await DaemonProcess.start(home);
    await using client = await RawClient.greet(home.paths.socket);
    const welcome = await client.next('welcome');
    expect(welcome.data.pid).toBe(daemon.pid);
  });

  it('refuses a folder for its socket that others use, and leaves it as it was', async () => {
    await using home = makeTempHome();
    await mkdir(home.paths.runtime);
    await chmod(home.paths.runtime, 0o1777);
    const { code, stdout, stderr } = await runCli(home, ['run']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('[UNSAFE_PERMISSIONS]');
    expect(stderr).toContain('set AIPASSD_RUNTIME_DIR');
    expect(mode(home.paths.runtime)).toBe('777');
    expect(readdirSync(home.paths.runtime)).toEqual([]);
  });

  it.runIf(process.getuid?.() === 0)(
    'lets those whom the configuration names through the folder that its unit made',
    async () => {
      await using home = makeTempHome();
      await home.writeConfig({ access: { use: { users: [65_534] } } });
      await chmod(home.path, 0o711);
      await mkdir(home.paths.runtime);
      await chmod(home.paths.runtime, 0o711);
      await using daemon = await DaemonProcess.start(home);
      const other = await runProgram(process.execPath, [CLI_PATH, 'status', '--json'], {
        env: home.env,
        cwd: '/',
        uid: 65_534,
        gid: 65_534,
      });
      expect(other.stderr).toBe('');
      expect(JSON.parse(other.stdout)).toMatchObject({ pid: daemon.pid });
    },
  );

  it('refuses a wrong configuration with exit code 2 and names the setting that was meant', async () => {
    await using home = makeTempHome();
    await home.writeConfig({ defaultProvidr: 'openai' });
    const { code, stderr } = await runCli(home, ['run']);
    expect(code).toBe(2);
    expect(stderr).toContain('did you mean "defaultProvider"');
  });

  it('is refused by an older Node with one clear line and exit code 1', async () => {
    await using home = makeTempHome();
    const pretend = join(home.path, 'pretend.mjs');
    await writeFile(
      pretend,
      'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });',
    );
    const { code, stdout, stderr } = await runCli(home, ['status'], { env: { NODE_OPTIONS: `--import=${pretend}` } });
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/24\.0.*20\.20\.2/);
  });
});

function mode(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}
