import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Config } from '../../../src/base/config-schema.ts';
import { readUsableConfig } from '../../../src/providers/open.ts';
import { ConfigReloader } from '../../../src/service/config-reloader.ts';
import { checkConfig } from '../../../src/doctor/checks.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { recordingLogger } from '../../support/recording-logger.ts';
import { makeTempHome, type TempHome } from '../../support/temp-home.ts';

const clock = new ManualClock();
let home: TempHome;

beforeEach(() => {
  home = makeTempHome();
});

afterEach(() => home.remove());

function openReloader(): { readonly reloader: ConfigReloader; readonly applied: Config[] } {
  const path = home.paths.config;
  const read = (): Config => readUsableConfig(path, clock);
  const applied: Config[] = [];
  const reloader = new ConfigReloader({ path, read, initial: read(), restart: 'R', clock, logger: recordingLogger() });
  reloader.onChange((next) => applied.push(next));
  return { applied, reloader };
}

describe.each([
  [{ providers: { x: {} } }, 'the configured provider "x" has no baseUrl'],
  [{ schedules: { check: 'every day' } }, '(got "every day")'],
  [{ schedules: { prune: '0 0 30 2 *' } }, '(got "0 0 30 2 *")'],
  [{ limitz: {} }, 'did you mean "limits"?'],
])('the configuration %j', (config, problem) => {
  it('keeps a daemon from starting, and doctor says so', async () => {
    await home.writeConfig(config);
    expect(() => readUsableConfig(home.paths.config, clock)).toThrow(problem);
    const { finding } = checkConfig(home.paths.config);
    expect(finding).toMatchObject({ verdict: 'problem', text: expect.stringContaining(problem) });
    expect(finding.hint).not.toBe('');
  });

  it('is refused by a running daemon, which goes on with the one before and warns', async () => {
    const { reloader, applied } = openReloader();
    const before = reloader.current;
    await home.writeConfig(config);
    expect(reloader.reload()).toMatchObject({ kind: 'kept', error: { code: 'BAD_REQUEST' } });
    expect(reloader.current).toBe(before);
    expect(applied).toEqual([]);
    expect(reloader.warnings()).toMatchObject([
      { subject: home.paths.config, problem: expect.stringContaining(problem), hint: expect.any(String) },
    ]);
  });
});

it('the problem of a schedule names the setting and the file', async () => {
  await home.writeConfig({ schedules: { check: 'every day' } });
  expect(checkConfig(home.paths.config).finding.text).toContain(`"schedules.check" in ${home.paths.config}`);
});

it('a setting that needs a restart is a warning that says how this daemon is restarted', async () => {
  const { reloader } = openReloader();
  await home.writeConfig({ log: { level: 'debug' } });
  expect(reloader.reload()).toMatchObject({ kind: 'reloaded', needRestart: ['log.level'] });
  expect(reloader.warnings()).toMatchObject([{ hint: 'restart the daemon: R' }]);
});

it('a reload reaches the parts in the order in which they were made, and one that fails keeps none from hearing of it', async () => {
  const { reloader, applied } = openReloader();
  const heard: string[] = [];
  const { current: before } = reloader;
  reloader.onChange(() => {
    heard.push('first');
    throw new Error('a defect');
  });
  const end = reloader.onChange((next, old) => {
    expect(next).toBe(reloader.current);
    expect(old).toBe(before);
    heard.push('second');
  });
  reloader.onReload(({ kind }) => heard.push(kind));
  await home.writeConfig({ audit: { retentionDays: 7 } });
  expect(reloader.reload()).toMatchObject({ kind: 'reloaded', applied: ['audit'] });
  expect(heard).toEqual(['first', 'second', 'reloaded']);
  expect(applied).toEqual([reloader.current]);

  end();
  expect(reloader.reload()).toEqual({ kind: 'unchanged' });
  expect(heard).toEqual(['first', 'second', 'reloaded', 'unchanged']);
});

it('a changed file is reloaded within two seconds', async () => {
  const { reloader, applied } = openReloader();
  const stop = reloader.watch();
  clock.advance(2000);
  expect(applied).toEqual([]);
  await home.writeConfig({ audit: { retentionDays: 7 } });
  clock.advance(2000);
  expect(applied).toHaveLength(1);
  await stop();
  await home.writeConfig({});
  clock.advance(10_000);
  expect(applied).toHaveLength(1);
});
