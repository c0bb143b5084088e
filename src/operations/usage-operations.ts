/**
 * `usage.*`: who used what, as sums, events, counts and exports; tracking, pruning and importing.
 *
 * A question is answered for one organization of the caller; in groups by organization, for all of
 * the caller's. Pruning and importing are the daemon's own affair.
 */

import { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import { readString } from '../base/json.ts';
import { plainText } from '../base/plain-text.ts';
import type { Clock } from '../base/clock.ts';
import { ALL_RIGHTS } from '../callers/access.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import { fetchGeneration } from '../providers/http.ts';
import type { Providers } from '../providers/registry.ts';
import { MAX_CALLER_LENGTH } from '../protocol/messages.ts';
import { MAX_NAME_LENGTH, USAGE_GROUPINGS, USAGE_STATUSES, type UsageQuery } from '../protocol/usage.ts';
import { exportHead, exportLine } from '../usage/event.ts';
import { classifyGeneration, reportEvent } from '../usage/generations.ts';
import { readAipassUsage } from '../usage/import-aipass.ts';
import type { Usage } from '../usage/usage.ts';
import { eventCaller } from './usage-records.ts';
import { organizationParams, type OperationGroup, type OperationContext } from './operation.ts';
import type { Organizations } from './organizations.ts';
import { fetchModels } from '../providers/models.ts';
import type { CostSources } from '../usage/open.ts';

const GENERATION_PROVIDER = 'openrouter';

/** Maximum number of groups: as many as there are hours in a month. */
const MAX_GROUPS = 750;

const time = z.int().min(0).max(8_640_000_000_000_000).optional();

// Names are searched as they are kept: as plain text of bounded length (see usage/event.ts).
const name = z
  .string()
  .min(1)
  .max(MAX_NAME_LENGTH)
  .transform((text) => plainText(text, MAX_NAME_LENGTH));
const callerName = z
  .string()
  .min(1)
  .max(65_536)
  .transform((text) => plainText(text, MAX_CALLER_LENGTH));
const status = z.enum(USAGE_STATUSES).optional();
const range = { ...organizationParams, since: time, until: time, status };
const days = z.int().min(0).max(36_500);

export interface UsageOperationsDeps {
  readonly usage: Usage;
  readonly organizations: Organizations;
  readonly providers: Providers;
  readonly clock: Clock;
  readonly retention: { readonly days: number; readonly totalsDays: number };
}

export function usageOperations(deps: UsageOperationsDeps): OperationGroup<'usage'> {
  const { usage, organizations, clock, retention } = deps;
  return {
    'usage.stats': {
      right: 'see',
      inOrganization: (params) => (isAcrossOrganizations(params) ? 'any' : true),
      schema: z.strictObject({
        ...range,
        by: z.enum(USAGE_GROUPINGS).optional(),
        caller: callerName.optional(),
        limit: z.int().min(1).max(MAX_GROUPS).optional(),
      }),
      handle: (query, context) =>
        usage.ask('answer', { ...query, organizations: organizationsOf(query, context) }, clock.now()),
    },
    'usage.session': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject({ ...organizationParams, id: name.optional() }),
      async handle({ id = usage.run }, context) {
        return { id, session: await usage.ask('session', id, [context.organization]) };
      },
    },
    'usage.events': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject({
        ...range,
        keyId: name.optional(),
        limit: z.int().min(1).max(500).optional(),
        after: z.string().max(64).optional(),
      }),
      handle: (query, context) => usage.ask('events', { ...query, organizations: [context.organization] }, 'desc'),
    },
    'usage.recent': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject({
        ...organizationParams,
        seconds: z.number().positive().max(3.2e9),
        provider: name.optional(),
        keyId: name.optional(),
        status,
      }),
      handle: (query, context) =>
        usage.ask(
          'recent',
          { ...query, organizations: [context.organization] },
          organizations
            .keys(context.organization)
            .vault.keys(query.provider)
            .map((key) => key.keyId),
          clock.now(),
        ),
    },
    'usage.track': {
      right: 'use',
      inOrganization: true,
      schema: z.strictObject({ ...organizationParams, generationId: name, caller: callerName.optional() }),
      handle: (params, context) => track(deps, params, context),
    },
    'usage.export': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject({ ...range, keyId: name.optional(), format: z.enum(['csv', 'jsonl']) }),
      async handle({ format, ...query }, { organization: slug, emit, signal }) {
        let events = 0;
        const head = exportHead(format);
        if (head !== '') await emit(head);
        for await (const page of usage.export({ ...query, organizations: [slug] })) {
          signal.throwIfAborted();
          await emit(page.map((event) => exportLine(event, format)).join(''));
          events += page.length;
        }
        return { events };
      },
    },
    'usage.prune': {
      right: 'admin',
      audit: { outcome: 'changed', credential: () => null, hasChangedNothing: ({ dryRun }) => dryRun === true },
      schema: z.strictObject({ days: days.optional(), dryRun: z.boolean().optional() }),
      handle: (params) => usage.prune(params.days ?? retention.days, retention.totalsDays, params.dryRun === true),
    },
    'usage.import': {
      right: 'admin',
      audit: { outcome: 'changed', credential: () => null, hasChangedNothing: (_params, { repeated }) => repeated },
      schema: z.strictObject({ text: z.string().max(64 * 1024 * 1024) }),
      handle: ({ text }) => usage.ask('import', readAipassUsage(text)),
    },
  };
}

