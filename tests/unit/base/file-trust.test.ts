import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  assertOwnEntries,
  assertTrusted,
  checkTrust,
  commandFiles,
  entryFault,
  openTrusted,
  readTrustedFile,
} from '../../../src/base/file-trust.ts';

const isRoot = process.getuid?.() === 0;
const SOMEBODY = 54_321;

let home: string;
let file: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'aipassd-trust-'));
  mkdirSync(join(home, 'folder'), { mode: 0o700 });
  file = join(home, 'folder', 'file');
  writeFileSync(file, 'content', { mode: 0o600 });
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

describe('the rule of one entry', () => {
  it.each([
    ['a file of our own', 0o100644, 1000, true],
    ['a file of root', 0o100644, 0, true],
    ['a file of somebody else', 0o100600, 1001, false],
    ['a file that the group may write', 0o100620, 1000, false],
    ['a file that everybody may write', 0o100602, 1000, false],
    ['a folder that the group may write', 0o040770, 1000, false],
    ['a folder with the sticky bit that everybody may write', 0o041777, 0, true],
    ['a file with the sticky bit that everybody may write', 0o101666, 1000, false],
    ['a device that everybody may write', 0o020666, 0, true],
    ['a link, whose mode means nothing', 0o120777, 1000, true],
    ['a link of somebody else', 0o120777, 1001, false],
  ])('%s', (_name, mode, uid, isTrusted) => {
    expect(entryFault('/x', { mode, uid }, 1000) === null).toBe(isTrusted);
  });

  it('says what to do, for root other than for a user', () => {
    expect(entryFault('/x', { mode: 0o100666, uid: 1000 }, 1000)?.hint).toBe('chmod go-w /x');
    expect(entryFault('/x', { mode: 0o100600, uid: 1001 }, 1000)?.hint).toBe('sudo chown 1000 /x');
    expect(entryFault('/x', { mode: 0o120777, uid: 1001 }, 1000)?.hint).toBe('sudo chown -h 1000 /x');
    expect(entryFault('/x', { mode: 0o040755, uid: 1001 }, 0)?.hint).toContain('uid 1001, without sudo');
  });
});

describe('the rule of a path', () => {
  it('trusts our own path, and names what is missing at its end', () => {
    expect(checkTrust(file)).toMatchObject({ kind: 'trusted', path: file });
    expect(checkTrust(join(home, 'no', 'such'))).toEqual({ kind: 'missing', path: join(home, 'no', 'such') });
    expect(checkTrust(join(file, 'below-a-file'))).toMatchObject({ kind: 'missing' });
  });

  it.each([
    ['the file', 'folder/file', 0o666],
    ['the folder', 'folder', 0o770],
    ['a folder above', '', 0o707],
  ])('finds that others may write %s', async (_name, place, mode) => {
    const path = join(home, place);
    chmodSync(path, mode);
    expect(checkTrust(file)).toMatchObject({ kind: 'untrusted', path, fault: { subject: path } });
    expect(() => readTrustedFile('the configuration', file)).toThrow(/is not used/);
    expect(() => assertTrusted('x', file)).toThrowError(expect.objectContaining({ code: 'UNSAFE_PERMISSIONS' }));
  });

  it('judges the target of a link by its whole path', () => {
    const link = join(home, 'link');
    symlinkSync('folder/../folder/file', link);
    expect(checkTrust(link)).toMatchObject({ kind: 'trusted', path: file });
    expect(readTrustedFile('x', link)).toBe('content');
    chmodSync(join(home, 'folder'), 0o777);
    expect(checkTrust(link)).toMatchObject({ kind: 'untrusted', path: join(home, 'folder') });
  });

  it('ends a loop of links', () => {
    symlinkSync('b', join(home, 'a'));
    symlinkSync('a', join(home, 'b'));
    expect(() => checkTrust(join(home, 'a'))).toThrowError(expect.objectContaining({ code: 'ELOOP' }));
  });

  it.runIf(isRoot)('finds a file, a folder and a link of somebody else', () => {
    const link = join(home, 'link');
    symlinkSync(file, link);
    lchownSync(link, SOMEBODY, SOMEBODY);
    expect(checkTrust(link)).toMatchObject({ kind: 'untrusted', path: link });
    expect(() => openTrusted('the audit', link, 0, 0o600)).toThrow(/belongs to another user/);
    chownSync(file, SOMEBODY, SOMEBODY);
    expect(checkTrust(file)).toMatchObject({ kind: 'untrusted', path: file });
    chownSync(join(home, 'folder'), SOMEBODY, SOMEBODY);
    expect(checkTrust(file)).toMatchObject({ kind: 'untrusted', path: join(home, 'folder') });
    // The same files are in order for their owner, but the folder above is root's and closed to
    // nobody's writing.
    expect(checkTrust(file, SOMEBODY)).toMatchObject({ kind: 'trusted' });
  });

  it.runIf(isRoot)('finds what somebody else left in a folder of ours', () => {
    assertOwnEntries('the state folder', home);
    symlinkSync('/etc/passwd', join(home, 'folder', 'audit.jsonl'));
    assertOwnEntries('the state folder', home);
    lchownSync(join(home, 'folder', 'audit.jsonl'), SOMEBODY, SOMEBODY);
    expect(() => assertOwnEntries('the state folder', home)).toThrow(/audit\.jsonl: this link belongs to another user/);
  });

  it('opens what is ours for writing', () => {
    const path = join(home, 'new');
    writeFileSync(openTrusted('the log', path, 0o101, 0o600), 'made');
    expect(readFileSync(path, 'utf8')).toBe('made');
  });
});

it('a command is decided by its program, found in PATH, and by the files among its parameters', () => {
  writeFileSync(join(home, 'program'), '', { mode: 0o700 });
  expect(commandFiles(['program', '-x', file, '/no/such'], `/nowhere:${home}`)).toEqual([join(home, 'program'), file]);
  expect(commandFiles([file])).toEqual([file]);
  expect(commandFiles(['no-such-program'], home)).toEqual([]);
});

it('a folder of PATH and a parameter that cannot be followed hide no program', () => {
  writeFileSync(join(home, 'program'), '', { mode: 0o700 });
  symlinkSync('loop', join(home, 'loop'));
  const tooLong = `/${'x'.repeat(5000)}`;
  expect(commandFiles(['program', join(home, 'loop', 'file'), tooLong], `${home}/loop:${tooLong}:${home}`)).toEqual([
    join(home, 'program'),
  ]);
});
