import { chmodSync, lstatSync, readFileSync } from 'node:fs';
import { request as sendRequest } from 'node:http';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startClientProgram } from '../support/client-program.ts';
import { CLI_PATH } from '../support/run-cli.ts';
import { Program } from '../support/run-program.ts';
import { completionOf } from '../support/loopback-provider.ts';
import { until } from '../support/until.ts';
import { LOCAL_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

/** Are users that no machine has: the configuration names them by number. */
const REVEALER = 54_001;
const ADMIN = 54_002;
const MEMBER = 54_003;
const STRANGER = 54_004;
const GROUP = 54_100;

const ACCESS = { use: { groups: [GROUP] }, reveal: { users: [REVEALER] }, admin: { users: [ADMIN] } };

/**
 * Starts a daemon that serves others; its folders let them through, as those of the host-wide
 * service do.
 */
async function start(access: object): Promise<TestDaemon> {
  const running = await createTestDaemon({ access });
  running.provider.answerWith(completionOf('ok'));
  openFolders(running);
  return running;
}

function openFolders({ home }: TestDaemon): void {
  for (const folder of [home.path, dirname(home.paths.socket)]) chmodSync(folder, 0o711);
}

/** Runs a client as another user, and returns what it printed as JSON. */
async function runAs(running: TestDaemon, uid: number, groups: readonly number[], code: string): Promise<unknown> {
  const become = `process.setgroups(${JSON.stringify(groups)}); process.setgid(${uid}); process.setuid(${uid});`;
  await using program = startClientProgram(
    running.home.paths.socket,
    `
      ${become}
      const outcome = (promise) => promise.then((value) => value ?? 'done', (error) => error.code);
      ${code}
    `,
  );
  const { stdout, stderr } = await program.result();
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

const ASK_ALL = `
  const aipass = await connect({ socket, caller: 'other' }).catch((error) => error);
  console.log(JSON.stringify(aipass instanceof Error ? aipass.code : {
    see: (await outcome(aipass.status())).pid ? 'done' : 'no',
    use: await outcome(aipass.complete({ model: 'm', messages: [{ role: 'user', content: 'x' }] }).then((answer) => answer.content)),
    reveal: await outcome(aipass.key('local')),
    admin: await outcome(aipass.request('usage.prune', { days: 30, dryRun: true }).then(() => 'done')),
  }));
  if (!(aipass instanceof Error)) await aipass.close();
`;

describe.runIf(process.getuid?.() === 0)('other users of a daemon that serves them', () => {
  let shared: TestDaemon;
  beforeAll(async () => {
    shared = await start(ACCESS);
  });
  afterAll(() => shared[Symbol.asyncDispose]());

  it.each([
    ['a user listed for reveal gets values and no more', REVEALER, [], { reveal: LOCAL_KEY }],
    ['a user listed for admin changes things and sees no value', ADMIN, [], { admin: 'done' }],
    ['a member of a group listed for use uses what it does not see', MEMBER, [GROUP], { use: 'ok' }],
    ['a member listed for reveal too may do both', REVEALER, [GROUP], { use: 'ok', reveal: LOCAL_KEY }],
  ])('%s', async (_name, uid, groups, granted) => {
    const refused = { see: 'done', use: 'FORBIDDEN', reveal: 'FORBIDDEN', admin: 'FORBIDDEN' };
    expect(await runAs(shared, uid, groups, ASK_ALL)).toEqual({ ...refused, ...granted });
  });

  it('a stranger is turned away by its uid, though the socket is open to all', async () => {
    expect(lstatSync(shared.home.paths.socket).mode & 0o777).toBe(0o666);
    expect(await runAs(shared, STRANGER, [STRANGER], ASK_ALL)).toBe('FORBIDDEN');
  });

  it('a run that would hand out values is refused to a caller without reveal, and its program does not start', async () => {
    const account = { uid: MEMBER, gid: GROUP, env: shared.home.env, cwd: '/' };
    const run = async (...options: string[]) => {
      const words = ['exec', ...options, '--', process.execPath, '-p', '"started"'];
      await using program = new Program(process.execPath, [CLI_PATH, ...words], account);
      const { code, stdout, stderr } = await program.result();
      return { code, stdout, isForbidden: stderr.includes('FORBIDDEN') && stderr.includes('reveal') };
    };
    const refused = { code: 2, stdout: '', isForbidden: true };
    expect(await run('--git')).toEqual(refused);
    expect(await run('--google', 'google')).toEqual(refused);
    expect(await run()).toEqual({ code: 0, stdout: 'started\n', isForbidden: false });
    const lines = readFileSync(shared.home.paths.audit, 'utf8').trim().split('\n');
    expect(lines.map((line): unknown => JSON.parse(line))).toContainEqual(
      expect.objectContaining({
        operation: 'gateway.open',
        outcome: 'refused',
        caller: expect.objectContaining({ uid: MEMBER }),
      }),
    );
  });

  it('each refusal and release is in the audit with the uid that the kernel tells', async () => {
    await runAs(shared, REVEALER, [], ASK_ALL);
    const lines = readFileSync(shared.home.paths.audit, 'utf8').trim().split('\n');
    const told = lines.map((line) => {
      const { caller, operation, outcome } = JSON.parse(line);
      return `${caller?.uid} ${operation} ${outcome}`;
    });
    expect(told).toContain(`${REVEALER} key.get released`);
    expect(told).toContain(`${REVEALER} completion.create refused`);
    expect(told).toContain(`${REVEALER} usage.prune refused`);
  });

  it('says which folder keeps others from a daemon that is to serve them', async () => {
    await using running = await createTestDaemon({ access: ACCESS });
    const aipass = await running.connect();
    const shut = async (): Promise<string[]> =>
      (await aipass.status()).warnings.filter(({ hint }) => hint.startsWith('chmod 711')).map(({ subject }) => subject);
    expect(await shut()).toEqual([running.home.paths.runtime]);
    chmodSync(running.home.paths.runtime, 0o711);
    expect(await shut()).toEqual([running.home.path]);
    openFolders(running);
    expect(await shut()).toEqual([]);
  });

  it('a right that is taken away ends the requests in flight that need it, and brings no key', async () => {
    await using running = await start({ reveal: { users: [REVEALER] } });
    const config = JSON.parse(readFileSync(running.home.paths.config, 'utf8'));
    // Longer than a busy machine needs to start the program of the other user.
    running.provider.answerWith({ kind: 'json', status: 429, body: {}, headers: { 'retry-after': '25' } });
    const aipass = await running.connect();
    await aipass.complete({ model: 'm', messages: [{ role: 'user', content: 'x' }] }).catch(() => {});
    const losing = runAs(
      running,
      REVEALER,
      [],
      `
        const aipass = await connect({ socket, caller: 'waiting' });
        const lease = outcome(aipass.request('pool.lease', { provider: 'local', maxWaitMs: 30000 }));
        await aipass.status();
        console.error = () => {};
        console.log(JSON.stringify(await lease));
        await aipass.close();
      `,
    );
    await until('it waits for the key', async () => (await aipass.status()).requestsInFlight > 1);
    await running.home.writeConfig({ ...config, access: {} });
    expect(await losing).toBe('FORBIDDEN');
    expect(readFileSync(running.home.paths.audit, 'utf8')).not.toContain(`"released","caller":{"uid":${REVEALER}`);
  });

  it('the owner has room and an answer whatever others hold', async () => {
    await using running = await createTestDaemon({
      access: { use: { users: [MEMBER, REVEALER] } },
      limits: { connections: 20, perUser: { connections: 15 } },
    });
    openFolders(running);
    const hold = (uid: number): Program =>
      startClientProgram(
        running.home.paths.socket,
        `
          process.setgroups([]); process.setgid(${uid}); process.setuid(${uid});
          const open = [];
          for (let count = 0; count < 15; count += 1) {
            open.push(await connect({ socket, caller: 'holder' }).then((one) => one.status().then(() => one)).catch(() => null));
          }
          console.log(open.filter(Boolean).length);
          setInterval(() => {}, 1000);
        `,
      );
    await using first = hold(MEMBER);
    await until('the first holds all it may', () => first.stdout.trim() === '15');
    await using second = hold(REVEALER);
    await until('the second has the rest', () => second.stdout.trim() === '5');
    for (let count = 0; count < 10; count += 1) {
      const aipass = await running.connect();
      expect((await aipass.status()).connections).toBeGreaterThan(20);
    }
  });

  it('the owner has room at the gateway, too, whatever others hold', async () => {
    await using running = await createTestDaemon({
      access: { use: { users: [MEMBER, REVEALER] } },
      limits: { connections: 20, perUser: { connections: 15 } },
    });
    openFolders(running);
    const path = running.home.paths.gatewaySocket;
    const hold = (uid: number): Program =>
      startClientProgram(
        running.home.paths.socket,
        `
          import { connect as connectTo } from 'node:net';
          import { once } from 'node:events';
          process.setgroups([]); process.setgid(${uid}); process.setuid(${uid});
          let held = 0;
          for (let count = 0; count < 15; count += 1) {
            const one = connectTo(${JSON.stringify(path)});
            one.on('error', () => {});
            one.write('GET /healthz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n');
            const [answer] = await Promise.race([once(one, 'data'), once(one, 'close')]);
            if (String(answer).startsWith('HTTP/1.1 200')) held += 1;
          }
          console.log(held);
          setInterval(() => {}, 1000);
        `,
      );
    await using first = hold(MEMBER);
    await until('the first holds all it may', () => first.stdout.trim() === '15');
    await using second = hold(REVEALER);
    await until('the second has the rest', () => second.stdout.trim() === '5');
    for (let count = 0; count < 10; count += 1) {
      const status = await new Promise((resolve, reject) => {
        const request = sendRequest({ socketPath: path, path: '/healthz', agent: false }, (answer) => {
          resolve(answer.resume().statusCode);
        });
        request.on('error', reject);
        request.end();
      });
      expect(status).toBe(200);
    }
  });

  it('rights that are taken away end for connections that are open, and those that are given open the socket', async () => {
    await using running = await start({});
    const mode = () => lstatSync(running.home.paths.socket).mode & 0o777;
    expect(mode()).toBe(0o600);
    const reloadTo = async (access: object): Promise<void> => {
      const config = JSON.parse(readFileSync(running.home.paths.config, 'utf8'));
      const before = running.daemon.stdout.split('"applied":["access"]').length;
      await running.home.writeConfig({ ...config, access });
      await until('it is reloaded', () => running.daemon.stdout.split('"applied":["access"]').length > before);
    };
    await reloadTo(ACCESS);
    await until('the socket is open to others', () => mode() === 0o666);

    const losing = runAs(
      running,
      REVEALER,
      [],
      `
        const aipass = await connect({ socket, caller: 'losing' });
        const first = await outcome(aipass.key('local'));
        let last = first;
        while (last === first) last = await outcome(aipass.key('local'));
        console.log(JSON.stringify({ first, last, see: await outcome(aipass.status()) }));
        await aipass.close();
      `,
    );
    await until('it has the key', () => readFileSync(running.home.paths.audit, 'utf8').includes('"losing"'));
    await reloadTo({});
    expect(await losing).toEqual({ first: LOCAL_KEY, last: 'FORBIDDEN', see: 'FORBIDDEN' });
    await until('the socket is shut to others', () => mode() === 0o600);
  });
});
