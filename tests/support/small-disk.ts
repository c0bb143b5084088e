/**
 * A disk of a few megabytes that a test can fill: a tmpfs, which only root can mount.
 */

import { mkdir, writeFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from './run-program.ts';

/** Whether this process can mount a disk. */
export const CAN_MOUNT =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  (await runProgram('unshare', ['--mount', 'true'], { env: { PATH: process.env['PATH'] ?? '' } })).code === 0;

/** A mounted disk. `await using` unmounts it. */
export class SmallDisk implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Mounts a disk at a folder, which is made; mode 0700. */
  static async mount(path: string, megabytes: number): Promise<SmallDisk> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'aipassd-test', path]);
    return new SmallDisk(path);
  }

  /** Fills the disk to the last byte. */
  async fill(): Promise<void> {
    const block = Buffer.alloc(4096, 1);
    for (;;) {
      try {
        await writeFile(this.#ballast, block, { flag: 'a' });
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return;
        throw error;
      }
    }
  }

  /** Makes room again. */
  async empty(): Promise<void> {
    await rm(this.#ballast, { force: true });
  }

  /** Makes the disk read-only. */
  async seal(): Promise<void> {
    await run('mount', ['-o', 'remount,ro', this.path]);
  }

  get #ballast(): string {
    return join(this.path, 'ballast');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', ['--lazy', this.path]);
  }
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await runProgram(command, args, { env: { PATH: process.env['PATH'] ?? '' } });
  if (code !== 0) throw new Error(`${command} failed: ${stderr}`);
}
