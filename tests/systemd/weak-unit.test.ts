import { beforeAll, describe, expect, it } from 'vitest';
import { bootAndRun, type Findings } from './boot.ts';

let found: Findings;

beforeAll(async () => {
  found = await bootAndRun('weak-unit.inside.ts', { userNamespaces: false });
});

/** Returns one field of a finding as text. */
function field(finding: string, name: string): string {
  return String(Reflect.get(Object(found.get(finding)), name));
}

describe('the user unit where the kernel refuses user namespaces', () => {
  it('is installed and runs, without what does not work there', () => {
    expect(found.get('install')).toMatchObject({ code: 0, stderr: '' });
    expect(found.get('active')).toMatchObject({ ActiveState: 'active', SubState: 'running' });
    expect(found.get('key')).toBe(true);
    const unit = String(found.get('unit'));
    expect(unit).toMatch(/^# left out by aipassd install, .*: PrivateUsers=yes$/m);
    // What works stays.
    for (const kept of ['NoNewPrivileges=yes', 'SystemCallFilter=@system-service', 'RestrictNamespaces=yes']) {
      expect(unit.split('\n')).toContain(kept);
    }
  });

  it('says what was left out and why, and is the same after a second install', () => {
    expect(field('install', 'stdout')).toMatch(/left out of the unit, because .*: .*PrivateUsers=/);
    expect(String(found.get('install again'))).toContain('as it should be');
  });

  it('is found out within seconds', () => {
    expect(Number(field('print', 'ms'))).toBeLessThan(15_000);
  });

  it('is repeated by doctor', () => {
    const { findings } = JSON.parse(String(found.get('doctor')));
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'unit', verdict: 'warning', text: expect.stringContaining('PrivateUsers=') }),
    );
  });

  it('is not mentioned by an uninstall where it was never loaded', () => {
    expect(found.get('uninstall of nothing')).toMatchObject({ code: 0, stderr: '' });
    expect(field('uninstall of nothing', 'stdout')).not.toMatch(/systemctl|not loaded|Unit .*does not exist/);
    expect(found.get('uninstall')).toBe(0);
  });
});

it('the unit of the whole machine needs no user namespace and stays whole', () => {
  expect(found.get('system')).toBe(0);
  expect(found.get('system unit')).toBe(false);
});
