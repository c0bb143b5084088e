/**
 * Operations `token.get` and `oauth.*`: fresh access tokens, and the consents they need.
 */

import { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import type { RefreshResult } from '../protocol/oauth.ts';
import { TOKEN_TAG } from '../protocol/token-tag.ts';
import { parseAccountName } from '../refreshers/account-name.ts';
import type { Accounts } from '../refreshers/accounts.ts';
import { CONSENT_LIMIT_MS, type Consents } from '../refreshers/consents.ts';
import { invalidAccountName } from '../refreshers/messages.ts';
import { isSafeEndpoint, PRESETS } from '../refreshers/provider-presets.ts';
import type { Providers } from '../providers/registry.ts';
import type { RefreshOutcome } from '../refreshers/worker/job.ts';
import type { TokenWorker } from '../refreshers/worker-process.ts';
import type { OperationGroup } from './operation.ts';
import { recordRelease, type RecordEvent } from './usage-records.ts';

/** Validity of a token when nobody asks for more, in seconds. */
const MIN_VALID_S = 60;

/** Longest validity that can be asked for, in seconds (a week). */
const MAX_MIN_VALID_S = 604_800;

export interface OauthOperationsDeps {
  readonly accounts: Accounts;
  readonly consents: Consents;
  readonly worker: TokenWorker;
  readonly record: RecordEvent;
  readonly providers: Providers;
}

const name = z.string().min(1).max(200);
const scopes = z
  .array(
    z
      .string()
      .min(1)
      .max(512)
      .regex(/^[\x21-\x7e]+$/, 'is not a scope'),
  )
  .max(200);

export function oauthOperations({
  accounts,
  consents,
  worker,
  record,
  providers,
}: OauthOperationsDeps): OperationGroup<'oauth' | 'token'> {
  /** Points whoever asks for a token of a provider that takes API keys to its key. */
  const pointToKey = (wanted: string, error: unknown): unknown => {
    const takesKeys = providers.find(wanted) !== undefined && !Object.hasOwn(PRESETS, wanted);
    if (!takesKeys || !(error instanceof AipassError) || error.hint === undefined) return error;
    if (error.code !== 'NOT_FOUND' && error.code !== 'BAD_REQUEST') return error;
    return new AipassError(error.code, error.message, {
      hint: `${wanted} takes API keys: aipassd get-key ${wanted}; for an OAuth account, ${error.hint}`,
    });
  };
  return {
    'token.get': {
      right: 'reveal',
      audit: { outcome: 'released', credential: (params) => params.name },
      schema: z.strictObject({
        name,
        minValidSeconds: z.number().min(0).max(MAX_MIN_VALID_S).optional(),
        scopes: scopes.optional(),
        refused: z.string().regex(TOKEN_TAG, 'is not the tag of a token').optional(),
      }),
      handle(params, { caller }) {
        const wanted = {
          minValidMs: (params.minValidSeconds ?? MIN_VALID_S) * 1000,
          scopes: params.scopes ?? [],
          refused: params.refused,
        };
        const asked = { operation: 'token.get', provider: params.name, keyId: params.name };
        const fail = (error: unknown): never => {
          throw pointToKey(params.name, error);
        };
        try {
          // A token from memory is returned at once, which saves a turn of the event loop.
          const token = recordRelease(record, caller, asked, () => accounts.token(params.name, wanted));
          return token instanceof Promise ? token.catch(fail) : token;
        } catch (error) {
          return fail(error);
        }
      },
    },
    'oauth.list': {
      right: 'see',
      schema: z.strictObject({}),
      handle: async () => ({ accounts: await accounts.statuses() }),
    },
    'oauth.refresh': {
      right: 'use',
      audit: {
        outcome: 'changed',
        credential: (params) => params.name ?? null,
        hasChangedNothing: (_params, { results }) => results.length === 0,
      },
      schema: z.strictObject({ name: name.optional() }),
      handle: async (params, { caller }) => ({
        results: (await accounts.refresh(params.name, !caller.rights.has('admin'))).map((one) =>
          describeRefresh(one.name, one.outcome),
        ),
      }),
    },
    'oauth.reauth': {
      right: 'admin',
      audit: { outcome: 'changed', credential: (params) => params.name },
      schema: z.strictObject({
        name: z.string().min(1).max(2000),
        account: name.optional(),
        scopes: scopes.optional(),
        device: z.boolean().optional(),
        port: z.int().min(0).max(65_535).optional(),
        timeoutSeconds: z.number().min(1).max(3600).optional(),
      }),
      async handle(params, { signal, emit }) {
        const server = readServer(params.name);
        const named = params.account === undefined ? undefined : readName(`mcp.${params.account}`);
        const account =
          server === undefined
            ? accounts.describe(readName(params.name))
            : named === undefined
              ? await accounts.describeMcp(server)
              : accounts.describe(named);
        const request = {
          mcpServer: server?.href,
          scopes: params.scopes,
          device: params.device === true,
          port: params.port ?? 0,
          timeoutMs: params.timeoutSeconds === undefined ? CONSENT_LIMIT_MS : params.timeoutSeconds * 1000,
        };
        const consented = await consents
          .run(account, request, (flow, prompt) => void emit({ flow, prompt }), signal)
          .catch((error: unknown) => {
            throw pointToKey(params.name, error);
          });
        await (await accounts.find(account.name)).reload();
        return { name: account.name, ...consented };
      },
    },
    'oauth.redirect': {
      right: 'admin',
      schema: z.strictObject({ flow: z.uuid(), url: z.string().min(1).max(16_384) }),
      handle({ flow, url }) {
        consents.paste(flow, url);
        return { accepted: true };
      },
    },
    'oauth.revoke': {
      right: 'admin',
      audit: { outcome: 'changed', credential: (params) => params.name },
      schema: z.strictObject({ name }),
      async handle(params) {
        const account = await accounts.find(params.name);
        const job = { kind: 'revoke', account: accounts.describe(account.name) } as const;
        const report = await worker.run(job, { isUrgent: () => true });
        if (report.kind === 'refused') throw AipassError.fromWire(report.error);
        await account.reload();
        return { name: account.name, atProvider: report.kind === 'revoked' && report.atProvider };
      },
    },
  };
}

/** Returns the address of an MCP server, or undefined for a text that is not an address. */
function readServer(text: string): URL | undefined {
  if (!/^https?:/i.test(text)) return undefined;
  if (isSafeEndpoint(text)) return new URL(text);
  throw new AipassError('BAD_REQUEST', 'the address of an MCP server must be https, or http on this machine', {
    hint: 'such as: aipassd reauth https://mcp.example.org/mcp',
  });
}

function readName(text: string): string {
  const parsed = parseAccountName(text);
  if (parsed !== undefined) return parsed;
  throw invalidAccountName(text);
}

function describeRefresh(account: string, outcome: RefreshOutcome): RefreshResult {
  return {
    name: account,
    outcome: outcome.kind,
    reason: 'reason' in outcome ? outcome.reason : null,
    action: 'remedy' in outcome ? outcome.remedy : null,
  };
}
