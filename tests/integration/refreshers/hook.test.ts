import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HookRunner, type RefreshAlert } from '../../../src/refreshers/hooks.ts';
import { recordingLogger, type RecordingLogger } from '../../support/recording-logger.ts';
import { runProgram } from '../../support/run-program.ts';
import { until } from '../../support/until.ts';

const ALERT: RefreshAlert = { kind: 'reauth-required', account: 'google', at: 1, reason: 'gone', action: 'consent' };

/** Resolves with the messages of a log once it has so many. */
async function messagesOf(logger: RecordingLogger, count: number): Promise<readonly unknown[]> {
  await until('the log', () => logger.lines.length >= count);
  return logger.lines.map(({ message }) => message);
}

it('commands run one after the other, and get the alert by standard input', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'aip-hook-'));
  const file = join(folder, 'out');
  const hooks = new HookRunner(recordingLogger());
  const script = `in=$(cat); echo "begin $AIPASSD_EVENT $AIPASSD_ACCOUNT" >> ${file}; echo "$in" >> ${file}; echo end >> ${file}`;

  hooks.run(['/bin/sh', '-c', script], ALERT);
  hooks.run(['/bin/sh', '-c', script], ALERT);
  const lines = await until('both commands', async () => {
    const written = (await readFile(file, 'utf8').catch(() => '')).trim().split('\n');
    return written.length >= 6 && written;
  });

  const one = ['begin reauth-required google', JSON.stringify(ALERT), 'end'];
  expect(lines).toEqual([...one, ...one]);
  await rm(folder, { recursive: true });
});

it('a command that does not end is ended, with all that it started', async () => {
  const logger = recordingLogger();
  const hooks = new HookRunner(logger, 200);

  hooks.run(['/bin/sh', '-c', 'sleep 600 & sleep 600'], ALERT);

  expect(await messagesOf(logger, 2)).toEqual(['a hook was ended because it ran too long', 'a hook failed']);
});

it.each([
  ['does not exist', ['/nonexistent/program']],
  ['is below a file', [join(process.execPath, 'program')]],
  ['is too long for the system', ['/bin/sh', 'x'.repeat(4_000_000)]],
])('a command that %s is logged, and the next one runs', async (_name, command) => {
  const logger = recordingLogger();
  const hooks = new HookRunner(logger);

  hooks.run(command, ALERT);
  hooks.run(['/bin/sh', '-c', 'exit 3'], ALERT);

  expect(await messagesOf(logger, 2)).toEqual(['a hook could not be started', 'a hook failed']);
});

it('a command for which no file descriptor is free is logged, and a later one runs', async () => {
  const script = `
    import { closeSync, openSync } from 'node:fs';
    import { HookRunner } from ${JSON.stringify(import.meta.resolve('../../../src/refreshers/hooks.ts'))};
    const fds = [];
    const warn = (message) => {
      console.log(message);
      for (const fd of fds.splice(0)) closeSync(fd);
    };
    const hooks = new HookRunner({ warn });
    try {
      for (;;) fds.push(openSync('/dev/null'));
    } catch {}
    hooks.run(['/bin/true'], ${JSON.stringify(ALERT)});
    hooks.run(['/bin/sh', '-c', 'exit 3'], ${JSON.stringify(ALERT)});
  `;
  const limited = ['-c', 'ulimit -n 100; exec "$0" --input-type=module -e "$1"', process.execPath, script];

  const { code, stdout, stderr } = await runProgram('/bin/sh', limited);

  expect({ code, lines: stdout.trim().split('\n'), stderr }).toEqual({
    code: 0,
    lines: ['a hook could not be started', 'a hook failed'],
    stderr: '',
  });
});
