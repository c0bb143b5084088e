import { describe, expect, it } from 'vitest';
import type { CooldownInfo, PoolInfo, PoolKeyInfo } from '../../../src/protocol/pool.ts';
import type { KeyInfo } from '../../../src/protocol/provider.ts';
import { makeStatus } from '../../support/status-fixture.ts';
import { Output } from '../../../src/cli/output.ts';
import { textWidth } from '../../../src/cli/format.ts';
import { todoOf } from '../../../src/cli/todo.ts';
import { printStatus } from '../../../src/cli/verbs/status.ts';

const NAMES = Array.from({ length: 50 }, (_, index) => `OPENROUTER_API_KEY${index === 0 ? '' : `_${index + 1}`}`);

function pooledKey(keyId: string, fields: Partial<PoolKeyInfo> = {}): PoolKeyInfo {
  return {
    keyId,
    masked: 'sk-or-****cdef',
    billingAccount: null,
    state: 'ready',
    reason: null,
    cooldowns: [],
    cooldownLeftMs: null,
    inFlight: 0,
    usesToday: 1,
    uses: 1,
    lastUsedAt: null,
    latencyMs: null,
    windows: [],
    quotas: [],
    ...fields,
  };
}

const KEYS = NAMES.map((keyId, index) =>
  index === 1
    ? pooledKey(keyId, { state: 'quarantined', reason: 'refused with status 401' })
    : index === 2
      ? pooledKey(keyId, { state: 'cooling-down', reason: 'a rate limit', cooldownLeftMs: 120_000 })
      : pooledKey(keyId),
);

const POOL: PoolInfo = {
  provider: 'openrouter',
  strategy: 'least-used',
  breaker: 'closed',
  cooldowns: [],
  waiting: 0,
  keys: KEYS,
};

const STATUS = makeStatus({
  uptimeMs: 7_500_000,
  providers: [
    {
      name: 'openrouter',
      baseUrl: 'https://openrouter.ai/api/v1',
      source: 'built-in',
      needsKey: true,
      hasFreeCheck: true,
      keys: NAMES.map((keyId): KeyInfo => ({
        provider: 'openrouter',
        keyId,
        masked: 'sk-or-****cdef',
        state: 'ready',
      })),
    },
  ],
  pools: [POOL],
  secrets: { count: 1 },
  accounts: [
    {
      name: 'github',
      kind: 'oauth',
      state: 'reauth-required',
      scopes: ['repo'],
      missingScopes: [],
      expiresAt: null,
      refreshExpiresAt: null,
      nextRefreshAt: null,
      lastOutcome: { kind: 'rejected', at: 0, reason: 'invalid_grant' },
      action: 'run: aipassd reauth github',
    },
  ],
  warnings: [
    {
      subject: '/s/aipass/.env',
      problem: 'line 51 is not an assignment and is ignored until somebody corrects it 漢字漢字漢字',
      hint: 'correct line 51',
    },
  ],
});

function printed(all: boolean, columns?: number): string[] {
  let text = '';
  const stream = {
    write: (piece: string) => {
      text += piece;
    },
  };
  printStatus(STATUS, all, new Output(stream, stream, columns === undefined ? {} : { COLUMNS: String(columns) }));
  return text.split('\n');
}

function cooldown(reason: CooldownInfo['reason']): CooldownInfo {
  return { scope: 'billing-account', reason, source: 'default', since: 0, until: 1, bound: 1 };
}

describe('the status', () => {
  it('begins with what needs attention, each with its remedy', () => {
    const lines = printed(false);
    expect(lines[0]).toBe('● aipassd 1.2.3 is running, 3 things to do');
    expect(lines.slice(1, 7)).toEqual([
      '  1. OPENROUTER_API_KEY_2 of openrouter is refused by its provider (status 401)',
      expect.stringMatching(/^ {5}→ replace it: aipassd credential rotate OPENROUTER_API_KEY_2/),
      '  2. account github is reauth-required: invalid_grant',
      '     → run: aipassd reauth github',
      expect.stringMatching(/^ {2}3\. \/s\/aipass\/\.env: line 51 is not an assignment/),
      '     → correct line 51',
    ]);
  });

  it('has one line for a provider, however many keys it has', () => {
    expect(printed(false)).toContain(
      '  openrouter (default)  50 keys: 48 ready, 1 refused, 1 cooling down (ready in 2 min); 50 calls today',
    );
    expect(printed(true).filter((line) => line.includes('sk-or-****cdef'))).toHaveLength(50);
  });

  it('lists a file of an account that cannot be used once, with the reason', () => {
    const [account] = STATUS.accounts;
    const hint = 'fix /s/aipass/oauth/arr.json';
    const accounts = account
      ? [{ ...account, name: 'arr', state: 'unusable' as const, lastOutcome: null, action: hint }]
      : [];
    const warnings = [{ subject: '/s/aipass/oauth/arr.json', problem: 'it is not a JSON object', hint }];
    expect(todoOf(makeStatus({ accounts, warnings }))).toEqual([
      { verdict: 'problem', problem: expect.stringMatching(/arr is unusable: .*not a JSON object/), hint },
    ]);
  });

  it('lists a folder that others can write to once, whatever accounts lie in it', () => {
    const [account] = STATUS.accounts;
    const action = 'chmod go-w /s/aipass';
    const accounts = account
      ? [{ ...account, name: 'arr', state: 'unusable' as const, lastOutcome: null, action }]
      : [];
    const warnings = [
      { subject: '/s/aipass', problem: 'other users can write this folder', hint: 'chmod 700 /s/aipass' },
    ];
    expect(todoOf(makeStatus({ accounts, warnings }))).toMatchObject([{ hint: 'chmod 700 /s/aipass' }]);
  });

  it('does not count the command that asks', () => {
    expect(printed(false)).toContain('  clients  0 connections, 0 requests in flight');
  });

  it('fits 60 columns, wide characters included', () => {
    for (const line of printed(true, 60)) expect(textWidth(line), line).toBeLessThanOrEqual(60);
  });

  it.each<[Partial<PoolKeyInfo>, KeyInfo['state']]>([
    [{ state: 'quarantined' }, 'ready'],
    [{ cooldowns: [cooldown('no-credit')] }, 'ready'],
    [{ cooldowns: [cooldown('billing-account-blocked')] }, 'ready'],
    [{}, 'suspect'],
  ])('advises a check only where the provider has one: %j, %s', (fields, state) => {
    const [provider] = STATUS.providers;
    const [name = ''] = NAMES;
    const hints = [true, false].map((hasFreeCheck) => {
      const keys = [{ provider: 'openrouter', keyId: name, masked: 'm', state }];
      const providers = provider === undefined ? [] : [{ ...provider, hasFreeCheck, keys }];
      return todoOf(makeStatus({ providers, pools: [{ ...POOL, keys: [pooledKey(name, fields)] }] }))[0]?.hint;
    });
    expect(hints[0]).toMatch(/--check|--online/);
    expect(hints[1]).toEqual(expect.not.stringMatching(/--check|--online/));
  });

  it('lists problems before warnings', () => {
    expect(todoOf(STATUS).map(({ verdict }) => verdict)).toEqual(['problem', 'problem', 'warning']);
  });
});
