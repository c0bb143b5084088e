import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientProject, pack, ROOT, runTool } from '../support/packed-client.ts';
import { runProgram } from '../support/run-program.ts';
import { LOCAL_KEY, createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';
import { importsOf } from './sources.ts';

const { version }: { readonly version: string } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

let project: ClientProject;
let running: TestDaemon;
beforeAll(async () => {
  [project, running] = await Promise.all([ClientProject.create(), createTestDaemon()]);
}, 120_000);
afterAll(async () => {
  await project[Symbol.asyncDispose]();
  await running[Symbol.asyncDispose]();
});

/** Runs a program that was bundled, where neither the client nor its package.json is near. */
async function runBundle(file: string): Promise<string> {
  const { stdout, stderr } = await runProgram(process.execPath, [file], {
    env: { ...running.home.env, SOCKET: running.home.paths.socket },
    cwd: '/',
  });
  return stdout + stderr;
}

const EXPECTED = `${LOCAL_KEY} ${LOCAL_KEY} NOT_FOUND ${version}\n`;

/** Returns the packages that a built file imports; its comments have examples. */
function foreign(text: string): string[] {
  return importsOf(text.replaceAll(/^ *\*.*$/gm, '')).filter((name) => !/^(?:node:|\.)/.test(name));
}

describe('the package of the client', () => {
  it('has the version of aipassd, needs Node 20.16, and depends on nothing', () => {
    const manifest: Record<string, unknown> = JSON.parse(
      readFileSync(join(ROOT, 'packages/client/package.json'), 'utf8'),
    );
    expect(manifest).toMatchObject({ version, engines: { node: '>=20.16' } });
    expect(manifest['dependencies']).toBeUndefined();
    expect(readdirSync(join(project.folder, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual([
      'aipassd-client',
    ]);
  });

  it('imports modules of Node and its own files only, and openai where a program asks for it', () => {
    const dist = join(project.folder, 'node_modules', 'aipassd-client', 'dist');
    const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
    const texts = files.map((name) => readFileSync(join(dist, name), 'utf8'));
    expect(texts.flatMap(importsOf).length).toBeGreaterThan(30);
    // An optional peer, loaded when a program asks for its client.
    expect(texts.flatMap(foreign)).toEqual(['openai']);
    expect(foreign("import 'a';\nconst b = await import('b');\nexport { c } from 'c';\n")).toEqual(['a', 'b', 'c']);
  });

  it('is found by every way of resolving types, as that of aipassd is', async () => {
    const main = await pack(ROOT, project.folder);
    for (const tarball of [project.clientTarball, main]) {
      await runTool('attw', [tarball, '--profile', 'esm-only', '--quiet']);
      expect(await runTool('publint', [tarball, '--strict'])).toContain('All good');
    }
  }, 60_000);

  it('is what the package aipassd exports: the same names from the same files, and errors that pass for one another', async () => {
    const unpacked: Record<string, string> = {};
    for (const [name, tarball] of [
      ['aipassd', await pack(ROOT, project.folder)],
      ['aipassd-client', project.clientTarball],
    ] as const) {
      const folder = join(project.folder, 'unpacked', name);
      await mkdir(folder, { recursive: true });
      expect((await runProgram('tar', ['-xzf', tarball, '-C', folder])).code).toBe(0);
      unpacked[name] = join(folder, 'package');
    }
    const { aipassd = '', 'aipassd-client': client = '' } = unpacked;
    const files = readdirSync(join(client, 'dist'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.js'),
    );
    expect(files.length).toBeGreaterThan(30);
    for (const file of files) {
      expect(readFileSync(join(client, 'dist', file), 'utf8'), file).toBe(
        readFileSync(join(aipassd, 'dist', file), 'utf8'),
      );
    }
    const entries = await Promise.all(
      [aipassd, client].map(async (folder): Promise<Record<string, unknown>> => {
        const manifest: { readonly exports: Record<string, { readonly default: string }> } = JSON.parse(
          readFileSync(join(folder, 'package.json'), 'utf8'),
        );
        return import(join(folder, manifest.exports['.']?.default ?? ''));
      }),
    );
    const [ours = {}, theirs = {}] = entries;
    expect(Object.keys(ours)).toEqual(expect.arrayContaining(['AipassError', 'connect', 'withRetry']));
    expect(Object.keys(ours)).toEqual(Object.keys(theirs));
    for (const [one, other] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      const { connect } = one;
      const failure: unknown = await Promise.resolve(
        typeof connect === 'function' ? connect({ socket: '/nowhere/aipassd.sock' }) : undefined,
      ).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(other['AipassError']);
      expect(failure).toMatchObject({ code: 'DAEMON_UNREACHABLE' });
    }
  }, 60_000);

  it('has types that hold under --strict, without any of aipassd', async () => {
    await writeFile(
      join(project.folder, 'src', 'program.ts'),
      `import { connect, type AipassError, type Status } from 'aipassd-client';
const aipass = await connect({ caller: 'typed' });
export const key: string = await aipass.key('openrouter');
export const status: Status = await aipass.status();
export const pooled: Promise<string> = aipass.pooled('p', (key) => ({ ask: async (text: string) => key + text })).ask('x');
export const code = (error: AipassError): string => error.code;
aipass.on('reauth-required', ({ account }) => account.trim());
// @ts-expect-error there is no such method
aipass.complte();
`,
    );
    await mkdir(join(project.folder, 'node_modules', '@types'), { recursive: true });
    await symlink(join(ROOT, 'node_modules/@types/node'), join(project.folder, 'node_modules/@types/node'));
    await symlink(join(ROOT, 'node_modules/undici-types'), join(project.folder, 'node_modules/undici-types'));
    const options = {
      strict: true,
      module: 'nodenext',
      target: 'es2024',
      lib: ['es2024', 'esnext.disposable'],
      noEmit: true,
    };
    const config = {
      compilerOptions: { ...options, types: ['node'], exactOptionalPropertyTypes: true },
      files: ['src/program.ts'],
    };
    await writeFile(join(project.folder, 'tsconfig.json'), JSON.stringify(config));
    expect(await runTool('tsc', ['-p', project.folder]).catch((error: { stdout: string }) => error.stdout)).toBe('');
  }, 60_000);
});

describe('a program with the client', () => {
  it('runs as it is', async () => {
    expect(await runBundle(join(project.folder, 'src', 'program.mjs'))).toBe(EXPECTED);
  });

  it.each([
    ['an ES module', ['--format=esm'], 'bundle.mjs'],
    ['CommonJS', ['--format=cjs'], 'bundle.cjs'],
    ['one minified file', ['--format=esm', '--minify', '--keep-names'], 'bundle.min.mjs'],
  ])('is bundled by esbuild to %s', async (_form, options, name) => {
    const file = join(project.folder, 'dist', 'deep', name);
    const source = join(project.folder, 'src', 'program.mjs');
    await runTool('esbuild', [
      source,
      '--bundle',
      '--platform=node',
      `--outfile=${file}`,
      '--log-level=error',
      ...options,
    ]);
    expect(await runBundle(file)).toBe(EXPECTED);
  });

  it('is bundled by rollup', async () => {
    const source = join(project.folder, 'src', 'rolled.mjs');
    const text = readFileSync(join(project.folder, 'src', 'program.mjs'), 'utf8');
    const client = '../node_modules/aipassd-client/dist/client/index.js';
    await writeFile(source, text.replace("'aipassd-client'", `'${client}'`));
    const folder = join(project.folder, 'dist', 'rolled');
    const external = ['fs', 'http', 'https', 'net', 'os', 'path', 'util', 'crypto']
      .map((name) => `node:${name}`)
      .join(',');
    await runTool('rollup', [
      source,
      '--dir',
      folder,
      '--format',
      'es',
      '--external',
      external,
      '--silent',
      '--entryFileNames',
      '[name].mjs',
      '--chunkFileNames',
      '[name]-[hash].mjs',
    ]);
    expect(await runBundle(join(folder, 'rolled.mjs'))).toBe(EXPECTED);
  });
});
