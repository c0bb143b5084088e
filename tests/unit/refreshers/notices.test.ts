import { describe, expect, it } from 'vitest';
import type { Config } from '../../../src/base/config-schema.ts';
import { RefreshAlerts, type RefreshAlert } from '../../../src/refreshers/hooks.ts';
import { AccountFiles, makeAccounts } from '../../support/account-files.ts';
import type { RefreshOutcome } from '../../../src/refreshers/worker/job.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const MINUTE = 60_000;
const REFRESHED: RefreshOutcome = { kind: 'refreshed', rotated: false, lostScopes: [] };
const REJECTED: RefreshOutcome = { kind: 'rejected', error: 'invalid_grant', reason: 'gone', remedy: 'consent' };
const FAILED: RefreshOutcome = { kind: 'unsaved', reason: 'disk full', remedy: 'free space' };

async function setUp(hooks: Config['hooks'], files: AccountFiles) {
  await files.write('oauth/test.json', { client_id: 'a', token_endpoint: 'https://example.org', refresh_token: 'r' });
  const account = await makeAccounts(files).accounts.find('test');
  const clock = new ManualClock();
  const published: RefreshAlert[] = [];
  const ran: string[] = [];
  const alerts = new RefreshAlerts({
    clock,
    hooks,
    publish: (alert) => published.push(alert),
    runHook: (command, alert) => ran.push(`${command.join(' ')} ${alert.kind}`),
  });
  return { account, clock, published, ran, alerts };
}

describe('alerts', () => {
  it('report every change once, and run at most one command per account in a quarter of an hour', async () => {
    await using files = new AccountFiles();
    const hooks = { onReauthRequired: ['tell'], onRefreshFailing: ['tell'] };
    const { account, clock, published, ran, alerts } = await setUp(hooks, files);

    alerts.note(account, FAILED);
    alerts.note(account, FAILED);
    alerts.note(account, REJECTED);
    expect(published.map(({ kind }) => kind)).toEqual(['refresh-failing', 'reauth-required']);
    expect(ran).toEqual(['tell refresh-failing']);

    clock.advance(14 * MINUTE);
    alerts.flush();
    expect(ran).toHaveLength(1);
    clock.advance(MINUTE);
    alerts.flush();
    alerts.flush();
    expect(ran).toEqual(['tell refresh-failing', 'tell reauth-required']);
  });

  it('do not report late what is no longer so', async () => {
    await using files = new AccountFiles();
    const { account, clock, ran, alerts } = await setUp({ onReauthRequired: ['a'], onRefreshFailing: ['b'] }, files);
    alerts.note(account, FAILED);
    alerts.note(account, REJECTED);

    alerts.note(account, REFRESHED);
    clock.advance(16 * MINUTE);
    alerts.flush();

    expect(ran).toEqual(['b refresh-failing']);
  });
});
