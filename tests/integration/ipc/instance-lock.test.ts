import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import type { Paths } from '../../../src/base/paths.ts';
import { takeInstance } from '../../../src/ipc/instance-lock.ts';
import { FakeDaemon } from '../../support/fake-daemon.ts';
import { Program } from '../../support/run-program.ts';
import { leaveStaleSocket } from '../../support/stale-socket.ts';
import { makeTempHome, type TempHome } from '../../support/temp-home.ts';
import { until } from '../../support/until.ts';

async function homeWithRuntime(): Promise<TempHome> {
  const home = makeTempHome();
  await home.makeRuntime();
  return home;
}

function outcome(paths: Paths): Promise<string> {
  return takeInstance(paths).then(
    () => 'taken',
    (error: unknown) => (error instanceof AipassError ? error.code : String(error)),
  );
}

/** Returns the content of a lock file. */
function lockOf(pid: number, started: string | null, nonce = 'some-id'): string {
  return `${JSON.stringify({ pid, started, nonce })}\n`;
}

/** Lists what is in the folder of the sockets. */
function leftIn({ lock }: Paths): string[] {
  return readdirSync(dirname(lock));
}

async function pidOfTheDead(): Promise<number> {
  const program = new Program(process.execPath, ['--eval', '']);
  await program.ended;
  return program.pid;
}

describe('the place of the daemon', () => {
  it('is taken by a lock that names its holder, for its owner only, and given back', async () => {
    await using home = await homeWithRuntime();
    const release = await takeInstance(home.paths);
    expect(JSON.parse(readFileSync(home.paths.lock, 'utf8'))).toMatchObject({
      pid: process.pid,
      nonce: expect.any(String),
    });
    expect(statSync(home.paths.lock).mode & 0o777).toBe(0o600);
    expect(leftIn(home.paths)).toStrictEqual(['aipassd.lock']);
    await release();
    expect(leftIn(home.paths)).toStrictEqual([]);
    await release();
  });

  it('is not given back for somebody else', async () => {
    await using home = await homeWithRuntime();
    const release = await takeInstance(home.paths);
    await writeFile(home.paths.lock, 'somebody else');
    await release();
    expect(readFileSync(home.paths.lock, 'utf8')).toBe('somebody else');
  });

  it('is refused while its holder lives, with the pid and what to do', async () => {
    await using home = await homeWithRuntime();
    await takeInstance(home.paths);
    const lock = readFileSync(home.paths.lock, 'utf8');
    await expect(takeInstance(home.paths)).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
      message: expect.stringContaining(`pid ${process.pid}`),
      hint: expect.stringContaining(`kill ${process.pid}`),
    });
    expect(readFileSync(home.paths.lock, 'utf8')).toBe(lock);
    expect(leftIn(home.paths)).toStrictEqual(['aipassd.lock']);
  });

  it('is taken over from a dead holder', async () => {
    await using home = await homeWithRuntime();
    await writeFile(home.paths.lock, lockOf(await pidOfTheDead(), '12345'));
    const release = await takeInstance(home.paths);
    expect(JSON.parse(readFileSync(home.paths.lock, 'utf8'))).toMatchObject({ pid: process.pid });
    expect(leftIn(home.paths)).toStrictEqual(['aipassd.lock']);
    await release();
    expect(leftIn(home.paths)).toStrictEqual([]);
  });

  it("is taken over where the holder's pid is another program's by now, as its start time shows", async () => {
    await using home = await homeWithRuntime();
    await writeFile(home.paths.lock, lockOf(process.pid, 'boot:1'));
    expect(await outcome(home.paths)).toBe('taken');
  });

  it.runIf(process.platform === 'linux')(
    'is taken over from a holder that has ended and that nobody has waited for',
    async () => {
      await using home = await homeWithRuntime();
      // The shell becomes a program that never asks how its child ended.
      await using parent = new Program('/bin/sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
      const pid = Number(await until('the child began', () => parent.stdout.trim()));
      const stat = (): string[] => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      await until('the shell is gone', () => readFileSync(`/proc/${parent.pid}/comm`, 'utf8') === 'sleep\n');
      process.kill(pid, 'SIGKILL');
      await until('the child is a zombie', () => stat()[0] === 'Z');
      await writeFile(home.paths.lock, lockOf(pid, null));
      expect(await outcome(home.paths)).toBe('taken');
    },
  );

  it('is refused where the start time is not known, but the pid lives', async () => {
    await using home = await homeWithRuntime();
    await writeFile(home.paths.lock, lockOf(process.pid, null));
    expect(await outcome(home.paths)).toBe('ALREADY_RUNNING');
  });

  it.each([
    '',
    '\n',
    'garbage',
    lockOf(0, '1'),
    lockOf(-1, '1'),
    lockOf(2 ** 70, '1'),
    '{"pid":1}',
    '\u0000\u0000\u0000',
  ])('is taken over from a lock that names nobody: %j', async (content) => {
    await using home = await homeWithRuntime();
    await writeFile(home.paths.lock, content);
    expect(await outcome(home.paths)).toBe('taken');
    expect(leftIn(home.paths)).toStrictEqual(['aipassd.lock']);
  });

  it('is taken over even where a starter died while it was taking it over', async () => {
    await using home = await homeWithRuntime();
    const dead = lockOf(await pidOfTheDead(), '12345');
    await writeFile(home.paths.lock, dead);
    // What the dead starter leaves is the lock on the replacement, named after the content of the
    // lock.
    const right = createHash('sha256').update(dead).digest('hex').slice(0, 16);
    await writeFile(`${home.paths.lock}.${right}`, lockOf(await pidOfTheDead(), '6789', 'other-id'));
    expect(await outcome(home.paths)).toBe('taken');
    expect(leftIn(home.paths)).toStrictEqual(['aipassd.lock']);
  });

  it("goes to exactly one of several who start at once over a dead one's lock", async () => {
    const ROUNDS = 60;
    const STARTERS = 6;
    await using home = await homeWithRuntime();
    const dead = lockOf(await pidOfTheDead(), '12345');
    const start = `
      import { existsSync } from 'node:fs';
      import { takeInstance } from ${JSON.stringify(new URL('../../../src/ipc/instance-lock.ts', import.meta.url).href)};
      for (let round = 0; round < ${ROUNDS}; round += 1) {
        const folder = ${JSON.stringify(home.path)} + '/' + round;
        console.log('ready ' + round);
        while (!existsSync(folder)) await new Promise(setImmediate);
        const won = await takeInstance({ lock: folder + '/lock', socket: folder + '/socket' }).catch((error) => error.code);
        console.log(round + (typeof won === 'function' ? ' won' : ' ' + won));
      }
      // Who wins the last round must not die before the others have tried.
      setInterval(() => {}, 60_000);
    `;
    await using stack = new AsyncDisposableStack();
    const starters = Array.from({ length: STARTERS }, () =>
      stack.use(new Program(process.execPath, ['--input-type=module', '--eval', start])),
    );
    const said = (text: string): number => starters.filter(({ stdout }) => stdout.includes(`${text}\n`)).length;
    for (let round = 0; round < ROUNDS; round += 1) {
      await until('all are ready', () => said(`ready ${round}`) === STARTERS);
      const draft = `${home.path}/draft`;
      await mkdir(draft);
      await writeFile(`${draft}/lock`, dead);
      await rename(draft, `${home.path}/${round}`);
      await until('all have tried', () => said(`${round} won`) + said(`${round} ALREADY_RUNNING`) === STARTERS);
      expect(said(`${round} won`)).toBe(1);
      expect(readdirSync(`${home.path}/${round}`)).toStrictEqual(['lock']);
    }
  });
});

