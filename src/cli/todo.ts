/**
 * Lists what a person has to do about a daemon, from its status: its warnings, refused and
 * suspicious keys, and OAuth accounts.
 */

import { join } from 'node:path';
import { shellQuote } from '../base/shell-quote.ts';
import type { Status } from '../protocol/status.ts';

/** One thing to do. A problem keeps something from working, a warning does not. */
export interface Todo {
  readonly verdict: 'problem' | 'warning';
  readonly problem: string;
  readonly hint: string;
}

/** Lists what needs attention, problems first. */
export function todoOf(status: Status): Todo[] {
  const todos = [...keyTodos(status), ...accountTodos(status), ...warningTodos(status)];
  return todos.toSorted((a, b) => Number(a.verdict === 'warning') - Number(b.verdict === 'warning'));
}

function keyTodos({ pools, providers, paths }: Status): Todo[] {
  const envFile = join(paths.secrets, '.env');
  return pools.flatMap(({ provider, keys }) => {
    const described = providers.find((one) => one.name === provider);
    const isCheckable = described?.hasFreeCheck !== false;
    const check = `aipassd pool ${provider} --check`;
    // Without a free check nothing but a call shows that the account is in order again.
    const thenCheck = isCheckable ? `then: ${check}` : 'calls try the key again when its cooldown ends';
    return keys.flatMap((key): Todo[] => {
      const subject = `${key.keyId} of ${provider}`;
      if (key.state === 'quarantined') {
        return [
          {
            verdict: 'problem',
            problem: `${subject} is refused by its provider${key.reason === null ? '' : ` (${key.reason.replace(/^refused with /, '')})`}`,
            hint: `replace it: aipassd credential rotate ${key.keyId}; or ${isCheckable ? `check it again: ${check}` : `save ${envFile} again to have it tried`}`,
          },
        ];
      }
      if (key.state === 'foreign') {
        return [
          {
            verdict: 'problem',
            problem: `${subject} ${key.reason ?? 'is a key of another provider'}`,
            hint: `move it to its own provider's variable in ${envFile}`,
          },
        ];
      }
      if (key.cooldowns.some(({ reason }) => reason === 'no-credit')) {
        return [
          {
            verdict: 'problem',
            problem: `${subject} has no credit`,
            hint: `add credit to its account at ${provider}; ${thenCheck}`,
          },
        ];
      }
      if (key.cooldowns.some(({ reason }) => reason === 'billing-account-blocked')) {
        return [
          {
            verdict: 'problem',
            problem: `the account of ${subject} is blocked`,
            hint: `ask ${provider} about it; ${thenCheck}`,
          },
        ];
      }
      const info = described?.keys.find((one) => one.keyId === key.keyId);
      if (info?.state !== 'suspect') return [];
      return [
        {
          verdict: 'warning',
          problem: `${subject} does not have the shape of a key of ${provider}${info.reason === undefined ? '' : `: ${info.reason}`}`,
          hint: isCheckable
            ? `see: aipassd validate ${provider} --online`
            : `compare it in ${envFile} with what ${provider} shows`,
        },
      ];
    });
  });
}

function accountTodos({ accounts, warnings }: Status): Todo[] {
  return accounts.flatMap(({ name, state, action, lastOutcome, refreshExpiresAt }): Todo[] => {
    if (action === null) return [];
    // The folder that keeps the account's file from being used has an entry of its own.
    if (warnings.some(({ subject, hint }) => hint !== action && action === `chmod go-w ${shellQuote(subject)}`))
      return [];
    if (state === 'fresh' || state === 'due' || state === 'refreshing') {
      const end = refreshExpiresAt === null ? 'soon' : `on ${new Date(refreshExpiresAt).toISOString().slice(0, 10)}`;
      return [{ verdict: 'warning', problem: `the consent to ${name} ends ${end}`, hint: action }];
    }
    const fault = warnings.find(({ hint }) => hint === action);
    const reason = lastOutcome?.reason ?? (fault === undefined ? null : placedProblem(fault));
    return [
      {
        verdict: state === 'stale' ? 'warning' : 'problem',
        problem: `account ${name} is ${state}${reason === null ? '' : `: ${reason}`}`,
        hint: action,
      },
    ];
  });
}

/** Lists the warnings but those of an account's file, which the account's own entry has. */
function warningTodos({ warnings, accounts }: Status): Todo[] {
  const actions = new Set(accounts.map(({ action }) => action));
  return warnings
    .filter(({ hint }) => !actions.has(hint))
    .map((warning) => ({ verdict: 'warning', problem: placedProblem(warning), hint: warning.hint }));
}

/** Some problems hold the path that they are about. */
function placedProblem({ subject, problem }: Status['warnings'][number]): string {
  return problem.includes(subject) ? problem : `${subject}: ${problem}`;
}
