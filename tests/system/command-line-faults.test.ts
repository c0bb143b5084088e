import { existsSync, openSync, closeSync, readdirSync, statSync } from 'node:fs';
import { appendFile, chmod, mkdir, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DaemonProcess } from '../support/daemon-process.ts';
import { answering, startFakeDaemon } from '../support/fake-daemon.ts';
import { chunkOf, completionOf } from '../support/loopback-provider.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { Program, runProgram, type ProgramResult } from '../support/run-program.ts';
import { makeTempHome, type TempHome } from '../support/temp-home.ts';
import { createTestDaemon } from '../support/test-daemon.ts';
import { until } from '../support/until.ts';

const isRoot = process.getuid?.() === 0;

it.each([
  [null, /the first call shows/],
  [{ url: 'http://127.0.0.1:9/' }, /aipassd validate local --online/],
])('advises after an added key without a verdict what can give one: %j', async (keyCheck, advice) => {
  await using running = await createTestDaemon({ local: { keyCheck, modelsUrl: null, models: ['m-1'] } });
  const { code, stderr } = await running.cli(['add', 'local', '--force'], { stdin: 'another-key-0123456789\n' });
  expect(code).toBe(0);
  expect(stderr).toMatch(advice);
});

describe('aipassd test', () => {
  it('says that it tested nothing where there is nothing to ask, and ends with 2', async () => {
    await using running = await createTestDaemon({ local: { keyCheck: null, modelsUrl: null, models: ['m-1'] } });
    const { code, stdout, stderr } = await running.cli(['test']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('local was not tested');
    expect(stderr).toContain('aipassd call ping --provider local --model m-1');
    const asDocument = await running.cli(['test', '--json']);
    expect(asDocument.code).toBe(2);
    expect(JSON.parse(asDocument.stdout)).toMatchObject({ provider: 'local', tested: false });
    expect(running.provider.requests).toHaveLength(0);
  });

  it('does not take a key check without an answer for a success', async () => {
    await using running = await createTestDaemon({
      local: { keyCheck: { url: 'http://127.0.0.1:9/' }, modelsUrl: null, models: ['m-1'] },
    });
    const { code, stdout, stderr } = await running.cli(['test']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/local was not tested: local .*refused/);
  });

  it('does not call a connection successful whose key was not checked', async () => {
    await using running = await createTestDaemon({ local: { keyCheck: null } });
    const { code, stdout } = await running.cli(['test']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^The key was not checked: local answers/);
  });

  it('needs no list of models where the key was accepted', async () => {
    await using running = await createTestDaemon({ local: { modelsUrl: null } });
    await running.home.writeConfig({
      defaultProvider: 'local',
      providers: {
        local: {
          baseUrl: running.provider.baseUrl,
          modelsUrl: null,
          keyCheck: { url: `${running.provider.baseUrl}/key` },
        },
      },
    });
    await running.daemon.stop();
    running.daemon = await DaemonProcess.start(running.home);
    expect(await running.cli(['test'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('local'),
    });
  });
});

describe('a hint', () => {
  it('is a command that works where npx runs this one', async () => {
    await using home = makeTempHome();
    const { stderr } = await runCli(home, ['list-providers'], { env: { npm_lifecycle_event: 'npx' } });
    expect(stderr).toMatch(/→ .*npx aipassd run/);
    expect(stderr).not.toMatch(/(?<!npx )aipassd run/);
    expect((await runCli(home, ['list-providers'])).stderr).not.toContain('npx');
  });
});

describe('a refusal', () => {
  it('is in the words of the verb that was typed', async () => {
    await using running = await createTestDaemon({ gateway: {} });
    const token = await running.cli(['gateway-token', 'x y']);
    expect(token).toMatchObject({ code: 2, stderr: expect.stringContaining('gateway-token: "name"') });
    expect(token.stderr).toContain('aipassd gateway-token --help');
    expect(token.stderr).not.toContain('gateway.token.create');
    const huge = await running.cli(['set-secret', 'a/huge'], { stdin: 'x'.repeat(3 * 1024 * 1024) });
    expect(huge).toMatchObject({ code: 2, stderr: expect.stringContaining('1 to 1048576 bytes') });
    expect(huge.stderr).not.toContain('secret.set');
  });

  it('leaves no folder of a secret that could not be stored', async () => {
    await using running = await createTestDaemon();
    const { code } = await running.cli(['set-secret', `new/${'x'.repeat(255)}`], { stdin: '{"key":"v"}' });
    expect(code).toBe(2);
    expect(existsSync(join(running.home.paths.secrets, 'new'))).toBe(false);
  });

  it('comes before the question where there is nothing to remove', async () => {
    await using running = await createTestDaemon();
    const { code, stderr } = await running.cli(['remove-secret', 'a/nosuch']);
    expect(code).toBe(2);
    expect(stderr).toContain('NOT_FOUND');
  });

  it('of an import says that the file holds no key', async () => {
    await using running = await createTestDaemon();
    await writeFile(join(running.home.path, 'plain.txt'), 'root:x:0:0:root:/root:/bin/bash\n');
    const { code, stdout } = await running.cli(['import', 'plain.txt', '--yes']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('plain.txt holds no API key') });
  });

  it('names the command that adds a key where a pool has none', async () => {
    await using running = await createTestDaemon();
    const explained = await running.cli(['pool', 'explain', 'anthropic']);
    expect(`${explained.stdout}${explained.stderr}`).toContain('aipassd add anthropic');
    await running.home.writeKeys({});
    const checked = await until('the keys are gone', async () => {
      const ran = await running.cli(['pool', '--check']);
      return ran.stdout.includes('no provider has a key yet') ? ran : undefined;
    });
    expect(checked).toMatchObject({ code: 0, stderr: expect.stringContaining('aipassd add') });
  });
});

describe('aipassd call', () => {
  it('shows the tool calls and the refusal of a streamed answer', async () => {
    await using running = await createTestDaemon();
    const call = { index: 0, id: 'c1', type: 'function', function: { name: 'look', arguments: '{"at":' } };
    running.provider.queue({
      kind: 'events',
      events: [
        chunkOf({ content: 'Let me see' }),
        chunkOf({ tool_calls: [call] }),
        chunkOf({ tool_calls: [{ index: 0, function: { arguments: '1}' } }] }),
        chunkOf({}, 'tool_calls'),
      ],
    });
    const called = await running.cli(['call', 'x', '-m', 'm', '--stream']);
    expect(called.code).toBe(0);
    expect(called.stdout.startsWith('Let me see\n[')).toBe(true);
    expect(JSON.parse(called.stdout.slice('Let me see\n'.length))).toMatchObject([
      { id: 'c1', function: { name: 'look', arguments: '{"at":1}' } },
    ]);

    running.provider.queue({
      kind: 'events',
      events: [chunkOf({ refusal: 'I will ' }), chunkOf({ refusal: 'not' }), chunkOf({}, 'stop')],
    });
    expect(await running.cli(['call', 'x', '-m', 'm', '--stream'])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: 'warning: the model refused\n  → I will not\n',
    });
  });

  it('shows the tool calls of an answer that has text, too', async () => {
    await using running = await createTestDaemon();
    const toolCalls = [{ id: 'c1', type: 'function', function: { name: 'look', arguments: '{}' } }];
    running.provider.queue(
      completionOf('', {
        choices: [
          { index: 0, message: { role: 'assistant', content: 'Well', tool_calls: toolCalls }, finish_reason: 'stop' },
        ],
      }),
    );
    const { stdout } = await running.cli(['call', 'x', '-m', 'm']);
    expect(stdout.startsWith('Well\n[')).toBe(true);
    expect(JSON.parse(stdout.slice('Well\n'.length))).toEqual(toolCalls);
  });

  it('is ended by Ctrl-C while it reads its input', async () => {
    await using home = makeTempHome();
    const program = spawn(process.execPath, [CLI_PATH, 'call', '-', '--model', 'm'], { env: home.env });
    try {
      const ended = once(program, 'close');
      // More than a pipe holds: once it is taken, the program reads.
      await new Promise((resolve) => {
        program.stdin.write('x'.repeat(1024 * 1024), resolve);
      });
      program.kill('SIGINT');
      expect(await ended).toEqual([130, null]);
    } finally {
      program.kill('SIGKILL');
    }
  });
});

