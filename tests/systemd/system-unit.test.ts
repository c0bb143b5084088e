import { beforeAll, describe, expect, it } from 'vitest';
import { bootAndRun, type Findings } from './boot.ts';

let found: Findings;

beforeAll(async () => {
  found = await bootAndRun('system-unit.inside.ts');
});

describe('the host-wide unit, in a real systemd', () => {
  it('is installed with its own user and ready when install returns', () => {
    expect(found.get('install')).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.stringify(found.get('install'))).toMatch(/systemd-sysusers.*is ready, pid \d+, on \/run\/aipassd/s);
    expect(found.get('runs as')).toBe('aipassd');
  });

  it('is left as it is by a second install', () => {
    expect(found.get('install again')).not.toContain('wrote');
    expect(found.get('install again')).not.toContain('changed');
  });

  it('knows that it is restarted as a service of the machine', () => {
    expect(String(found.get('status'))).toContain('"restart": "sudo systemctl restart aipassd"');
  });

  it('takes new rights at a reload', () => {
    expect(found.get('reload')).toBe(0);
  });

  it('lets members of the group use it, and shows them no value', () => {
    expect(found.get('member')).toEqual({ status: 0, reveal: false, masked: 0 });
  });

  it('shows values to those who are listed for that', () => {
    expect(found.get('trusted')).toEqual({ status: 0, reveal: true, masked: 0 });
  });

  it('turns everybody else away, though the socket is open to all', () => {
    expect(found.get('stranger')).toEqual({ status: 2, reveal: false, masked: 2 });
    expect(found.get('files')).not.toBe(0);
  });

  it('is looked at by a doctor that finds no problem, and sends nobody to change whose files they are', () => {
    expect(found.get('doctor')).toMatchObject({ code: 0, stderr: '' });
    const { findings } = JSON.parse(String(Reflect.get(Object(found.get('doctor')), 'stdout')));
    for (const check of ['files', 'unit', 'daemon', 'configuration']) {
      expect(findings).toContainEqual(expect.objectContaining({ check, verdict: 'ok' }));
    }
    expect(findings).not.toContainEqual(expect.objectContaining({ verdict: 'problem' }));
    expect(found.get("member's doctor")).toMatchObject({ code: 0, stdout: expect.stringContaining('doctor --system') });
    expect(JSON.stringify(found.get("member's doctor"))).not.toContain('chown');
  });

  it('puts what it released and what it refused into the audit, by uid, and no secret', () => {
    const audit = String(found.get('audit'));
    expect(audit).toMatch(/"operation":"key\.get".*"outcome":"released"/);
    expect(audit).toMatch(/"operation":"key\.get".*"outcome":"refused"/);
    expect(audit).toMatch(/"operation":"connect".*"outcome":"refused"/);
    expect(audit).not.toContain('sk-or-v1-0123');
  });

  it('scores at most 1.5 in systemd-analyze security', () => {
    expect(found.get('score')).toBeLessThanOrEqual(1.5);
  });

  it('is started again after SIGKILL and after its event loop stood still', () => {
    expect(found.get('SIGKILL')).toBe(true);
    expect(found.get('stalled loop')).toBe(true);
  });

  it('ends in a failed state that names the reason where its configuration is wrong', () => {
    expect(found.get('start that cannot succeed')).toMatchObject({ settled: true, ExecMainStatus: '2' });
    expect(JSON.stringify(found.get('start that cannot succeed'))).toContain('limitz');
  });

  it('is taken back by uninstall, which says what it keeps', () => {
    expect(found.get('uninstall')).toMatchObject({ code: 0, again: 0 });
    expect(JSON.stringify(found.get('uninstall'))).toContain('kept: /var/lib/aipassd');
  });
});
