/**
 * Whoever can write a file that decides where keys go is their owner. What breaks that rule is not
 * obeyed: at the start, at a reload and on the command line. The attacker is a real second user
 * wherever the tests run as root.
 */

import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runCli } from '../support/run-cli.ts';
import { runProgram } from '../support/run-program.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { until } from '../support/until.ts';
import { LOCAL_KEY, createTestDaemon } from '../support/test-daemon.ts';

const isRoot = process.getuid?.() === 0;

/** A user that no machine has. */
const MALLORY = 54_066;
const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));

describe('the configuration', () => {
  it('that others may write is not obeyed at the start', async () => {
    await using home = makeTempHome();
    await home.writeConfig({});
    chmodSync(home.paths.config, 0o666);
    const { code, stderr } = await runCli(home, ['run']);
    expect(code).toBe(2);
    expect(stderr).toContain('[UNSAFE_PERMISSIONS]');
    expect(stderr).toContain(`chmod go-w ${home.paths.config}`);
  });

  it('that others may write is not obeyed at a reload, and status says so until it is closed again', async () => {
    await using running = await createTestDaemon();
    const { home, provider } = running;
    const aipass = await running.connect();
    const faults = async () => (await aipass.status()).warnings.filter(({ subject }) => subject === home.paths.config);
    chmodSync(home.paths.config, 0o666);
    await until('status says so', async () => (await faults()).length === 1);
    expect((await faults())[0]?.problem).toContain('other users can write');
    // What the attacker then writes sends no key anywhere.
    await home.writeConfig({ defaultProvider: 'local', providers: { local: { baseUrl: 'http://127.0.0.1:9/' } } });
    running.daemon.signal('SIGHUP');
    await until('it was read again', () => running.daemon.stdout.split('configuration in use stays').length > 2);
    provider.answerWith({ kind: 'json', body: { choices: [{ message: { content: 'here' } }] } });
    await aipass.complete({ model: 'm', messages: [{ role: 'user', content: 'x' }] });
    expect(provider.requests.at(-1)?.key).toBe(LOCAL_KEY);
    chmodSync(home.paths.config, 0o600);
    await until('it is obeyed again', async () => (await faults()).length === 0);
  });

  it.each([
    ['its folder is open to others', false],
    ["a link to it is somebody else's", true],
  ])('is not obeyed where %s', async (_name, needsRoot) => {
    if (needsRoot && !isRoot) return;
    await using home = makeTempHome();
    const folder = join(home.path, 'etc');
    mkdirSync(folder, { mode: 0o700 });
    const config = join(folder, 'c.jsonc');
    if (needsRoot) {
      writeFileSync(join(home.path, 'real.jsonc'), '{}', { mode: 0o600 });
      symlinkSync(join(home.path, 'real.jsonc'), config);
      lchownSync(config, MALLORY, MALLORY);
    } else {
      writeFileSync(config, '{}', { mode: 0o600 });
      chmodSync(folder, 0o777);
    }
    const { code, stderr } = await runCli(home, ['run'], { env: { AIPASSD_CONFIG: config } });
    expect({ code, refused: stderr.includes('[UNSAFE_PERMISSIONS]') }).toEqual({ code: 2, refused: true });
  });
});

