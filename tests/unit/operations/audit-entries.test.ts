import { expect, it } from 'vitest';
import { z } from 'zod';
import type { AuditEntry } from '../../../src/audit/record.ts';
import { AipassError } from '../../../src/base/errors.ts';
import { readField } from '../../../src/base/json.ts';
import { ALL_RIGHTS } from '../../../src/callers/access.ts';
import type { AnyOperation } from '../../../src/operations/operation.ts';
import { recordRequests } from '../../../src/operations/audit-entries.ts';

const caller = {
  name: 'test',
  client: null,
  rights: new Set(ALL_RIGHTS),
  organizations: new Map(),
  peer: null,
  session: 'session-1',
};
const context = {
  caller,
  signal: new AbortController().signal,
  closed: new AbortController().signal,
  emit: () => {},
  notify: () => {},
};

const prune: AnyOperation = {
  name: 'usage.prune',
  right: 'admin',
  schema: z.strictObject({ dryRun: z.boolean().optional() }),
  audit: {
    outcome: 'changed',
    credential: () => null,
    hasChangedNothing: (params, result) => readField(params, 'dryRun') === true || readField(result, 'count') === 0,
  },
  handle: () => ({}),
};

it('a change is audited, a dry run or one of nothing is not, and a failure of either is', () => {
  const entries: AuditEntry[] = [];
  const record = recordRequests({ record: (entry) => void entries.push(entry) });
  record(prune, { days: 30, dryRun: true }, context, { kind: 'done', result: {} }, 'default');
  record(prune, { days: 30 }, context, { kind: 'done', result: { count: 0 } }, 'default');
  expect(entries).toEqual([]);
  record(prune, { days: 30 }, context, { kind: 'done', result: {} }, 'default');
  record(
    prune,
    { dryRun: true },
    context,
    {
      kind: 'failed',
      error: new AipassError('FORBIDDEN', 'no', { hint: 'h' }),
    },
    'default',
  );
  record(
    prune,
    { dryRun: true },
    context,
    { kind: 'failed', error: new AipassError('INTERNAL', 'no', { hint: 'h' }) },
    'acme',
  );
  expect(entries.map(({ operation: name, outcome, organization }) => [name, outcome, organization])).toEqual([
    ['usage.prune', 'changed', undefined],
    ['usage.prune', 'refused', undefined],
    ['usage.prune', 'failed', 'acme'],
  ]);
});