describe('the socket of another', () => {
  it('that lives is left alone, whatever the lock says, and its daemon named', async () => {
    await using home = await homeWithRuntime();
    await using daemon = await FakeDaemon.listen(home.paths.socket, (_frame, line) => {
      line.send('welcome', { protocol: 1, version: '9', pid: 4242 });
    });
    await expect(takeInstance(home.paths)).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
      message: expect.stringContaining('pid 4242'),
    });
    expect(existsSync(home.paths.lock)).toBe(false);
    expect(lstatSync(home.paths.socket).isSocket()).toBe(true);
    expect(daemon.received).toHaveLength(1);
  });

  it.each([
    ['answers with garbage', 'HTTP/1.1 400 Bad Request\r\n\r\n\f'],
    ['answers with something odd', '{"type":"welcome","data":null}\f'],
    ['answers without end', 'x'.repeat(100_000)],
  ])('is left alone where whoever lives behind it %s', async (_what, text) => {
    await using home = await homeWithRuntime();
    await using daemon = await FakeDaemon.listen(home.paths.socket, (_frame, line) => line.sendText(text));
    await expect(takeInstance(home.paths)).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
      hint: 'see: aipassd status',
    });
    expect(daemon.accepted).toBe(1);
  });

  it('is left alone where whoever lives behind it hangs, or hangs up', async () => {
    await using home = await homeWithRuntime();
    await using daemon = await FakeDaemon.listen(home.paths.socket, () => {});
    expect(await outcome(home.paths)).toBe('ALREADY_RUNNING');
    daemon.answer = (_frame, line) => line.destroy();
    expect(await outcome(home.paths)).toBe('ALREADY_RUNNING');
  });

  it('that was killed is removed', async () => {
    await using home = await homeWithRuntime();
    await leaveStaleSocket(home.paths.socket);
    expect(lstatSync(home.paths.socket).isSocket()).toBe(true);
    expect(await outcome(home.paths)).toBe('taken');
    expect(leftIn(home.paths)).toStrictEqual(['aipassd.lock']);
  });

  it('that was killed is left where its place is not ours to take', async () => {
    await using home = await homeWithRuntime();
    await takeInstance(home.paths);
    await leaveStaleSocket(home.paths.socket);
    expect(await outcome(home.paths)).toBe('ALREADY_RUNNING');
    expect(lstatSync(home.paths.socket).isSocket()).toBe(true);
  });

  it.each([
    ['a file', (path: string) => writeFile(path, 'precious')],
    ['a folder', (path: string) => mkdir(path)],
    ['a link', (path: string) => symlink('/nowhere', path)],
  ])('is not replaced where it is %s, and the error says what to do', async (_what, make) => {
    await using home = await homeWithRuntime();
    await make(home.paths.socket);
    await expect(takeInstance(home.paths)).rejects.toMatchObject({
      code: 'INTERNAL',
      hint: expect.stringContaining(`mv ${home.paths.socket}`),
    });
    expect(leftIn(home.paths)).toStrictEqual(['aipassd.sock']);
  });
});
