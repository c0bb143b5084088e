import { chmod, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  ABSENT,
  readFileIdentitySync,
  readFileSignature,
  readFileSignatureSync,
} from '../../../src/base/file-signature.ts';

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aip-signature-'));
  path = join(folder, 'file');
  await writeFile(path, 'one');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('a file that stays as it is keeps its signature, whoever asks', async () => {
  const signature = await readFileSignature(path);
  expect(readFileSignatureSync(path)).toBe(signature);
  expect(await readFileSignature(path)).toBe(signature);
});

it('a signature changes with content, mode and replacement, also where the times are set back', async () => {
  const seen = new Set([readFileSignatureSync(path)]);
  await writeFile(path, 'more');
  seen.add(readFileSignatureSync(path));
  await chmod(path, 0o640);
  seen.add(readFileSignatureSync(path));
  await writeFile(`${path}.new`, 'less');
  await utimes(`${path}.new`, 0, 0);
  await rename(`${path}.new`, path);
  seen.add(readFileSignatureSync(path));
  await utimes(path, 0, 0);
  seen.add(readFileSignatureSync(path));
  expect(seen.size).toBe(5);
});

it('an identity stays with the file, and changes with another one', async () => {
  const identity = readFileIdentitySync(path);
  await writeFile(path, 'more');
  expect(readFileIdentitySync(path)).toBe(identity);
  await rm(path);
  await writeFile(path, 'more');
  expect(readFileIdentitySync(path)).not.toBe(identity);
});

it('a link is followed', async () => {
  const link = join(folder, 'link');
  await symlink(path, link);
  expect(readFileIdentitySync(link)).toBe(readFileIdentitySync(path));
});

it('no file, and a file that cannot be asked for, have signatures of their own', async () => {
  expect(readFileSignatureSync(join(folder, 'none'))).toBe(ABSENT);
  expect(await readFileSignature(join(path, 'below-a-file'))).toBe(ABSENT);
  expect(readFileIdentitySync(join(folder, 'none'))).toBe(ABSENT);
  expect(readFileSignatureSync(join(folder, 'x'.repeat(300)))).toBe('unreadable:ENAMETOOLONG');
});
