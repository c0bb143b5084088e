import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HookRunner, type RefreshAlert } from '../../../src/refreshers/hooks.ts';
import { recordingLogger } from '../../support/recording-logger.ts';

const ALERT: RefreshAlert = { kind: 'reauth-required', account: 'google', at: 1, reason: 'gone', action: 'consent' };

it('commands run one after the other, and get the alert by standard input', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'aip-hook-'));
  const file = join(folder, 'out');
  const logger = recordingLogger();
  const hooks = new HookRunner(logger);
  const script = `in=$(cat); echo "begin $AIPASSD_EVENT $AIPASSD_ACCOUNT" >> ${file}; echo "$in" >> ${file}; echo end >> ${file}`;

  hooks.run(['/bin/sh', '-c', script], ALERT);
  hooks.run(['/bin/sh', '-c', script], ALERT);
  await hooks.settle();

  const one = ['begin reauth-required google', JSON.stringify(ALERT), 'end'];
  expect((await readFile(file, 'utf8')).trim().split('\n')).toEqual([...one, ...one]);
  await rm(folder, { recursive: true });
});

it('a command that does not end is ended, with all that it started', async () => {
  const logger = recordingLogger();
  const hooks = new HookRunner(logger, 200);

  hooks.run(['/bin/sh', '-c', 'sleep 600 & sleep 600'], ALERT);
  await hooks.settle();

  expect(logger.lines.map(({ message }) => message)).toEqual([
    'a hook was ended because it ran too long',
    'a hook failed',
  ]);
});

it('a command that does not exist is logged, and the next one runs', async () => {
  const logger = recordingLogger();
  const hooks = new HookRunner(logger);

  hooks.run(['/nonexistent/program'], ALERT);
  hooks.run(['/bin/sh', '-c', 'exit 3'], ALERT);
  await hooks.settle();

  expect(logger.lines.map(({ message }) => message)).toEqual(['a hook could not be started', 'a hook failed']);
});
