import { readdirSync, writeFileSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../src/base/version.ts';
import { completionOf, streamOf } from '../support/loopback-provider.ts';
import { ClientProject, ROOT, runTool } from '../support/packed-client.ts';
import { runProgram } from '../support/run-program.ts';
import { LOCAL_KEY, OPENROUTER_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';
import { until } from '../support/until.ts';

const MODULES = join(ROOT, 'tests', 'runtimes', 'node_modules');
const EXPECTED = `${LOCAL_KEY} ${LOCAL_KEY} NOT_FOUND ${VERSION}\n`;

/** Returns the program of a runtime in the package for this platform; npm installs no other. */
function platformBinary(scope: string, ...path: readonly string[]): string {
  const name = readdirSync(join(MODULES, scope)).find((one) => !one.endsWith('-baseline')) ?? '';
  return join(MODULES, scope, name, ...path);
}

const BUN = platformBinary('@oven', 'bin', 'bun');
const DENO = platformBinary('@deno', 'deno');

let project: ClientProject;
let running: TestDaemon;
beforeAll(async () => {
  [project, running] = await Promise.all([ClientProject.create(), createTestDaemon()]);
  const second = `${OPENROUTER_KEY}2`;
  await running.home.writeKeys({
    LOCAL_API_KEY: LOCAL_KEY,
    OPENROUTER_API_KEY: OPENROUTER_KEY,
    OPENROUTER_API_KEY_2: second,
  });
  await until('both keys are held', async () => (await running.cli(['status', '--all'])).stdout.includes('KEY_2'));
  running.provider.answerWith(({ body }) => {
    const text = JSON.stringify(body);
    if (text.includes('"never"')) return { kind: 'stall', after: 'nothing' };
    return text.includes('"stream":true') ? streamOf(['po', 'ng']) : completionOf('pong');
  });
  await writeFile(join(project.folder, 'src', 'every-part.mjs'), EVERY_PART);
  await symlink(join(ROOT, 'node_modules', 'openai'), join(project.folder, 'node_modules', 'openai'));
}, 120_000);
afterAll(async () => {
  await project[Symbol.asyncDispose]();
  await running[Symbol.asyncDispose]();
});

/** Runs a runtime in the project, and returns its output. */
async function run(command: string, args: readonly string[]): Promise<string> {
  const env = { ...running.home.env, SOCKET: running.home.paths.socket, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' };
  const { stdout, stderr } = await runProgram(command, args, { env, cwd: project.folder });
  return stdout + stderr;
}

/** Returns the Node of a major version that npm installed for this platform. */
function nodeOf(major: number): string {
  const folder = readdirSync(MODULES).find((name) => name.startsWith(`node-${major}-`));
  if (folder === undefined) throw new Error(`npm has no Node ${major} for this platform`);
  return join(MODULES, folder, 'bin', 'node');
}

/** Uses every part of the client, in the syntax that Node 20 has: there is no `await using`. */
const EVERY_PART = `import { AipassError, connect, withRetry } from 'aipassd-client';
const aipass = await connect({ caller: 'every-part', socket: process.env.SOCKET });
const show = (name, value) => console.log(name, JSON.stringify(value));
const failed = (promise) => promise.then(() => 'no failure', (error) => [error instanceof AipassError, error.code]);
const CHAT = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
show('node', process.versions.node.split('.')[0]);
show('key', await aipass.key('local'));
show('complete', (await aipass.complete(CHAT)).content);
const stream = aipass.stream(CHAT);
const pieces = [];
for await (const { content } of stream) pieces.push(content);
show('stream', [pieces.filter(Boolean), (await stream.result).finishReason]);
const keys = [];
const pooled = aipass.pooled('openrouter', (key) => ({
  ask: async () => { keys.push(key); if (keys.length === 1) throw Object.assign(new Error('slow down'), { status: 429 }); return 'answer'; },
  async *list() { yield 1; yield 2; },
}));
show('pooled', [await pooled.ask(), new Set(keys).size]);
const listed = [];
for await (const one of pooled.list()) listed.push(one);
show('iterated', listed);
show('fetch', (await (await aipass.fetch('http://aipassd/local/models')).json()).object);
const openai = await aipass.openai({ provider: 'local' });
show('openai', (await openai.chat.completions.create(CHAT)).choices[0].message.content);
show('no account', await failed(aipass.token('nobody')));
show('cancelled', await failed(aipass.complete({ ...CHAT, signal: AbortSignal.abort() })));
show('timed out', await failed(aipass.complete({ ...CHAT, model: 'never', timeoutMs: 200 })));
let tries = 0;
show('retried', await withRetry(() => { if (++tries < 2) throw Object.assign(new Error('x'), { status: 429 }); return tries; }, { baseMs: 1 }));
show('stats', (await aipass.stats({ since: '1h', by: 'caller' })).groups.map(({ name }) => name).sort());
await aipass.close();
show('closed', await failed(aipass.key('local')));
`;

const EVERY_RESULT = (major: number): string =>
  [
    `node "${major}"`,
    `key "${LOCAL_KEY}"`,
    'complete "pong"',
    'stream [["po","ng"],"stop"]',
    'pooled ["answer",2]',
    'iterated [1,2]',
    'fetch "list"',
    'openai "pong"',
    'no account [true,"NOT_FOUND"]',
    'cancelled [true,"CANCELLED"]',
    'timed out [true,"TIMED_OUT"]',
    'retried 2',
    'stats ["every-part","packed"]',
    'closed [true,"BAD_REQUEST"]',
    '',
  ].join('\n');

describe.each([20, 22])('the client on a real Node %i', (major) => {
  it('uses every part of itself, as it is and bundled', async () => {
    const node = nodeOf(major);
    expect(await run(node, ['src/program.mjs'])).toBe(EXPECTED);
    expect(await run(node, ['src/every-part.mjs'])).toBe(EVERY_RESULT(major));
    for (const [format, name] of [
      ['esm', 'bundle.mjs'],
      ['cjs', 'bundle.cjs'],
    ] as const) {
      const outfile = join(project.folder, 'dist', 'deep', `${major}-${name}`);
      await runTool('esbuild', [
        join(project.folder, 'src', 'program.mjs'),
        '--bundle',
        '--platform=node',
        `--target=node${major}`,
        `--format=${format}`,
        `--outfile=${outfile}`,
        '--log-level=error',
      ]);
      expect(await run(node, [outfile])).toBe(EXPECTED);
    }
  });
});

describe('the client on Bun', () => {
  it('runs as it is, and bundled by bun build', async () => {
    expect(await run(BUN, ['src/program.mjs'])).toBe(EXPECTED);
    await run(BUN, ['build', 'src/program.mjs', '--target=node', '--outfile=dist/deep/bun.mjs']);
    expect(await run(process.execPath, ['dist/deep/bun.mjs'])).toBe(EXPECTED);
    await run(BUN, ['build', 'src/program.mjs', '--target=bun', '--outfile=dist/deep/for-bun.mjs']);
    expect(await run(BUN, ['dist/deep/for-bun.mjs'])).toBe(EXPECTED);
  });
});

describe('the client on Deno', () => {
  it('runs with the rights to read, to write the socket and to see the environment', async () => {
    writeFileSync(join(project.folder, 'deno.json'), '{"nodeModulesDir":"manual"}');
    expect(await run(DENO, ['run', '--no-prompt', '-A', '--cached-only', 'src/program.mjs'])).toBe(EXPECTED);
  });
});