/** Fetches a generation's record; the event of a completion is filled in, not counted anew. */
async function track(
  { usage, organizations, providers, clock }: UsageOperationsDeps,
  params: { readonly generationId: string; readonly caller?: string | undefined },
  { caller, organization, signal }: Pick<OperationContext, 'caller' | 'organization' | 'signal'>,
) {
  const { generationId } = params;
  const provider = providers.get(GENERATION_PROVIDER);
  const known = await usage.ask('generation', generationId, [organization]);
  const { lookup, credentials } = organizations.keys(organization);
  const key = lookup.key(
    GENERATION_PROVIDER,
    known?.provider === GENERATION_PROVIDER ? (known.keyId ?? undefined) : undefined,
  );
  const outcome = classifyGeneration(
    await fetchGeneration(credentials.addressed(provider, key), key.value, generationId, signal, clock),
  );
  switch (outcome.kind) {
    case 'found':
      break;
    case 'not-ready':
      throw new AipassError('PROVIDER_UNAVAILABLE', `the generation is not available yet: ${outcome.reason}`, {
        hint: 'a record appears some seconds after its answer: check the id, and try again',
        retryAfterMs: 2000,
      });
    case 'refused':
      throw new AipassError('PROVIDER_REJECTED', `${GENERATION_PROVIDER} refused with status ${outcome.status}`, {
        hint: 'check the id, and that it was made with a key of this account',
      });
  }
  const subject = {
    caller: params.caller ?? 'manual',
    organization,
    provider: provider.name,
    keyId: key.keyId,
    model: null,
    generationId,
  };
  const { at: _, ...record } = outcome.record;
  usage.record({ ...eventCaller(caller), ...reportEvent(subject, record, 'generation') });
  const event = await usage.ask('generation', generationId, [organization]);
  if (!event)
    throw new AipassError('INTERNAL', 'the generation was recorded but is not in the database yet', {
      hint: 'try again',
    });
  return { event, counted: known === null };
}

/** Returns whether a question is about all organizations of the caller. */
function isAcrossOrganizations(params: unknown): boolean {
  return readString(params, 'by') === 'organization' && readString(params, 'organization') === undefined;
}

/** Returns the organizations that a question is about; undefined for all that ever were. */
function organizationsOf(
  query: UsageQuery,
  { organization: slug, currentRights }: OperationContext,
): readonly string[] | undefined {
  if (!isAcrossOrganizations(query)) return [slug];
  const { rights, organizations } = currentRights();
  if (rights === ALL_RIGHTS) return undefined;
  return [...organizations].filter(([, own]) => own.has('see')).map(([own]) => own);
}

/**
 * Returns whom usage asks what a call cost, the provider's record of a generation and price lists.
 * They are asked with the keys of that moment, each at its own address.
 */
export function costSources(organizations: Organizations, providers: Providers, clock: Clock): CostSources {
  return {
    generationProvider: GENERATION_PROVIDER,
    fetchGeneration: ({ organization: slug, keyId, generationId }, signal) => {
      const { lookup, credentials } = organizations.keys(slug);
      const key = lookup.key(GENERATION_PROVIDER, keyId ?? undefined);
      const provider = credentials.addressed(providers.get(GENERATION_PROVIDER), key);
      return fetchGeneration(provider, key.value, generationId, signal, clock);
    },
    fetchModels: (providerName, signal) => {
      const { vault, pools, credentials } = organizations.keys(DEFAULT_ORGANIZATION);
      const provider = providers.get(providerName);
      const key = pools.firstUsable(providerName, vault.keys(providerName));
      return fetchModels(key ? credentials.addressed(provider, key) : provider, key?.value ?? null, signal);
    },
  };
}
