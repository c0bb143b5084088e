import { describe, expect, it } from 'vitest';
import type { Config } from '../../../src/base/config-schema.ts';
import { Notices, type Notice } from '../../../src/refreshers/notices.ts';
import { AccountFiles, makeAccounts } from '../../support/account-files.ts';
import type { RefreshOutcome } from '../../../src/refreshers/outcome.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const MINUTE = 60_000;
const REFRESHED: RefreshOutcome = { kind: 'refreshed', rotated: false, lostScopes: [] };
const REJECTED: RefreshOutcome = { kind: 'rejected', error: 'invalid_grant', reason: 'gone', remedy: 'consent' };
const FAILED: RefreshOutcome = { kind: 'unsaved', reason: 'disk full', remedy: 'free space' };

async function setUp(hooks: Config['hooks'], files: AccountFiles) {
  await files.write('oauth/test.json', { client_id: 'a', token_endpoint: 'https://example.org', refresh_token: 'r' });
  const keeper = await makeAccounts(files).accounts.find('test');
  const clock = new ManualClock();
  const published: Notice[] = [];
  const ran: string[] = [];
  const notices = new Notices({
    clock,
    hooks,
    publish: (notice) => published.push(notice),
    runHook: (command, notice) => ran.push(`${command.join(' ')} ${notice.kind}`),
  });
  return { keeper, clock, published, ran, notices };
}

describe('notices', () => {
  it('tell every change once, and run at most one command per account in a quarter of an hour', async () => {
    await using files = new AccountFiles();
    const hooks = { onReauthRequired: ['tell'], onRefreshFailing: ['tell'] };
    const { keeper, clock, published, ran, notices } = await setUp(hooks, files);

    notices.note(keeper, FAILED);
    notices.note(keeper, FAILED);
    notices.note(keeper, REJECTED);
    expect(published.map(({ kind }) => kind)).toEqual(['refresh-failing', 'reauth-required']);
    expect(ran).toEqual(['tell refresh-failing']);

    clock.advance(14 * MINUTE);
    notices.flush();
    expect(ran).toHaveLength(1);
    clock.advance(MINUTE);
    notices.flush();
    notices.flush();
    expect(ran).toEqual(['tell refresh-failing', 'tell reauth-required']);
  });

  it('do not tell late what is no longer so', async () => {
    await using files = new AccountFiles();
    const { keeper, clock, ran, notices } = await setUp({ onReauthRequired: ['a'], onRefreshFailing: ['b'] }, files);
    notices.note(keeper, FAILED);
    notices.note(keeper, REJECTED);

    notices.note(keeper, REFRESHED);
    clock.advance(16 * MINUTE);
    notices.flush();

    expect(ran).toEqual(['b refresh-failing']);
  });
});
