import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../src/base/version.ts';
import { ClientProject, ROOT } from '../support/packed-client.ts';
import { runProgram } from '../support/run-program.ts';
import { LOCAL_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

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