describe('the folder of the secrets', () => {
  it('that others may write is not used: last good keys stay, a new daemon has none, and status says why', async () => {
    await using running = await createTestDaemon();
    const { home } = running;
    const aipass = await running.connect();
    expect(await aipass.key('local')).toBe(LOCAL_KEY);
    chmodSync(home.paths.secrets, 0o777);
    writeFileSync(home.paths.envFile, 'LOCAL_API_KEY=lk-of-the-attacker-0123456789\n', { mode: 0o600 });
    await until('status says so', async () =>
      (await aipass.status()).warnings.some(
        ({ subject, problem }) => subject === home.paths.secrets && problem.includes('write'),
      ),
    );
    expect(await aipass.key('local')).toBe(LOCAL_KEY);
    await running.daemon.stop();
    await using again = await DaemonProcess.start(home);
    expect(again.isRunning).toBe(true);
    const { code, stderr } = await runCli(home, ['get-key', 'local']);
    expect({ code, stderr: stderr.includes('NOT_FOUND') }).toEqual({ code: 2, stderr: true });
    chmodSync(home.paths.secrets, 0o700);
    await until('it is used again', async () => (await runCli(home, ['get-key', 'local'])).code === 0);
  });

  it.runIf(isRoot)('in which somebody else put another folder gives that one no file of ours', async () => {
    await using running = await createTestDaemon();
    const { home } = running;
    const aipass = await running.connect();
    const privateFile = join(home.path, 'id_rsa');
    writeFileSync(privateFile, 'PRIVATE-SSH-CANARY', { mode: 0o600 });
    // As mallory can where ~/.secrets was open for a moment.
    renameSync(home.paths.secrets, join(home.paths.secretsRoot, 'away'));
    mkdirSync(join(home.paths.secrets, 'x'), { recursive: true });
    symlinkSync(privateFile, join(home.paths.secrets, 'x', 'k'));
    for (const path of [home.paths.secrets, join(home.paths.secrets, 'x')]) chownSync(path, MALLORY, MALLORY);
    lchownSync(join(home.paths.secrets, 'x', 'k'), MALLORY, MALLORY);
    await until('status says so', async () =>
      (await aipass.status()).warnings.some(({ problem }) => problem.includes('belongs to another user')),
    );
    await expect(aipass.secret('x/k')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    // Nor where the folder is ours again, and the link still is not.
    for (const path of [home.paths.secrets, join(home.paths.secrets, 'x')]) chownSync(path, 0, 0);
    await home.writeKeys({ LOCAL_API_KEY: LOCAL_KEY });
    await until('only the link is at fault', async () => {
      const { warnings } = await aipass.status();
      return (
        warnings.some(({ subject }) => subject.endsWith('/k')) &&
        !warnings.some(({ subject, problem }) => subject === home.paths.secrets && problem.includes('belongs'))
      );
    });
    await expect(aipass.secret('x/k')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('the state folder', () => {
  it('that others may write is not used at the start, and status says so of one that becomes so', async () => {
    await using running = await createTestDaemon();
    const { home } = running;
    const aipass = await running.connect();
    chmodSync(home.paths.state, 0o777);
    const { warnings } = await aipass.status();
    expect(warnings).toContainEqual(
      expect.objectContaining({ subject: home.paths.state, hint: `chmod go-w ${home.paths.state}` }),
    );
    await running.daemon.stop();
    const { code, stderr } = await runCli(home, ['run']);
    expect({ code, refused: stderr.includes('[UNSAFE_PERMISSIONS]') }).toEqual({ code: 2, refused: true });
  });

  it.runIf(isRoot)('in which somebody else left a link is not used, and nothing is written through it', async () => {
    await using home = makeTempHome();
    const victim = join(home.path, 'victim.txt');
    writeFileSync(victim, 'mine', { mode: 0o600 });
    mkdirSync(home.paths.state, { mode: 0o700 });
    symlinkSync(victim, home.paths.audit);
    lchownSync(home.paths.audit, MALLORY, MALLORY);
    const { code, stderr } = await runCli(home, ['run']);
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(`${home.paths.audit}: .*uid ${MALLORY}`));
    expect(readFileSync(victim, 'utf8')).toBe('mine');
  });
});

it('doctor lists a file that others may read once, though the daemon warns of it too', async () => {
  await using running = await createTestDaemon();
  const { envFile } = running.home.paths;
  chmodSync(envFile, 0o644);
  const aipass = await running.connect();
  const hint = `chmod 600 ${envFile}`;
  await until('the daemon warns', async () => (await aipass.status()).warnings.some((one) => one.hint === hint));
  const { stdout } = await running.cli(['doctor', '--offline']);
  expect(stdout.split(hint)).toHaveLength(2);
});

describe('the usage database at a place of its own', () => {
  it('is not used where others could write it, status says so, and nothing is lost once it is closed to them', async () => {
    await using running = await createTestDaemon({ usage: { database: '../elsewhere/usage.db' } });
    const { home, provider } = running;
    const folder = join(home.path, 'elsewhere');
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o777);
    const aipass = await running.connect();
    provider.answerWith({ kind: 'json', body: { choices: [{ message: { content: 'here' } }] } });
    await aipass.complete({ model: 'm', messages: [{ role: 'user', content: 'x' }] });
    await until('status says so', async () =>
      (await aipass.status()).warnings.some(
        ({ problem, hint }) => problem.includes('untrusted') && hint === `chmod go-w ${folder}`,
      ),
    );
    const { stdout } = await running.cli(['doctor']);
    expect(stdout).toContain(`chmod go-w ${folder}`);
    chmodSync(folder, 0o700);
    await until('it is counted', async () => {
      const answer = await aipass.stats().catch(() => undefined);
      return answer?.total.requests === 1;
    });
  });

  it.runIf(isRoot)('that somebody else made a link is not written through', async () => {
    await using home = makeTempHome();
    const victim = join(home.path, 'victim');
    writeFileSync(victim, '');
    mkdirSync(home.paths.state, { mode: 0o700 });
    const link = join(home.path, 'usage.db');
    symlinkSync(victim, link);
    lchownSync(link, MALLORY, MALLORY);
    await home.writeConfig({ usage: { database: link } });
    await using daemon = await DaemonProcess.start(home);
    const { code, stderr } = await runCli(home, ['stats']);
    expect({ code, refused: stderr.includes('[UNSAFE_PERMISSIONS]') }).toEqual({ code: 2, refused: true });
    expect(stderr).toMatch(new RegExp(`${link}: .*uid ${MALLORY}`));
    expect(readFileSync(victim, 'utf8')).toBe('');
    expect(daemon.isRunning).toBe(true);
  });
});

describe.runIf(isRoot)('root in the places of a user', () => {
  it.each([
    ['run', ['run']],
    ['init', ['init']],
  ])('%s in the home of a user refuses before it makes anything', async (_name, words) => {
    await using home = makeTempHome();
    const theirs = join(home.path, 'alice');
    mkdirSync(theirs, { mode: 0o700 });
    chownSync(theirs, MALLORY, MALLORY);
    const { code, stderr } = await runProgram(process.execPath, [join(PACKAGE, 'dist', 'cli.js'), ...words], {
      env: { PATH: home.env['PATH'] ?? '', HOME: theirs },
      cwd: '/',
    });
    expect(code).toBe(2);
    expect(stderr).toContain('[UNSAFE_PERMISSIONS]');
    expect(stderr).toContain(`uid ${MALLORY}`);
    expect(readdirSync(theirs)).toEqual([]);
  });

  it('run with the XDG_RUNTIME_DIR of a user leaves nothing in it that would lock that user out', async () => {
    await using home = makeTempHome();
    const theirs = join(home.path, 'run-user');
    mkdirSync(theirs, { mode: 0o700 });
    chownSync(theirs, MALLORY, MALLORY);
    const { code, stderr } = await runCli(home, ['run'], { env: { AIPASSD_RUNTIME_DIR: '', XDG_RUNTIME_DIR: theirs } });
    expect({ code, refused: stderr.includes('[UNSAFE_PERMISSIONS]') }).toEqual({ code: 2, refused: true });
    expect(readdirSync(theirs)).toEqual([]);
  });
});

describe('hooks', () => {
  it('whose program others may write are reported', async () => {
    await using running = await createTestDaemon({ hooks: { onReauthRequired: ['/bin/sh', '/no/such'] } });
    const { home } = running;
    const aipass = await running.connect();
    expect((await aipass.status()).warnings).toEqual([]);
    const hook = join(home.path, 'hook.sh');
    writeFileSync(hook, '#!/bin/sh\n', { mode: 0o777 });
    chmodSync(hook, 0o777);
    const config = JSON.parse(readFileSync(home.paths.config, 'utf8'));
    await home.writeConfig({ ...config, hooks: { onReauthRequired: [hook] } });
    await until('status says so', async () => (await aipass.status()).warnings.some(({ subject }) => subject === hook));
  });
});

it('install --system takes no package that an ordinary user may change', async () => {
  await using home = makeTempHome();
  const copy = join(home.path, 'package');
  for (const part of ['dist', 'systemd', 'package.json'])
    cpSync(join(PACKAGE, part), join(copy, part), { recursive: true });
  symlinkSync(join(PACKAGE, 'node_modules'), join(copy, 'node_modules'));
  chmodSync(home.path, 0o755);
  chmodSync(join(copy, 'dist', 'service'), 0o777);
  const { code, stdout, stderr } = await runProgram(
    process.execPath,
    [join(copy, 'dist', 'cli.js'), 'install', '--system', '--print'],
    {
      env: home.env,
      cwd: '/',
    },
  );
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  // In a clone below a home, Node itself is: that is refused before anything else.
  const isInHome = /^\/(?:home|root|run\/user)\//.test(process.execPath);
  // For anybody but root Node itself is an ordinary user's, or the whole of the copy.
  const fault = isRoot ? join(copy, 'dist', 'service') : 'belongs to another user';
  expect(stderr).toContain(isInHome ? '[BAD_REQUEST]' : '[UNSAFE_PERMISSIONS]');
  expect(stderr).toContain(isInHome ? 'cannot run from a home' : fault);
  expect(existsSync('/etc/systemd/system/aipassd.service')).toBe(false);
});
