import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Config } from '../../../src/base/config-schema.ts';
import { readUsableConfig } from '../../../src/providers/usable-config.ts';
import { ConfigKeeper } from '../../../src/service/config-keeper.ts';
import { checkConfig } from '../../../src/doctor/store-checks.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { recordingLogger } from '../../support/recording-logger.ts';
import { makeTempHome, type TempHome } from '../../support/temp-home.ts';

const clock = new ManualClock();
let home: TempHome;

beforeEach(() => {
  home = makeTempHome();
});

afterEach(() => home.remove());

function openKeeper(): { readonly keeper: ConfigKeeper; readonly applied: Config[] } {
  const path = home.paths.config;
  const read = (): Config => readUsableConfig(path, clock);
  const applied: Config[] = [];
  const apply = (next: Config): void => void applied.push(next);
  const logger = recordingLogger();
  return {
    applied,
    keeper: new ConfigKeeper({ path, read, initial: read(), restart: 'R', clock, logger, apply, onReload: () => {} }),
  };
}

describe.each([
  [{ providers: { x: {} } }, 'the configured provider "x" has no baseUrl'],
  [{ schedules: { check: 'every day' } }, 'is no cron pattern: "every day"'],
  [{ schedules: { prune: '0 0 30 2 *' } }, 'never comes: "0 0 30 2 *"'],
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
    const { keeper, applied } = openKeeper();
    const before = keeper.current;
    await home.writeConfig(config);
    expect(keeper.reload()).toMatchObject({ kind: 'kept', error: { code: 'BAD_REQUEST' } });
    expect(keeper.current).toBe(before);
    expect(applied).toEqual([]);
    expect(keeper.warnings()).toMatchObject([
      { subject: home.paths.config, problem: expect.stringContaining(problem), hint: expect.any(String) },
    ]);
  });
});

it('the problem of a schedule names the setting and the file', async () => {
  await home.writeConfig({ schedules: { check: 'every day' } });
  expect(checkConfig(home.paths.config).finding.text).toContain(`"schedules.check" in ${home.paths.config}`);
});

it('a setting that needs a restart is a warning that says how this daemon is restarted', async () => {
  const { keeper } = openKeeper();
  await home.writeConfig({ log: { level: 'debug' } });
  expect(keeper.reload()).toMatchObject({ kind: 'reloaded', needRestart: ['log.level'] });
  expect(keeper.warnings()).toMatchObject([{ hint: 'restart the daemon: R' }]);
});
