import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { describeFailure } from '../../../src/base/system-failure.ts';

const folder = mkdtempSync(join(tmpdir(), 'aipassd-failure-'));

afterAll(() => rmSync(folder, { recursive: true }));

/** Returns the hint for a refused access to a path. */
function hintFor(path: string): string | undefined {
  return describeFailure('cannot start', Object.assign(new Error('refused'), { code: 'EACCES', path })).hint;
}

describe('the hint for a path that is not accessible', () => {
  it('is the chmod where the path is our own and its mode keeps us out', () => {
    chmodSync(folder, 0o500);
    expect(hintFor(folder)).toBe(`chmod u+rwX ${folder}`);
    expect(hintFor(join(folder, '.state.json.0f3882f2-0000-4000-8000-000000000000'))).toBe(`chmod u+rwX ${folder}`);
  });

  it('leads to owner and mode elsewhere, also where the path cannot be read', () => {
    chmodSync(folder, 0o700);
    expect(hintFor(folder)).toContain(`ls -ld ${folder}`);
    expect(hintFor(join(folder, 'gone'))).toContain('ls -ld');
  });
});

it('a full disk is shown by a folder that exists', () => {
  const full = Object.assign(new Error('full'), { code: 'ENOSPC', path: join(folder, 'new', 'file') });
  expect(describeFailure('cannot write', full).hint).toMatch(new RegExp(`df -h ${folder}$`));
});
