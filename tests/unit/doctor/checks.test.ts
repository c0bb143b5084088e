import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { checkDaemon, runChecks, type Finding } from '../../../src/doctor/checks.ts';
import { makeStatus } from '../../support/status-fixture.ts';
import { makeTempHome, type TempHome } from '../../support/temp-home.ts';

/**
 * Runs every check of a home without a daemon, and returns what one check, or all, found of a text.
 */
async function findingsAbout({ paths }: TempHome, text: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  const checks = runChecks({
    paths,
    env: {},
    uid: process.getuid?.() ?? 0,
    nativeWorks: true,
    unit: { path: '/nowhere', text: null },
    installCommand: 'aipassd install',
    askStatus: () => Promise.reject(new AipassError('DAEMON_UNREACHABLE', 'no daemon')),
    online: false,
  });
  for await (const finding of checks) if (finding.text.includes(text) || finding.check === text) findings.push(finding);
  return findings;
}

it("the socket's folder is judged as the daemon judges it: others may read it only where they are served", async () => {
  await using home = makeTempHome();
  const { runtime } = home.paths;
  mkdirSync(runtime);
  chmodSync(runtime, 0o755);
  expect(await findingsAbout(home, `${runtime} `)).toMatchObject([
    { verdict: 'problem', hint: `chmod 711 ${runtime}` },
  ]);
  await home.writeConfig({ access: { use: { users: [12345] } } });
  expect(await findingsAbout(home, `${runtime}:`)).toMatchObject([{ verdict: 'ok' }]);
});

it('a mode is fixed without shutting out who must get through', async () => {
  await using home = makeTempHome();
  const { runtime } = home.paths;
  await home.writeConfig({ access: { use: { users: [12345] } } });
  mkdirSync(runtime);
  chmodSync(runtime, 0o733);
  expect(await findingsAbout(home, `${runtime} `)).toMatchObject([
    { verdict: 'problem', hint: `chmod 711 ${runtime}` },
  ]);
});

it('the database that the configuration names is the one that is looked at', async () => {
  await using home = makeTempHome();
  mkdirSync(home.paths.state, { mode: 0o700 });
  await home.writeConfig({ usage: { database: 'my.db' } });
  writeFileSync(join(home.paths.state, 'my.db'), 'this is no database');
  expect(await findingsAbout(home, 'database')).toMatchObject([
    { verdict: 'problem', text: expect.stringContaining('my.db is not a SQLite database') },
  ]);
  await home.writeConfig({ usage: { database: 'postgres://name:password@host/usage' } });
  expect(await findingsAbout(home, 'database')).toMatchObject([
    { verdict: 'ok', text: expect.not.stringContaining('password') },
  ]);
});

it('a command to copy quotes its paths', async () => {
  await using home = makeTempHome();
  const state = join(home.path, 'a b');
  mkdirSync(state, { mode: 0o700 });
  writeFileSync(join(state, 'usage.db'), 'not a database', { mode: 0o600 });
  const moved = { ...home, paths: { ...home.paths, state, audit: state } };
  const database = join(state, 'usage.db');
  expect(await findingsAbout(moved, 'database')).toMatchObject([
    { hint: expect.stringMatching(new RegExp(`: mv '${database}' '${database}.broken'$`)) },
  ]);
  expect(await findingsAbout(moved, 'audit')).toMatchObject([{ hint: `chmod 600 '${state}'` }]);
});

const STATUS = makeStatus({ version: '0.0.1' });

it.each([
  ['end it with Ctrl-C and start it again', 'restart it: end it with Ctrl-C and start it again'],
  [undefined, 'restart it'],
])('a daemon of another version that says of a restart "%s" is restarted so', async (restart, hint) => {
  const status = restart === undefined ? STATUS : { ...STATUS, restart };
  const { findings } = await checkDaemon(() => Promise.resolve(status));
  expect(findings).toContainEqual(expect.objectContaining({ verdict: 'warning', hint }));
});