describe('a daemon that hangs', () => {
  it('keeps no shell that completes names waiting until its connection fails', async () => {
    await using test = await startFakeDaemon(() => {});
    const start = performance.now();
    const { code, stdout } = await runCli(test.home, ['completion', 'names', 'providers']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    // The welcome of a connection has 10 s.
    expect(performance.now() - start).toBeLessThan(9000);
  });
});

describe('aipassd logs', () => {
  it('follows until Ctrl-C, which ends it with 130', async () => {
    await using home = makeTempHome();
    await mkdir(dirname(home.paths.log), { recursive: true });
    await writeFile(home.paths.log, '{"message":"first"}\n');
    await using program = new Program(process.execPath, [CLI_PATH, 'logs', '--follow', '--json'], { env: home.env });
    await until('the log is shown', () => program.stdout.includes('first'));
    await appendFile(home.paths.log, '{"message":"second"}\n');
    await until('the new line is shown', () => program.stdout.includes('second'));
    program.signal('SIGINT');
    expect(await program.result()).toMatchObject({ code: 130, stderr: '' });
  });
});

describe('aipassd credential', () => {
  it('changes over one connection', async () => {
    const credential = {
      id: randomUUID(),
      provider: 'local',
      account_key: 'a',
      display_name: 'a',
      key_id: null,
      has_api_key: false,
      api_key_last_four: null,
      base_url: null,
      active: true,
      created_at: '2026-11-28T12:00:00Z',
      updated_at: '2026-11-28T12:00:00Z',
      revision: 1,
    };
    await using test = await startFakeDaemon(
      answering((op) => (op === 'credential.list' ? { credentials: [credential] } : credential)),
    );
    for (const words of [['on'], ['off'], ['set', '--display-name', 'b']]) {
      expect(await runCli(test.home, ['credential', ...words, credential.id])).toMatchObject({ code: 0, stderr: '' });
    }
    expect(test.daemon.accepted).toBe(3);
  });
});

describe('the command line', () => {
  it('shows the status as a document for --json alone', async () => {
    await using running = await createTestDaemon();
    const { code, stdout } = await running.cli(['--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ pid: running.daemon.pid });
  });

  it.runIf(isRoot).each([[['status']], [['run']], [['init']]])(
    '%j says what to do for a user without a home',
    async (args) => {
      await using home = makeTempHome();
      const { PATH = '' } = home.env;
      // No entry in the list of users has this number.
      const result = await runProgram(process.execPath, [CLI_PATH, ...args], {
        env: { PATH },
        cwd: '/',
        uid: 54_321,
        gid: 54_321,
      });
      expect(result).toMatchObject({ code: 2, stdout: '' });
      expect(result.stderr).toMatch(
        /^aipassd: .*\[BAD_REQUEST\]\n {2}→ set HOME; .*SECRETS_DIR,.*_CONFIG,.*_STATE_DIR .*_RUNTIME_DIR\n$/,
      );
    },
  );

  it.runIf(isRoot)('needs no home where every folder is named', async () => {
    await using home = makeTempHome();
    const { HOME: _home, ...env } = home.env;
    const result = await runProgram(process.execPath, [CLI_PATH, 'status'], {
      env,
      cwd: '/',
      uid: 54_321,
      gid: 54_321,
    });
    expect(result.stderr).not.toContain('home folder');
    expect([2, 3]).toContain(result.code);
  });

  it('says what stands in the way of a file, and what to do', async () => {
    await using home = makeTempHome();
    await writeFile(join(home.path, '.secrets'), '');
    const { code, stdout, stderr } = await runCli(home, ['init']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^aipassd: aipassd init: .*\(ENOTDIR\)/);
    expect(stderr).toContain('→ find the file');
  });

  it.runIf(existsSync('/dev/full'))('ends with 2 and says so where its output cannot be written', async () => {
    await using running = await createTestDaemon();
    const { code, stderr } = await runWith(running.home, ['status'], { stdout: '/dev/full' });
    expect(code).toBe(2);
    expect(stderr).toContain('cannot write the output: ENOSPC');
  });

  it.runIf(existsSync('/dev/full'))('keeps its exit code where its errors cannot be written', async () => {
    await using home = makeTempHome();
    expect((await runWith(home, ['status'], { stderr: '/dev/full' })).code).toBe(3);
    expect((await runWith(home, ['nonsense'], { stderr: '/dev/full' })).code).toBe(1);
  });

  it('keeps its exit code where nobody reads its errors', async () => {
    await using home = makeTempHome();
    const program = spawn(process.execPath, [CLI_PATH, 'status'], { env: home.env });
    program.stderr.destroy();
    await once(program, 'close');
    expect(program.exitCode).toBe(3);
  });
});

describe('the folder of compiled code', () => {
  it('is used in a state folder of ours alone, and lets nobody else in', async () => {
    await using home = makeTempHome();
    await mkdir(home.paths.state, { mode: 0o700 });
    const cache = join(home.paths.state, 'compile-cache');
    // Node would take the folder that the tests share.
    const { NODE_COMPILE_CACHE: _shared, ...env } = home.env;
    await runProgram('/bin/sh', ['-c', 'umask 0; exec "$0" "$1" --version', process.execPath, CLI_PATH], { env });
    expect(existsSync(cache)).toBe(true);
    for (const name of ['', ...readdirSync(cache, { recursive: true, encoding: 'utf8' })]) {
      expect(statSync(join(cache, name)).mode & 0o077).toBe(0);
    }
  });

  it('is not made where others could put code into it', async () => {
    await using home = makeTempHome();
    await mkdir(home.paths.state);
    await chmod(home.paths.state, 0o777);
    await runCli(home, ['--version']);
    expect(readdirSync(home.paths.state)).toEqual([]);
  });
});

describe('the start of the daemon', () => {
  it('does not fail for the lack of a file for keys, which status tells of', async () => {
    await using home = makeTempHome();
    await writeFile(join(home.path, '.secrets'), '');
    await using daemon = await DaemonProcess.start(home);
    const { code, stdout } = await runCli(home, ['status']);
    expect(code).toBe(0);
    expect(stdout).toContain('the file for the keys');
    await daemon.stop();
  });

  it('tells in status of a log file that cannot be written', async () => {
    await using home = makeTempHome();
    await mkdir(home.paths.log, { recursive: true });
    await using daemon = await DaemonProcess.start(home);
    const { stdout } = await runCli(home, ['status']);
    expect(stdout).toContain(home.paths.log);
    await daemon.stop();
  });

  it('fails with what to do where the state folder is a file', async () => {
    await using home = makeTempHome();
    await writeFile(home.paths.state, '');
    const { code, stderr } = await runCli(home, ['run']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/cannot start: .*\(EEXIST\) \[BAD_REQUEST\]/);
    expect(stderr).toContain(`ls -ld ${home.paths.state}`);
  });

  it('names the folder that stands where the configuration should be', async () => {
    await using home = makeTempHome();
    await mkdir(home.paths.config);
    const { code, stderr } = await runCli(home, ['run']);
    expect(code).toBe(2);
    expect(stderr).toContain('(EISDIR)');
    expect(stderr).toContain(`mv ${home.paths.config} `);
  });

  it('takes a configuration that begins with a byte order mark', async () => {
    await using home = makeTempHome();
    await writeFile(home.paths.config, '\u{FEFF}{ "defaultProvider": "groq" }');
    await using daemon = await DaemonProcess.start(home);
    expect(JSON.parse((await runCli(home, ['--json'])).stdout)).toMatchObject({ defaultProvider: 'groq' });
    await daemon.stop();
  });
});

/** Runs one command with an output that goes into a file. */
async function runWith(
  home: TempHome,
  args: readonly string[],
  files: { readonly stdout?: string; readonly stderr?: string },
): Promise<Pick<ProgramResult, 'code' | 'stderr'>> {
  const outputs = [files.stdout, files.stderr].map((path) => (path === undefined ? 'pipe' : openSync(path, 'w')));
  const program = spawn(process.execPath, [CLI_PATH, ...args], { env: home.env, stdio: ['ignore', ...outputs] });
  let stderr = '';
  program.stdout?.resume();
  program.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  await once(program, 'close');
  for (const fd of outputs) if (typeof fd === 'number') closeSync(fd);
  return { code: program.exitCode, stderr };
}
