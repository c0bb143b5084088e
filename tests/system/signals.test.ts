/**
 * What signals do to the processes of aipassd. Above all: SIGUSR1, with which Node opens its
 * debugger to every user of the machine, opens nothing, however early it comes.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { freePort } from '../support/port-of.ts';
import { RawClient } from '../support/raw-client.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { Program } from '../support/run-program.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { TokenEndpoint } from '../support/token-endpoint.ts';
import { until } from '../support/until.ts';
import { createTestDaemon } from '../support/test-daemon.ts';

/** Bit of SIGUSR1 in the masks of /proc/<pid>/status. */
const SIGUSR1_BIT = 1n << 9n;

/** Entry of a worker, without its ending. */
const WORKER_PATH = join(dirname(CLI_PATH), 'refreshers', 'worker', 'main');

/** Returns whether somebody listens on a port of 127.0.0.1. */
async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Sends SIGUSR1 as soon as Node, and no line of ours yet, would open the debugger for it. */
async function signalAtOnce(program: Program): Promise<void> {
  await until('Node listens for the signal', () => {
    try {
      const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${program.pid}/status`, 'utf8'))?.[1];
      return caught !== undefined && (BigInt(`0x${caught}`) & SIGUSR1_BIT) !== 0n;
    } catch {
      return false;
    }
  });
  program.signal('SIGUSR1');
}

describe.runIf(process.platform === 'linux')('SIGUSR1', () => {
  it('opens the debugger of a program that does nothing about it: the search can fail', async () => {
    const port = await freePort();
    await using program = new Program(process.execPath, [
      `--inspect-port=${port}`,
      '-e',
      'setInterval(() => {}, 1000)',
    ]);
    await signalAtOnce(program);
    await until('the debugger is open', () => isOpen(port));
  });

  it('opens nothing in a daemon that a shell starts, in its first millisecond and later', async () => {
    await using home = makeTempHome();
    const port = await freePort();
    await using program = new Program(process.execPath, [`--inspect-port=${port}`, CLI_PATH, 'run'], {
      env: home.env,
      cwd: home.path,
    });
    await signalAtOnce(program);
    await until('the daemon is ready', () => program.stdout.includes('is ready'));
    expect(await isOpen(port)).toBe(false);
    program.signal('SIGUSR1');
    await until('it is in the log', () => program.stdout.includes('ignored SIGUSR1'));
    expect(await isOpen(port)).toBe(false);
    await using client = await RawClient.greet(home.paths.socket);
    expect((await client.ask(1, 'status.get')).type).toBe('reply');
  });

  it('opens nothing in a daemon that is started as its unit does, not even for a moment', async () => {
    await using home = makeTempHome();
    const port = await freePort();
    await using program = new Program(
      process.execPath,
      ['--disable-sigusr1', `--inspect-port=${port}`, CLI_PATH, 'run'],
      { env: home.env, cwd: home.path },
    );
    await signalAtOnce(program);
    await until('the daemon is ready', () => program.stdout.includes('is ready'));
    expect(program.stderr).not.toContain('Debugger');
    expect(await isOpen(port)).toBe(false);
  });

  it('opens nothing in the command line', async () => {
    await using running = await createTestDaemon();
    running.provider.answerWith({ kind: 'paced' });
    const port = await freePort();
    await using program = new Program(
      process.execPath,
      [`--inspect-port=${port}`, CLI_PATH, 'call', 'go on', '--model', 'm', '--stream'],
      { env: running.home.env, cwd: running.home.path },
    );
    await signalAtOnce(program);
    const request = await running.provider.nextRequest();
    program.signal('SIGUSR1');
    await request.stream.push({
      id: 'gen-1',
      model: 'm',
      choices: [{ index: 0, delta: { content: 'still here' }, finish_reason: 'stop' }],
    });
    await until('it has got the answer', () => program.stdout.includes('still here'));
    expect(await isOpen(port)).toBe(false);
    await request.stream.done();
    expect((await program.ended).code).toBe(0);
  });

  it('opens nothing in a worker, which goes on with its exchange', async () => {
    await using endpoint = await TokenEndpoint.start();
    await using home = makeTempHome();
    await mkdir(join(home.paths.secrets, 'oauth'), { recursive: true, mode: 0o700 });
    const account = { client_id: 'app', client_secret: 's', refresh_token: 'r', token_endpoint: endpoint.url };
    await writeFile(join(home.paths.secrets, 'oauth', 'test.json'), JSON.stringify(account), { mode: 0o600 });
    const workers: { readonly pid: number; readonly command: string }[] = [];
    endpoint.reply = () => {
      for (const worker of findWorkers()) {
        workers.push(worker);
        process.kill(worker.pid, 'SIGUSR1');
      }
      return { body: { access_token: 'renewed', expires_in: 3600 } };
    };
    await using daemon = await DaemonProcess.start(home);
    await until('the token is renewed', async () => (await runCli(home, ['token', 'test'])).stdout.includes('renewed'));
    expect(workers.length).toBeGreaterThan(0);
    for (const { command } of workers) expect(command).toContain('--disable-sigusr1');
    await daemon.stop();
  });
});

/** Finds the workers of this build. */
function findWorkers(): { readonly pid: number; readonly command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8');
        return command.includes(WORKER_PATH) ? [{ pid: Number(name), command }] : [];
      } catch {
        return [];
      }
    });
}

describe('other signals', () => {
  it('stop the daemon in good order where they mean that', async () => {
    await using home = makeTempHome();
    await using daemon = await DaemonProcess.start(home);
    await daemon.stop('SIGQUIT');
    expect(existsSync(home.paths.socket)).toBe(false);
    expect(existsSync(home.paths.lock)).toBe(false);
    expect(readFileSync(home.paths.log, 'utf8')).toContain('stopping on SIGQUIT');
  });

  it('do not multiply when nobody reads its output: a lost pipe is not an event to log', async () => {
    await using home = makeTempHome();
    const child = spawn(process.execPath, [CLI_PATH, 'run'], { env: home.env, stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      await until(
        'it is ready',
        () => existsSync(home.paths.log) && readFileSync(home.paths.log, 'utf8').includes('is ready'),
      );
      child.stdout.destroy();
      for (const name of ['FIRST', 'SECOND']) {
        await home.writeKeys({ [`${name}_API_KEY`]: 'a-key-of-sixteen-characters' });
        await until(`it logs ${name}`, () => readFileSync(home.paths.log, 'utf8').includes(`${name}_API_KEY`));
      }
      expect(readFileSync(home.paths.log, 'utf8').split('\n').length).toBeLessThan(30);
    } finally {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  });

  it('are ignored where they mean nothing to it', async () => {
    await using home = makeTempHome();
    await using daemon = await DaemonProcess.start(home);
    await using client = await RawClient.greet(home.paths.socket);
    const ignored = ['SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGIO', 'SIGXFSZ'] as const;
    for (const [index, signal] of ignored.entries()) {
      daemon.signal(signal);
      await until('it is in the log', () => daemon.stdout.includes(`ignored ${signal}`));
      expect((await client.ask(index + 1, 'status.get')).type).toBe('reply');
    }
    await daemon.stop();
  });
});
