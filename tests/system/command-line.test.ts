import { existsSync, readFileSync, statSync } from 'node:fs';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { refusalOf, startLoopbackProvider, streamOf } from '../support/loopback-provider.ts';
import { runCli } from '../support/run-cli.ts';
import { runProgram } from '../support/run-program.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { until } from '../support/until.ts';
import { LOCAL_KEY, OPENROUTER_KEY, createTestDaemon } from '../support/test-daemon.ts';

const MASKED = 'sk-or-****cdef';

describe('the command line with a daemon', () => {
  it('introspects alone, with the daemon up or down, and ends with 0', async () => {
    await using running = await createTestDaemon();
    const up = await running.cli([]);
    expect(up.code).toBe(0);
    expect(up.stdout).toContain(`running, pid ${running.daemon.pid}`);
    expect(up.stdout).toContain('local (1)');
    await running.daemon.stop();
    const down = await running.cli([]);
    expect(down.code).toBe(0);
    expect(down.stdout).toContain('not running');
    expect(down.stdout).toContain('aipassd run');
  });

  it('shows the status at a glance, and as a document', async () => {
    await using running = await createTestDaemon();
    const { stdout, code } = await running.cli(['status']);
    expect(code).toBe(0);
    for (const part of [`pid ${running.daemon.pid}`, running.home.paths.socket, 'openrouter', MASKED, 'ready']) {
      expect(stdout).toContain(part);
    }
    const document: unknown = JSON.parse((await running.cli(['status', '--json'])).stdout);
    expect(document).toMatchObject({ pid: running.daemon.pid, defaultProvider: 'local', warnings: [] });
  });

  it('begins the status with what needs attention, and fits 60 columns', async () => {
    await using running = await createTestDaemon();
    running.provider.answerWith(refusalOf(401, 'no such key'));
    expect((await running.cli(['call', 'ping', '-m', 'm'])).code).toBe(2);
    const { stdout } = await running.cli(['status'], { env: { COLUMNS: '60' } });
    const [headline, first] = stdout.split('\n');
    expect(headline).toMatch(/^● aipassd \S+ is running, 1 thing to do$/);
    expect(first).toMatch(/^  1\. LOCAL_API_KEY of local is refused by its/);
    expect(stdout).toContain('local (default)  1 key: refused');
    for (const line of stdout.split('\n').filter((one) => !one.includes('/'))) {
      expect(line.length, line).toBeLessThanOrEqual(60);
    }
    const doctor = await running.cli(['doctor', '--offline']);
    expect(doctor).toMatchObject({
      code: 2,
      stdout: expect.stringMatching(/1 problem, \d+ warnings?; \d+ checks passed/),
    });
    expect(doctor.stdout).toContain('LOCAL_API_KEY of local is refused');
  });

  it('shows the log, and completes what only the daemon knows', async () => {
    await using running = await createTestDaemon();
    expect((await running.cli(['logs', '--last', '5'])).stdout).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info/m);
    expect((await running.cli(['completion', 'names', 'providers'])).stdout.split('\n')).toContain('local');
    const script = (await running.cli(['completion', 'bash'])).stdout;
    const program = `${script}
COMP_WORDS=(aipassd stats --by mo) COMP_CWORD=3; _aipassd; echo "\${COMPREPLY[@]}"
COMP_WORDS=(aipassd pool expl) COMP_CWORD=2; _aipassd; echo "\${COMPREPLY[@]}"`;
    expect((await runProgram('bash', ['-c', program], { env: running.home.env })).stdout).toBe('model\nexplain\n');
  });

  it('points who asks for a token of a provider that takes keys, or for a key of a default provider without one', async () => {
    await using running = await createTestDaemon({ defaultProvider: 'mistral' });
    const token = await running.cli(['token', 'openrouter']);
    expect(token).toMatchObject({ code: 2, stderr: expect.stringContaining('aipassd get-key openrouter') });
    const reauth = await running.cli(['reauth', 'openrouter']);
    expect(reauth).toMatchObject({ code: 2, stderr: expect.stringContaining('aipassd get-key openrouter') });
    const call = await running.cli(['call', 'ping', '-m', 'm']);
    expect(call).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('such as local'),
    });
    const wrapped = await running.cli(['add', 'groq', '--force', '--json'], {
      stdin: `export GROQ_API_KEY="gsk_${'0123456789'.repeat(5)}ab"\n`,
    });
    expect(JSON.parse(wrapped.stdout)).toMatchObject({ provider: 'groq', api_key_last_four: '89ab' });
  });

  it('takes the words of habit for commands', async () => {
    await using running = await createTestDaemon();
    expect((await running.cli(['list'])).stdout).toContain('local (default)');
    expect((await running.cli(['--json', 'providers'])).stdout).toContain('"defaultProvider": "local"');
    expect((await running.cli(['whoami'])).stdout).toContain(`running, pid ${running.daemon.pid}`);
    expect((await running.cli(['usage'])).stderr).toContain('No usage data available');
  });

  it('masks a key unless told to reveal it', async () => {
    await using running = await createTestDaemon();
    const masked = await running.cli(['get-key', 'openrouter']);
    expect(masked.stdout).toContain(MASKED);
    expect(masked.stdout).not.toContain(OPENROUTER_KEY);
    expect((await running.cli(['get-key', 'openrouter', '--reveal'])).stdout).toBe(`${OPENROUTER_KEY}\n`);
    const asJson: unknown = JSON.parse((await running.cli(['get-key', '--json'])).stdout);
    expect(asJson).toMatchObject({ provider: 'local', keyId: 'LOCAL_API_KEY', state: 'ready' });
  });

  it('says whether a secret is there, writes it for its user alone, and never prints it', async () => {
    await using running = await createTestDaemon();
    const folder = join(running.home.paths.secrets, 'telegram');
    await mkdir(folder, { mode: 0o700 });
    await writeFile(join(folder, 'bot.json'), '{"bot_token":"tg-0123456789"}', { mode: 0o600 });
    await until(
      'it is listed',
      async () => (await running.cli(['get-secret', 'telegram', '--list'])).stdout === 'bot\n',
    );
    expect((await running.cli(['get-secret', '--list'])).stdout).toBe('telegram/bot\n');
    expect((await running.cli(['get-secret', 'telegram/bot'])).stdout).toBe('telegram/bot: set (13 chars)\n');

    const file = join(running.home.path, 'out');
    await writeFile(file, 'lax', { mode: 0o644 });
    const refused = await running.cli(['get-secret', 'telegram/bot', '--out', file]);
    expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('add --force') });
    expect(readFileSync(file, 'utf8')).toBe('lax');
    const written = await running.cli(['get-secret', 'telegram/bot', '--out', file, '--force']);
    expect(written).toMatchObject({ code: 0, stdout: `Wrote telegram/bot to ${file}\n` });
    expect(readFileSync(file, 'utf8')).toBe('tg-0123456789');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const fresh = join(running.home.path, 'fresh');
    await running.cli(['get-secret', 'telegram/bot', '--out', fresh, '--json']);
    expect(readFileSync(fresh, 'utf8')).toBe('{"bot_token":"tg-0123456789"}');

    const binary = Buffer.from([0x30, 0x82, 0, 1, 0xff, 0xfe, 0x0a]);
    await writeFile(join(folder, 'cert.p12'), binary, { mode: 0o600 });
    await writeFile(join(folder, 'broken.json'), '{"token":', { mode: 0o600 });
    const copy = join(running.home.path, 'copy.p12');
    await until(
      'it is held',
      async () => (await running.cli(['get-secret', 'telegram/cert.p12', '--out', copy])).code === 0,
    );
    expect(readFileSync(copy)).toEqual(binary);
    expect((await running.cli(['get-secret', 'telegram/broken', '--out', `${copy}.2`])).stderr).toContain(
      'is not valid JSON',
    );

    for (const target of ['/dev/null', '/proc/self/fd/1', folder, '']) {
      expect((await running.cli(['get-secret', 'telegram/bot', '--out', target])).code).toBe(1);
    }
    const nowhere = join(running.home.path, 'no', 'such', 'out');
    expect(await running.cli(['get-secret', 'telegram/bot', '--out', nowhere])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`there is no folder ${dirname(nowhere)}`),
    });
    expect(existsSync(join(running.home.path, 'no'))).toBe(false);
    const missing = await running.cli(['get-secret', 'telegram/none']);
    expect(missing).toMatchObject({ code: 2, stdout: '' });
    expect((await running.cli(['get-secret', 'nonsense'])).code).toBe(1);
  });

  it('validates offline by shape, and online by the word of the provider; what is not valid is exit code 2', async () => {
    await using running = await createTestDaemon({ local: { keyCheck: { url: 'http://127.0.0.1:9/' } } });
    expect(await running.cli(['validate', 'openrouter'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('valid'),
    });
    await running.home.writeKeys({ LOCAL_API_KEY: LOCAL_KEY, OPENROUTER_API_KEY: 'sk-xx-v1-of-no-known-shape' });
    await until(
      'the changed key is suspect, and that is exit code 2',
      async () => (await running.cli(['validate', 'openrouter'])).code === 2,
    );
    const suspect = await running.cli(['validate', 'openrouter']);
    expect(suspect.stdout).toContain('suspect: ');
    expect(suspect.stderr).toContain(running.home.paths.envFile);
    await running.home.writeKeys({ LOCAL_API_KEY: `${LOCAL_KEY};`, OPENROUTER_API_KEY: OPENROUTER_KEY });
    await until(
      'a key with a character too many is suspect',
      async () => (await running.cli(['validate', 'local'])).code === 2,
    );
    await running.home.writeKeys({ LOCAL_API_KEY: LOCAL_KEY });
    await until('the key is right again', async () => (await running.cli(['validate', 'local'])).code === 0);
    const unreachable = await running.cli(['validate', '--online']);
    expect(unreachable).toMatchObject({ code: 2, stdout: expect.stringContaining('unknown') });
  });

  it('asks the key check of the configuration', async () => {
    await using provider = await startLoopbackProvider();
    await using running = await createTestDaemon({ local: { keyCheck: { url: `${provider.baseUrl}/key` } } });
    provider.route('/v1/key', { kind: 'json', body: { data: { label: 'x' } } });
    expect(await running.cli(['validate', '--online'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('local accepts it'),
    });
    expect(provider.requests.at(-1)?.key).toBe(LOCAL_KEY);
    provider.route('/v1/key', refusalOf(401, `no such key: ${LOCAL_KEY}`));
    const refused = await running.cli(['validate', '--online']);
    expect(refused).toMatchObject({ code: 2, stdout: expect.stringContaining('invalid') });
    expect(refused.stdout).not.toContain(LOCAL_KEY);
    expect((await running.cli(['test'])).code).toBe(2);
  });

  it('lists models, ten unless all are wanted', async () => {
    await using running = await createTestDaemon();
    const models = Array.from({ length: 12 }, (_, index) => ({
      id: `m-${index}`,
      context_length: index === 0 ? 1_048_576 : 8192,
      pricing: { prompt: index === 1 ? '0' : '0.000001', completion: index === 1 ? '0' : '0.000002' },
    }));
    running.provider.route('/v1/models', { kind: 'json', body: { data: models } });
    const ten = await running.cli(['models']);
    expect(ten.stdout).toContain('m-0    1M       $1.00   $2.00');
    expect(ten.stdout).toContain('m-1    8k       free    free');
    expect(ten.stdout).toContain('Showing 10 of 12');
    expect((await running.cli(['models', '--all'])).stdout).toContain('m-11');
    expect(JSON.parse((await running.cli(['models', 'local', '--json'])).stdout)).toHaveLength(12);
    expect((await running.cli(['test'])).stdout).toContain('12 models available');
  });

  it('calls a model: whole, streamed, from stdin, with a system message, as a document', async () => {
    await using running = await createTestDaemon();
    running.provider.answerWith(streamOf(['po', 'ng']));
    expect(await running.cli(['call', 'ping', '--model', 'm', '--stream'])).toMatchObject({
      code: 0,
      stdout: 'pong\n',
    });
    running.provider.answerWith({
      kind: 'json',
      body: {
        id: 'g',
        model: 'm',
        choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'pong' } }],
      },
    });
    const bare = ['call', '-m', 'm', '--max-tokens', '5', '--temperature', '0.5'];
    expect(await running.cli(bare, { stdin: 'ping' })).toMatchObject({ code: 0, stdout: 'pong\n' });
    const asked = running.provider.requests.findLast(({ body }) => body !== undefined);
    expect(asked?.body).toMatchObject({ max_tokens: 5, temperature: 0.5 });
    const piped = await running.cli(['call', '-', '-m', 'm', '--system', 'be brief'], { stdin: 'ping\n' });
    expect(piped).toMatchObject({ code: 0, stdout: 'pong\n' });
    expect(running.provider.requests.at(-1)?.body).toMatchObject({
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'ping\n' },
      ],
    });
    const document: unknown = JSON.parse((await running.cli(['call', 'ping', '-m', 'm', '--json'])).stdout);
    expect(document).toMatchObject({ content: 'pong', usage: null, keyId: 'LOCAL_API_KEY' });
  });

  it('ends with 2 and the reason when a provider refuses', async () => {
    await using running = await createTestDaemon();
    running.provider.answerWith(refusalOf(401, `bad key ${LOCAL_KEY}`));
    const { code, stdout, stderr } = await running.cli(['call', 'ping', '--model', 'm']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('answered 401');
    expect(stderr).not.toContain(LOCAL_KEY);
  });

  it('lists the providers', async () => {
    await using running = await createTestDaemon();
    const { stdout } = await running.cli(['list-providers']);
    expect(stdout).toMatch(/- local \(default\) +1 key/);
    expect(stdout).toMatch(/- ollama +needs no key/);
    expect(await running.cli(['pool', 'explain', 'ollama'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('ollama: '),
    });
    expect((await running.cli(['audit', '--credential', 'nix'])).stdout.split('\n')).toHaveLength(2);
  });
});

