import { expect, test } from 'vitest';
import { classifyAccess } from '../../../src/credentials/secret-file.ts';

const ME = 1000;

function judge(mode: number, uid = ME, kind: 'file' | 'folder' = 'file') {
  const { warnings, refused } = classifyAccess('/home/me/.secrets/x', kind, { mode, uid }, ME);
  return { refused, problem: warnings[0]?.problem, hint: warnings[0]?.hint };
}

test.each([0o100600, 0o100400, 0o100700])('mode %o of our own, or of root, is fine', (mode) => {
  expect(judge(mode)).toEqual({ refused: false });
  expect(judge(mode, 0)).toEqual({ refused: false });
});

test.each([0o640, 0o604, 0o644])('a file of mode %o can be read by others: reported, and used', (mode) => {
  expect(judge(mode)).toEqual({
    refused: false,
    problem: 'other users can read this file',
    hint: 'chmod 600 /home/me/.secrets/x',
  });
});

test.each([0o620, 0o602, 0o622])('a file of mode %o can be written by others: refused', (mode) => {
  expect(judge(mode)).toEqual({
    refused: true,
    problem: expect.stringContaining('write this file'),
    hint: 'chmod 600 /home/me/.secrets/x',
  });
});

test('a file of another user is refused', () => {
  expect(judge(0o600, 1001)).toEqual({
    refused: true,
    problem: expect.stringContaining('uid 1001'),
    hint: 'sudo chown 1000 /home/me/.secrets/x',
  });
  expect(judge(0o666, 1001).hint).toBe('sudo chown 1000 /home/me/.secrets/x && chmod 600 /home/me/.secrets/x');
  expect(judge(0o644, 0).hint).toBe('sudo chown 1000 /home/me/.secrets/x && chmod 600 /home/me/.secrets/x');
});

test('root needs no sudo', () => {
  const { warnings } = classifyAccess('/root/x', 'file', { mode: 0o600, uid: 1001 }, 0);
  expect(warnings[0]?.hint).toBe('chown 0 /root/x');
});

test('a folder that others can read is reported, and one that they can write, or that is theirs, is refused', () => {
  expect(judge(0o40755, ME, 'folder')).toEqual({
    refused: false,
    problem: 'other users can read this folder',
    hint: 'chmod 700 /home/me/.secrets/x',
  });
  expect(judge(0o40777, ME, 'folder')).toMatchObject({
    refused: true,
    problem: expect.stringContaining('read and write this folder'),
  });
  expect(judge(0o40700, 1001, 'folder')).toMatchObject({ refused: true, hint: 'sudo chown 1000 /home/me/.secrets/x' });
});

test('without users the owner is not judged', () => {
  expect(classifyAccess('/x', 'file', { mode: 0o600, uid: 5 }, undefined)).toEqual({ warnings: [], refused: false });
});
