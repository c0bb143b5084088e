/**
 * `token.get` and `oauth.*`: access tokens that are always fresh, and what their users have to do for that.
 */

import { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import { plainText } from '../base/plain-text.ts';
import type { RefreshResult } from '../protocol/oauth.ts';
import { parseAccountName, type AccountName } from '../refreshers/account-name.ts';
import type { Accounts } from '../refreshers/accounts.ts';
import { CONSENT_LIMIT_MS, type Consents } from '../refreshers/consents.ts';
import type { RefreshOutcome } from '../refreshers/outcome.ts';
import type { TokenWorker } from '../refreshers/worker-process.ts';
import { eventCaller } from './event-caller.ts';
import { defineOperation, type AnyOperation } from './operation.ts';
import { recordRelease, type RecordEvent } from './record-release.ts';

/** Is the validity that a token has at least when nobody asks for more, in seconds. */
const MIN_VALID_S = 60;

/** Is the longest validity that can be asked for, in seconds (a week). */
const MAX_MIN_VALID_S = 604_800;

/** Is what these operations need. */
export interface OauthOperationsOptions {
  readonly accounts: Accounts;
  readonly consents: Consents;
  readonly worker: TokenWorker;
  readonly record: RecordEvent;
}

const name = z.string().min(1).max(200);
const scopes = z
  .array(
    z
      .string()
      .min(1)
      .max(512)
      .regex(/^[\x21-\x7e]+$/, 'is no scope'),
  )
  .max(200);

/** Makes the operations. */
export function oauthOperations({ accounts, consents, worker, record }: OauthOperationsOptions): AnyOperation[] {
  return [
    defineOperation<'token.get'>({
      name: 'token.get',
      right: 'reveal',
      audit: { outcome: 'released', credential: (params) => params.name },
      schema: z.strictObject({
        name,
        minValidSeconds: z.number().min(0).max(MAX_MIN_VALID_S).optional(),
        scopes: scopes.optional(),
      }),
      handle(params, { caller }) {
        const wanted = { minValidMs: (params.minValidSeconds ?? MIN_VALID_S) * 1000, scopes: params.scopes ?? [] };
        const released = { ...eventCaller(caller), operation: 'token.get', provider: params.name, keyId: params.name };
        return recordRelease(record, released, () => accounts.token(params.name, wanted));
      },
    }),
    defineOperation<'oauth.list'>({
      name: 'oauth.list',
      right: 'see',
      schema: z.strictObject({}),
      handle: async () => ({ accounts: await accounts.statuses() }),
    }),
    defineOperation<'oauth.refresh'>({
      name: 'oauth.refresh',
      right: 'use',
      audit: { outcome: 'changed', credential: (params) => params.name ?? null },
      schema: z.strictObject({ name: name.optional() }),
      handle: async (params) => ({
        results: (await accounts.refresh(params.name)).map((one) => describeRefresh(one.name, one.outcome)),
      }),
    }),
    defineOperation<'oauth.reauth'>({
      name: 'oauth.reauth',
      right: 'admin',
      audit: { outcome: 'changed', credential: (params) => params.name },
      schema: z.strictObject({
        name,
        scopes: scopes.optional(),
        device: z.boolean().optional(),
        port: z.int().min(0).max(65_535).optional(),
        timeoutSeconds: z.number().min(1).max(3600).optional(),
      }),
      async handle(params, { signal, emit }) {
        const account = accounts.describe(readName(params.name));
        const request = {
          scopes: params.scopes,
          device: params.device === true,
          port: params.port ?? 0,
          timeoutMs: params.timeoutSeconds === undefined ? CONSENT_LIMIT_MS : params.timeoutSeconds * 1000,
        };
        const consented = await consents.run(account, request, (flow, prompt) => void emit({ flow, prompt }), signal);
        await (await accounts.find(account.name)).reload();
        return { name: account.name, ...consented };
      },
    }),
    defineOperation<'oauth.redirect'>({
      name: 'oauth.redirect',
      right: 'admin',
      schema: z.strictObject({ flow: z.uuid(), url: z.string().min(1).max(16_384) }),
      handle({ flow, url }) {
        consents.paste(flow, url);
        return { accepted: true };
      },
    }),
    defineOperation<'oauth.revoke'>({
      name: 'oauth.revoke',
      right: 'admin',
      audit: { outcome: 'changed', credential: (params) => params.name },
      schema: z.strictObject({ name }),
      async handle(params) {
        const keeper = await accounts.find(params.name);
        const report = await worker.run({ kind: 'revoke', account: accounts.describe(readName(keeper.name)) });
        if (report.kind === 'refused') throw AipassError.fromWire(report.error);
        await keeper.reload();
        return { name: keeper.name, atProvider: report.kind === 'revoked' && report.atProvider };
      },
    }),
  ];
}

function readName(text: string): AccountName {
  const parsed = parseAccountName(text);
  if (parsed !== undefined) return parsed;
  throw new AipassError('BAD_REQUEST', `"${plainText(text, 64)}" is no name of an account`, {
    hint: 'a name is a provider such as "google", or a provider and an account such as "google.work"',
  });
}

function describeRefresh(account: string, outcome: RefreshOutcome): RefreshResult {
  return {
    name: account,
    outcome: outcome.kind,
    reason: 'reason' in outcome ? outcome.reason : null,
    action: 'remedy' in outcome ? outcome.remedy : null,
  };
}
