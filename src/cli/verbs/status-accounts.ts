/**
 * The OAuth accounts in `aipassd status`.
 */

import type { AccountState, AccountStatus } from '../../protocol/oauth.ts';
import { printDuration } from '../duration.ts';
import type { Output } from '../output.ts';

const COLOURS: Readonly<Record<AccountState, 'green' | 'yellow' | 'red'>> = {
  fresh: 'green',
  due: 'green',
  refreshing: 'green',
  stale: 'yellow',
  failing: 'red',
  'reauth-required': 'red',
  unusable: 'red',
};

/** Prints each account: state, expiry, next refresh, scopes, the last outcome, and what to do. */
export function printAccounts(accounts: readonly AccountStatus[], now: number, out: Output): void {
  out.line('', out.style('bold', 'Accounts'));
  for (const account of accounts) {
    out.line(
      `  ${out.style('cyan', account.name)}  ${out.style(COLOURS[account.state], account.state)}  ${account.kind}`,
    );
    const rows = [
      ['expires', account.expiresAt === null ? 'not known to' : printTime(account.expiresAt, now)],
      ['refresh', account.nextRefreshAt === null ? 'none planned' : printTime(account.nextRefreshAt, now)],
      ['scopes', account.scopes.join(' ') || 'none named'],
    ];
    const { lastOutcome } = account;
    if (lastOutcome !== null) {
      const reason = lastOutcome.reason === null ? '' : `: ${lastOutcome.reason}`;
      rows.push(['last', `${lastOutcome.kind} ${printTime(lastOutcome.at, now)}${reason}`]);
    }
    out.table(rows, '    ', MAX_LINE);
    if (account.action !== null) out.hint(account.action);
  }
}

/** Is the most of a line that is shown, in characters: Google's scopes are long. */
const MAX_LINE = 400;

function printTime(time: number, now: number): string {
  return time >= now ? `in ${printDuration(time - now)}` : `${printDuration(now - time)} ago`;
}
