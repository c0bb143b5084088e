import { beforeAll, describe, expect, it } from 'vitest';
import { bootAndRun, type Findings } from './boot.ts';

let found: Findings;

beforeAll(async () => {
  found = await bootAndRun('user-unit.inside.ts');
});

describe('the user unit, in a real systemd', () => {
  it('is only shown by install --print', () => {
    expect(found.get('print changes nothing')).toBe(true);
  });

  it('is installed, enabled, started and ready when install returns, which says what it did and where the log is', () => {
    expect(found.get('install')).toMatchObject({ code: 0 });
    expect(JSON.stringify(found.get('install'))).toMatch(/wrote .*aipassd\.service.*is ready, pid \d+/s);
    expect(JSON.stringify(found.get('install'))).toContain('journalctl --user -u aipassd');
    expect(found.get('active')).toMatchObject({ ActiveState: 'active', SubState: 'running' });
    expect(JSON.stringify(found.get('active'))).toContain('serving');
  });

  it('is left as it is by a second install', () => {
    const active = found.get('active');
    const pid: unknown = typeof active === 'object' && active !== null ? Reflect.get(active, 'MainPID') : undefined;
    expect(found.get('install again')).toMatchObject({ code: 0, samePid: pid });
  });

  it('serves another process of the same user', () => {
    expect(found.get('key for the same user')).toBe(true);
  });

  it('refuses another uid even where all modes were opened by hand, and puts that into the audit', () => {
    expect(found.get('another uid with modes opened')).toMatchObject({ code: 2, stdout: '' });
    expect(JSON.stringify(found.get('another uid with modes opened'))).toContain('FORBIDDEN');
    const { records } = JSON.parse(String(found.get('audit')));
    expect(records).toContainEqual(expect.objectContaining({ operation: 'key.get', outcome: 'released' }));
    expect(records).toContainEqual(expect.objectContaining({ operation: 'connect', outcome: 'refused' }));
    expect(String(found.get('audit'))).not.toContain('sk-or-v1-0123');
    expect(String(found.get('audit verified'))).toContain('the audit is intact');
  });

  it('cannot be read by debuggers of its own user', () => {
    expect(found.get('dumpable')).toBe('root');
  });

  it('passes doctor', () => {
    expect(found.get('doctor')).toMatchObject({ code: expect.any(Number) });
    const { findings } = JSON.parse(String(Reflect.get(Object(found.get('doctor')), 'stdout')));
    expect(findings).toContainEqual(expect.objectContaining({ check: 'unit', verdict: 'ok' }));
    expect(findings).toContainEqual(expect.objectContaining({ check: 'daemon', verdict: 'ok' }));
    expect(findings).toContainEqual(expect.objectContaining({ check: 'audit', verdict: 'ok' }));
  });

  it('scores at most 2.0 in systemd-analyze security', () => {
    expect(found.get('score')).toBeLessThanOrEqual(2);
  });

  it('reloads in place, and keeps the configuration in use where the new one is wrong', () => {
    expect(found.get('reload')).toEqual({ code: 0, samePid: true, isActive: true });
    expect(found.get('wrong configuration')).toMatchObject({ code: 0 });
    expect(JSON.stringify(found.get('wrong configuration'))).toContain('limitz');
  });

  it('is not begun where its user has no session, with a hint how to get one', () => {
    expect(found.get('install without a session')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('loginctl enable-linger alice'),
      isWritten: false,
    });
  });

  it('is started again after SIGKILL, and knows how the run before ended', () => {
    expect(found.get('SIGKILL')).toEqual({ restarted: true, key: true });
    expect(String(found.get('last run'))).toContain('was killed');
    expect(String(found.get('last run'))).toContain('"restart": "systemctl --user restart aipassd"');
  });

  it('is started again by the watchdog after its event loop stood still', () => {
    expect(found.get('stalled loop')).toEqual({ restarted: true, key: true });
  });

  it('loses no rotated refresh token when the watchdog kills it in the middle of an exchange', () => {
    expect(found.get('rotation under the watchdog')).toEqual({ isSaved: true, token: 'access-1', asked: 1 });
  });

  it('stops cleanly within its time, and lets a completion in flight finish', () => {
    expect(found.get('stop')).toMatchObject({ callCode: 0, ActiveState: 'inactive', Result: 'success' });
    expect(JSON.stringify(found.get('stop'))).toContain('slow and sure');
  });

  it('is named by status as not running, with the reason of the last exit', () => {
    expect(found.get('status when stopped')).toMatchObject({ code: 3 });
    expect(JSON.stringify(found.get('status when stopped'))).toContain('SIGTERM');
  });

  it('is taken back by uninstall, however often, and the secrets stay', () => {
    expect(found.get('uninstall')).toMatchObject({ code: 0, again: 0 });
    expect(found.get('gone')).toEqual({ unit: true, secrets: true });
  });
});
