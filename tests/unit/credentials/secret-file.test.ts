import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MAX_SECRET_BYTES, readSecretFile } from '../../../src/credentials/secret-file.ts';

let folder = '';
let path = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aip-'));
  path = join(folder, 'secret');
});

afterEach(() => rm(folder, { recursive: true }));

test('a file is read as it is, without its byte order mark', async () => {
  await writeFile(path, '\uFEFFtext ü\r\n', { mode: 0o600 });
  expect(await readSecretFile(path)).toEqual({
    kind: 'read',
    text: 'text ü\r\n',
    bytes: Buffer.from('\uFEFFtext ü\r\n'),
    warnings: [],
  });
});

test('a file may have a mebibyte and not a byte more', async () => {
  await writeFile(path, 'x'.repeat(MAX_SECRET_BYTES), { mode: 0o600 });
  expect(await readSecretFile(path)).toMatchObject({ kind: 'read' });
  await writeFile(path, 'x'.repeat(MAX_SECRET_BYTES + 1));
  expect(await readSecretFile(path)).toMatchObject({ kind: 'broken' });
});

test('a missing file, a dangling link and a file in a file are missing', async () => {
  expect(await readSecretFile(path)).toEqual({ kind: 'missing' });
  await symlink('nowhere', path);
  expect(await readSecretFile(path)).toEqual({ kind: 'missing' });
  await writeFile(join(folder, 'file'), '');
  expect(await readSecretFile(join(folder, 'file', 'x'))).toEqual({ kind: 'missing' });
});

test('a folder, a FIFO, a device and a link to itself are broken, and nothing waits', async () => {
  await mkdir(path);
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(folder, 'fifo')]);
  await symlink('loop', join(folder, 'loop'));
  for (const odd of [path, join(folder, 'fifo'), '/dev/zero', join(folder, 'loop')]) {
    expect(await readSecretFile(odd)).toMatchObject({ kind: 'broken', warnings: [{ subject: odd }] });
  }
});

test.each([
  ['half a character', [0x61, 0xc3], /UTF-8.* line 1$/],
  ['a NUL', [0x0a, 0x61, 0x00], /NUL.* line 2$/],
  ['UTF-16', [0xff, 0xfe, 0x61, 0x00], /UTF-8.* line 1$/],
])('%s is no text', async (_what, bytes, problem) => {
  await writeFile(path, Buffer.from(bytes), { mode: 0o600 });
  expect(await readSecretFile(path)).toMatchObject({
    kind: 'broken',
    warnings: [{ problem: expect.stringMatching(problem) }],
  });
});

test('a file that others can read is read, with a warning', async () => {
  await writeFile(path, 'text');
  await chmod(path, 0o644);
  expect(await readSecretFile(path)).toMatchObject({
    kind: 'read',
    text: 'text',
    warnings: [{ hint: `chmod 600 ${path}` }],
  });
});

test('of a link the target is judged: one that others can write is refused', async () => {
  await writeFile(join(folder, 'target'), 'text');
  await chmod(join(folder, 'target'), 0o620);
  await symlink('target', path);
  expect(await readSecretFile(path)).toMatchObject({ kind: 'refused', warnings: [{ hint: `chmod 600 ${path}` }] });
});

test('a file of another user is refused', async () => {
  await writeFile(path, 'text', { mode: 0o600 });
  const root = process.geteuid?.() === 0;
  // Only root can give a file away; anybody else asks as if he were another user.
  if (root) await chown(path, 12_345, 12_345);
  const outcome = await (root ? readSecretFile(path) : readSecretFile(path, 12_345));
  expect(outcome).toMatchObject({ kind: 'refused' });
  expect(JSON.stringify(outcome)).toContain('belongs to another user');
});
