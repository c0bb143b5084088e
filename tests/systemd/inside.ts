/**
 * What the programs that run inside the booted systemd have in common. They run as root, on Node
 * alone.
 */

import { spawn, spawnSync, type SpawnOptions } from 'node:child_process';
import { createServer } from 'node:http';

export const PACKAGE = '/opt/aipassd';
export const NODE = `${PACKAGE}/node_modules/node/bin/node`;
export const CLI = `${PACKAGE}/dist/cli.js`;

/** Reports one thing to the test outside. */
export function tell(finding: string, value: unknown): void {
  process.stdout.write(`${JSON.stringify({ finding, value })}\n`);
}

/** How a program ended. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A user of the machine inside, with a service manager of its own where it has a runtime folder.
 */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
}

/** Makes a user with a running user manager. */
export function addUser(name: string): User {
  must('useradd', '-m', name);
  const uid = Number(must('id', '-u', name).stdout);
  must('systemctl', 'start', `user@${uid}`);
  return { name, uid, home: `/home/${name}` };
}

/** Runs a program as root and returns how it ended. */
export function run(program: string, ...args: readonly string[]): Ran {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });
  return { code: status, stdout: stdout ?? '', stderr: stderr ?? '' };
}

/** Runs a program as root; throws what it said when it fails. */
export function must(program: string, ...args: readonly string[]): Ran {
  const ran = run(program, ...args);
  if (ran.code !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${ran.code}: ${ran.stdout}${ran.stderr}`);
  return ran;
}

/** Returns the words that run a program as a user, with that user's groups. */
function asUser(user: User, env: Readonly<Record<string, string>>): string[] {
  return [
    '--reuid',
    String(user.uid),
    '--regid',
    user.name,
    '--init-groups',
    'env',
    '-i',
    `HOME=${user.home}`,
    `USER=${user.name}`,
    'PATH=/usr/bin:/bin',
    `XDG_RUNTIME_DIR=/run/user/${user.uid}`,
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
  ];
}

/** Runs a program as a user. */
export function runAs(user: User, env: Readonly<Record<string, string>>, ...command: readonly string[]): Ran {
  return run('setpriv', ...asUser(user, env), ...command);
}

/** Starts a program as a user and leaves it running. */
export function startAs(user: User, command: readonly string[], options: SpawnOptions = {}) {
  return spawn('setpriv', [...asUser(user, {}), ...command], options);
}

/** Runs `aipassd` as a user. */
export function aipassd(user: User, env: Readonly<Record<string, string>>, ...args: readonly string[]): Ran {
  return runAs(user, env, NODE, CLI, ...args);
}

/**
 * Reads properties of a unit; `scope` is systemctl's words before the verb, run as a user where
 * there is one.
 */
export function show(unit: string, user?: User): Readonly<Record<string, string>> {
  const words = ['show', unit, '--property=ActiveState,SubState,MainPID,NRestarts,Result,StatusText,ExecMainStatus'];
  const { stdout } = user ? runAs(user, {}, 'systemctl', '--user', ...words) : run('systemctl', ...words);
  return Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => [line.split('=')[0] ?? '', line.slice(line.indexOf('=') + 1)]),
  );
}

/** Waits until a condition holds, and returns whether it came to hold within a time. */
export async function holds(condition: () => boolean, limitMs = 20_000): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}

/** Reads the overall exposure that systemd-analyze gives a unit, out of 10. */
export function exposure(printed: string): number {
  return Number(/exposure level for \S+: ([\d.]+)/.exec(printed)?.[1] ?? 'NaN');
}

/** A token endpoint that has granted a new token at once, and answers when it is let. */
export interface SlowTokens {
  readonly url: string;
  /** Counts the requests so far. */
  readonly count: () => number;
  readonly release: () => void;
}

/** Serves rotated tokens on loopback; every answer waits for its release. */
export async function startSlowTokens(): Promise<SlowTokens> {
  let count = 0;
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    request.resume();
    count += 1;
    const body = { access_token: `access-${count}`, refresh_token: `refresh-${count}`, expires_in: 3600 };
    void released.then(() => response.setHeader('content-type', 'application/json').end(JSON.stringify(body)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/token`,
    count: () => count,
    release,
  };
}

/** Serves completions on loopback that take `ms` to answer; returns its base URL. */
export async function startSlowProvider(ms: number): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    setTimeout(() => {
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          id: 'gen-1',
          object: 'chat.completion',
          created: 1,
          model: 'm',
          choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'slow and sure' } }],
          usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
        }),
      );
    }, ms);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // It ends with the program that asked for it.
  server.unref();
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/v1`;
}
