/**
 * The client as other programs get it: the packed tarballs, and a program that uses the client.
 */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Folder of the repository. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Uses the client, without top-level await, which CommonJS bundles do not have. */
export const PROGRAM = `import { connect, AipassError } from 'aipassd-client';
async function main() {
  const aipass = await connect({ caller: 'packed', socket: process.env.SOCKET });
  const pooled = aipass.pooled('local', (key) => ({ read: () => key }));
  const service = await aipass.google('drive').catch((error) => (error instanceof AipassError ? error.code : String(error)));
  console.log([await aipass.key('local'), await pooled.read(), service, (await aipass.status()).version].join(' '));
  await aipass.close();
}
main();
`;

/** A project that has the packed client installed, and nothing else. */
export class ClientProject implements AsyncDisposable {
  readonly folder: string;
  readonly clientTarball: string;

  private constructor(folder: string, clientTarball: string) {
    this.folder = folder;
    this.clientTarball = clientTarball;
  }

  /** Packs the client and installs it as its users do. */
  static async create(): Promise<ClientProject> {
    const folder = await mkdtemp(join(tmpdir(), 'aip-packed-'));
    await run(process.execPath, [join(ROOT, 'scripts', 'client-package.ts')]);
    const tarball = await pack(join(ROOT, 'packages', 'client'), folder);
    // Two folders above the bundle stands another package, whose version must not be taken for the
    // client's.
    await writeFile(
      join(folder, 'package.json'),
      '{"name":"foreign","version":"9.9.9","type":"module","private":true}',
    );
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--engine-strict', tarball], { cwd: folder });
    await mkdir(join(folder, 'src'));
    await writeFile(join(folder, 'src', 'program.mjs'), PROGRAM);
    return new ClientProject(folder, tarball);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Packs a package, without its scripts, and returns the tarball. */
export async function pack(folder: string, into: string): Promise<string> {
  const { stdout } = await run('npm', ['pack', folder, '--ignore-scripts', '--json', '--pack-destination', into], {
    cwd: ROOT,
    maxBuffer: 16 * 1024 * 1024,
  });
  const [packed]: { readonly filename: string }[] = Object.values(JSON.parse(stdout));
  return join(into, packed?.filename ?? '');
}

/** Runs a tool of this repository's node_modules. */
export async function runTool(name: string, args: readonly string[], cwd = ROOT): Promise<string> {
  const { stdout } = await run(join(ROOT, 'node_modules', '.bin', name), args, { cwd, maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}
