import { describe, expect, it } from 'vitest';
import type { Config } from '../../../src/base/config-schema.ts';
import { Accounts } from '../../../src/refreshers/accounts.ts';
import { RefreshAlerts } from '../../../src/refreshers/hooks.ts';
import { AccountFiles } from '../../support/account-files.ts';
import { InProcessWorker } from '../../support/in-process-worker.ts';
import type { RefreshOutcome } from '../../../src/refreshers/worker/job.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const MINUTE = 60_000;
const REFRESHED: RefreshOutcome = { kind: 'refreshed', rotated: false, lostScopes: [] };
const FAILED: RefreshOutcome = { kind: 'unsaved', reason: 'disk full', remedy: 'free space' };

const ACCOUNT = { client_id: 'a', token_endpoint: 'https://example.org', refresh_token: 'r' };

/** Answers each refresh as a provider does that refuses the grant. */
const refuse = () => Promise.resolve(Response.json({ error: 'invalid_grant' }, { status: 400 }));

/** Makes one account, whose provider refuses it, and reports its outcomes as the daemon does. */
async function setUp(hooks: Config['hooks'], files: AccountFiles) {
  await files.write('oauth/test.json', ACCOUNT);
  const clock = new ManualClock();
  const worker = new InProcessWorker(clock);
  worker.fetch = refuse;
  const published: string[] = [];
  const ran: string[] = [];
  const alerts = new RefreshAlerts({
    clock,
    hooks,
    publish: ({ kind }) => published.push(kind),
    runHook: (command, { kind }) => ran.push(`${command.join(' ')} ${kind}`),
  });
  const accounts = new Accounts({
    secrets: files.secrets,
    config: {},
    clock,
    random: () => 0.5,
    worker,
    onOutcome: (account, outcome) => alerts.note(account, outcome),
    onTokens: () => {},
  });
  return { accounts, account: await accounts.find('test'), clock, worker, published, ran, alerts };
}

describe('alerts', () => {
  it('report every change once, and run at most one command per account in a quarter of an hour', async () => {
    await using files = new AccountFiles();
    const hooks = { onReauthRequired: ['tell'], onRefreshFailing: ['tell'] };
    const { accounts, account, clock, published, ran, alerts } = await setUp(hooks, files);

    alerts.note(account, FAILED);
    alerts.note(account, FAILED);
    await account.refresh();
    expect(published).toEqual(['refresh-failing', 'reauth-required']);
    expect(ran).toEqual(['tell refresh-failing']);

    clock.advance(14 * MINUTE);
    alerts.tick(accounts);
    expect(ran).toHaveLength(1);
    clock.advance(MINUTE);
    alerts.tick(accounts);
    alerts.tick(accounts);
    expect(ran).toEqual(['tell refresh-failing', 'tell reauth-required']);
  });

  it('do not report late what is no longer so', async () => {
    await using files = new AccountFiles();
    const hooks = { onReauthRequired: ['a'], onRefreshFailing: ['b'] };
    const { accounts, account, clock, ran, alerts } = await setUp(hooks, files);
    alerts.note(account, FAILED);
    await account.refresh();

    alerts.note(account, REFRESHED);
    clock.advance(16 * MINUTE);
    alerts.tick(accounts);

    expect(ran).toEqual(['b refresh-failing']);
  });

  it('hold nothing back of an account that a consent or a fixed file made well without a refresh', async () => {
    await using files = new AccountFiles();
    const hooks = { onReauthRequired: ['a'], onRefreshFailing: ['b'] };
    const { accounts, account, clock, ran, alerts } = await setUp(hooks, files);
    alerts.note(account, FAILED);
    await account.refresh();

    await files.write('oauth/test.json', { ...ACCOUNT, refresh_token: 'of a new consent' });
    await account.reload();
    clock.advance(16 * MINUTE);
    alerts.tick(accounts);

    expect(ran).toEqual(['b refresh-failing']);
  });

  it('report a second refusal after a consent between both', async () => {
    await using files = new AccountFiles();
    const { accounts, account, published, alerts } = await setUp({}, files);
    await account.refresh();
    alerts.tick(accounts);
    await account.refresh();
    expect(published).toHaveLength(1);

    await files.write('oauth/test.json', { ...ACCOUNT, refresh_token: 'of a new consent' });
    await account.reload();
    alerts.tick(accounts);
    await account.refresh();

    expect(published).toEqual(['reauth-required', 'reauth-required']);
  });

  it('hold nothing back of an account whose file was deleted', async () => {
    await using files = new AccountFiles();
    const hooks = { onReauthRequired: ['a'], onRefreshFailing: ['b'] };
    const { accounts, account, clock, ran, alerts } = await setUp(hooks, files);
    alerts.note(account, FAILED);
    await account.refresh();

    await files.remove('oauth/test.json');
    await accounts.scan();
    clock.advance(16 * MINUTE);
    alerts.tick(accounts);

    expect(ran).toEqual(['b refresh-failing']);
  });

  it('judge an account by how its refresh ended, and not as still refreshing', async () => {
    await using files = new AccountFiles();
    const { accounts, account, worker, published } = await setUp({}, files);
    worker.fetch = () => Promise.resolve(new Response('', { status: 503 }));

    await account.refresh();
    expect(published).toEqual(['refresh-failing']);
    await files.write('oauth/test.json', { ...ACCOUNT, refresh_token: undefined });
    await account.refresh();
    expect(published).toEqual(['refresh-failing', 'reauth-required']);
    accounts.stop();
  });
});