describe('the command line without a daemon', () => {
  it.each([
    ['status'],
    ['get-key'],
    ['get-secret', 'a/b'],
    ['validate'],
    ['test'],
    ['models'],
    ['call', 'x', '--model', 'm'],
    ['list-providers'],
  ])('%s ends with 3 and says how to start one', async (...args) => {
    await using home = makeTempHome();
    const { code, stdout, stderr } = await runCli(home, args);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toContain('aipassd run');
  });

  it.each([
    [['nonsense'], 'unknown command'],
    [['sttatus'], 'did you mean "aipassd status"'],
    [['lst'], 'did you mean "aipassd list-providers"'],
    [['help', 'sttats'], 'did you mean "aipassd stats"'],
    [['status', '--nonsense'], '--nonsense'],
    [['status', 'too', 'many'], 'too many words'],
    [['call'], '<prompt> is missing'],
    [['call', 'x'], 'there is no default'],
    [['call', '  ', '--model', 'm'], 'the prompt is empty'],
    [['call', 'x', '--model', ''], 'there is no default'],
    [['remove-secret', 'nosuch'], '<provider>/<slug>'],
  ])('%j is not understood: exit code 1 and what to do', async (args, message) => {
    await using home = makeTempHome();
    const { code, stdout, stderr } = await runCli(home, args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain('→');
  });

  it.each([
    ['--help'],
    ['-h'],
    ['help'],
    ['run', '--help'],
    ['call', 'x', '-h'],
    ['help', 'status'],
    ['nonsense', '--help'],
  ])('%s only explains, and ends with 0', async (...args) => {
    await using home = makeTempHome();
    const { code, stdout, stderr } = await runCli(home, args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('usage: aipassd');
  });

  it('does not explain an unknown command, wherever its options stand', async () => {
    await using home = makeTempHome();
    for (const args of [
      ['help', 'nonsense'],
      ['--json', 'help', 'nonsense'],
    ]) {
      const { code, stderr } = await runCli(home, args);
      expect(code).toBe(1);
      expect(stderr).toContain('unknown command: nonsense');
    }
  });

  it('lists the verbs of two words in the help of the first', async () => {
    await using home = makeTempHome();
    const { code, stdout } = await runCli(home, ['credential', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^usage: aipassd credential list /);
    for (const verb of ['show', 'add', 'rotate', 'usage', 'rm']) expect(stdout).toContain(`  credential ${verb} `);
    expect((await runCli(home, ['credential', 'rm', '--help'])).stdout).not.toContain('credential rotate');
  });

  it.each([['--version'], ['-V'], ['-v'], ['version']])('prints its version for %s', async (word) => {
    await using home = makeTempHome();
    expect((await runCli(home, [word])).stdout).toMatch(/^aipassd \d+\.\d+\.\d+\n$/);
  });

  it.each([
    ['stop', 'SIGTERM'],
    ['restart', 'Ctrl-C'],
    ['start', 'aipassd install'],
    ['set', 'aipassd add <provider>'],
    ['rm', 'aipassd credential rm'],
    ['config', 'config.jsonc'],
    ['get', 'get-key'],
  ])('points from %s to what exists here', async (word, hint) => {
    await using home = makeTempHome();
    const { code, stderr } = await runCli(home, [word]);
    expect(code).toBe(1);
    expect(stderr).toContain(hint);
  });

  it('names the unit where the daemon is a service', async () => {
    await using home = makeTempHome();
    const units = join(home.path, '.config', 'systemd', 'user');
    await mkdir(units, { recursive: true });
    await writeFile(join(units, 'aipassd.service'), '');
    expect((await runCli(home, ['status'])).stderr).toContain('→ start it: systemctl --user start aipassd');
    expect((await runCli(home, ['stop'])).stderr).toContain('→ run: systemctl --user stop aipassd');
    expect((await runCli(home, [])).stdout).toContain('systemctl --user start aipassd');
  });

  it('reports a failure as a document for --json, wherever that stands', async () => {
    await using home = makeTempHome();
    for (const args of [['status', '--json'], ['--json', 'status'], ['--json']]) {
      const { code, stdout } = await runCli(home, args);
      expect(code).toBe(3);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'DAEMON_UNREACHABLE', hint: expect.any(String) } });
    }
    const misspelt = await runCli(home, ['--json', 'sttatus']);
    expect(misspelt.code).toBe(1);
    expect(JSON.parse(misspelt.stdout)).toMatchObject({ error: { code: 'BAD_REQUEST' } });
  });

  it.runIf(process.getuid?.() === 0)('makes no file of root in the home of somebody else', async () => {
    await using home = makeTempHome();
    await chown(home.path, 54_321, 54_321);
    const { code, stderr } = await runCli(home, ['init']);
    expect(code).toBe(2);
    expect(stderr).toContain('[UNSAFE_PERMISSIONS]');
    expect(stderr).toContain('uid 54321');
    expect(existsSync(home.paths.secretsRoot)).toBe(false);
  });

  it('makes the file for the keys once, and never overwrites it', async () => {
    await using home = makeTempHome();
    expect((await runCli(home, ['init'])).stdout).toContain(`Created ${home.paths.envFile}`);
    await writeFile(home.paths.envFile, 'MINE=1\n');
    expect((await runCli(home, ['init'])).stdout).toContain('already exists');
    expect(readFileSync(home.paths.envFile, 'utf8')).toBe('MINE=1\n');
  });
});
