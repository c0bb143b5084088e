import { expect, it } from 'vitest';
import { checkDaemon } from '../../../src/doctor/daemon-checks.ts';
import { makeStatus } from '../../support/status-fixture.ts';

const STATUS = makeStatus({ version: '0.0.1' });

it.each([
  ['end it with Ctrl-C and start it again', 'restart it: end it with Ctrl-C and start it again'],
  [undefined, 'restart it'],
])('a daemon of another version that says of a restart "%s" is restarted so', async (restart, hint) => {
  const status = restart === undefined ? STATUS : { ...STATUS, restart };
  const { findings } = await checkDaemon(() => Promise.resolve(status), null);
  expect(findings).toContainEqual(expect.objectContaining({ verdict: 'warning', hint }));
});
