import { describe, expect, it } from 'vitest';
import { resolvePaths, type Paths } from '../../../src/base/paths.ts';

const linux = (env: Record<string, string> = {}): Paths => resolvePaths({ env, home: '/home/ann', platform: 'linux' });
const mac = (env: Record<string, string> = {}): Paths => resolvePaths({ env, home: '/Users/ann', platform: 'darwin' });

describe('paths on Linux', () => {
  it('lie in the usual places', () => {
    expect(linux()).toStrictEqual({
      secretsRoot: '/home/ann/.secrets',
      secrets: '/home/ann/.secrets/aipass',
      envFile: '/home/ann/.secrets/aipass/.env',
      config: '/home/ann/.config/aipassd/config.jsonc',
      state: '/home/ann/.local/state/aipassd',
      runtime: '/home/ann/.local/state/aipassd/run',
      socket: '/home/ann/.local/state/aipassd/run/aipassd.sock',
      gatewaySocket: '/home/ann/.local/state/aipassd/run/gateway.sock',
      lock: '/home/ann/.local/state/aipassd/run/aipassd.lock',
      log: '/home/ann/.local/state/aipassd/logs/aipassd.log',
      audit: '/home/ann/.local/state/aipassd/audit.jsonl',
      lastRun: '/home/ann/.local/state/aipassd/last-run.json',
    });
  });

  it('follow the XDG variables', () => {
    const paths = linux({ XDG_CONFIG_HOME: '/c', XDG_STATE_HOME: '/s', XDG_RUNTIME_DIR: '/run/user/7' });
    expect(paths.config).toBe('/c/aipassd/config.jsonc');
    expect(paths.state).toBe('/s/aipassd');
    expect(paths.socket).toBe('/run/user/7/aipassd/aipassd.sock');
    expect(paths.secrets).toBe('/home/ann/.secrets/aipass');
  });

  it('ignore an XDG variable that is relative or empty', () => {
    for (const value of ['relative', './x', '', '~/x']) {
      expect(linux({ XDG_CONFIG_HOME: value, XDG_STATE_HOME: value, XDG_RUNTIME_DIR: value })).toStrictEqual(linux());
    }
  });

  it('are moved by our own variables, which win over XDG', () => {
    const paths = linux({
      XDG_CONFIG_HOME: '/c',
      XDG_STATE_HOME: '/s',
      XDG_RUNTIME_DIR: '/r',
      AIPASSD_SECRETS_DIR: '/a/secrets',
      AIPASSD_CONFIG: '/a/conf.jsonc',
      AIPASSD_STATE_DIR: '/a/state',
      AIPASSD_RUNTIME_DIR: '/a/run',
    });
    expect(paths).toStrictEqual({
      secretsRoot: '/a/secrets',
      secrets: '/a/secrets/aipass',
      envFile: '/a/secrets/aipass/.env',
      config: '/a/conf.jsonc',
      state: '/a/state',
      runtime: '/a/run',
      socket: '/a/run/aipassd.sock',
      gatewaySocket: '/a/run/gateway.sock',
      lock: '/a/run/aipassd.lock',
      log: '/a/state/logs/aipassd.log',
      audit: '/a/state/audit.jsonl',
      lastRun: '/a/state/last-run.json',
    });
  });

  it('are absolute even where a variable of ours is relative', () => {
    expect(linux({ AIPASSD_STATE_DIR: 'state' }).state).toBe(`${process.cwd()}/state`);
  });

  it('put the socket below a moved state folder where there is no runtime folder', () => {
    expect(linux({ AIPASSD_STATE_DIR: '/a/state' }).socket).toBe('/a/state/run/aipassd.sock');
  });
});

describe('paths on macOS', () => {
  it('lie in Application Support', () => {
    const paths = mac();
    expect(paths.state).toBe('/Users/ann/Library/Application Support/aipassd');
    expect(paths.runtime).toBe('/Users/ann/Library/Application Support/aipassd/run');
    expect(paths.config).toBe('/Users/ann/.config/aipassd/config.jsonc');
    expect(paths.secrets).toBe('/Users/ann/.secrets/aipass');
  });

  it('take no notice of XDG for state and sockets', () => {
    const paths = mac({ XDG_STATE_HOME: '/s', XDG_RUNTIME_DIR: '/r' });
    expect(paths.state).toBe(mac().state);
    expect(paths.runtime).toBe(mac().runtime);
  });

  it('are moved by our own variables', () => {
    expect(mac({ AIPASSD_RUNTIME_DIR: '/tmp/r' }).socket).toBe('/tmp/r/aipassd.sock');
  });
});

describe('paths of this process', () => {
  it('come from its own environment and home', () => {
    expect(resolvePaths({ env: { AIPASSD_STATE_DIR: '/a' } }).secrets).toMatch(/^\/.*\.secrets\/aipass$/);
    expect(resolvePaths().socket).toMatch(/^\/.*aipassd\.sock$/);
  });
});

it('a folder that begins with ~ is in the home, as a shell would have it', () => {
  const { secretsRoot, state } = resolvePaths({
    home: '/h',
    env: { AIPASSD_SECRETS_DIR: '~/x', AIPASSD_STATE_DIR: '~' },
  });
  expect([secretsRoot, state]).toEqual(['/h/x', '/h']);
});
