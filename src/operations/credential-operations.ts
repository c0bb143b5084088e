/**
 * `credential.*` and `organization.list`: provider credentials, as the web app's API has them. Both
 * endpoints serve these operations; gateway/ gives them their paths and statuses.
 *
 * No schema error quotes what was sent, because that could be a key.
 */

import { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import type { RawEvent } from '../usage/event.ts';
import { createSampler, type TakeSample } from './credential-usage.ts';
import { organizationParams, type OperationGroup } from './operation.ts';
import type { Organizations } from './organizations.ts';
import type { ProviderCredentials } from './provider-credentials.ts';

const id = z.uuid();
const revision = z.int().min(1);
const ofCredential = { ...organizationParams, id };
const changeOf = { ...ofCredential, if_revision: z.union([revision, z.array(revision).min(1)]).optional() };
const provider = z.string().min(1).max(64);
const text = (maxLength: number) => z.string().max(maxLength);

const keyFields = { api_key: text(8192).nullish(), base_url: text(2048).nullish() };

/** Fields that can be changed. ProviderCredentials bounds their content. */
export const updateFields = { display_name: text(1024).nullish(), ...keyFields, active: z.boolean().nullish() };

/** Fields of a new credential. */
export const createFields = { provider, account_key: text(256), ...updateFields, active: z.boolean().optional() };

/** Fields of a credential that is tested and not saved. */
export const testFields = { provider, account_key: text(256).nullish(), ...keyFields };

export interface CredentialOperationsDeps {
  readonly organizations: Organizations;
  readonly clock: Clock;
  /** Records the call that a paid sample is. */
  readonly record: (event: RawEvent) => void;
}

export function credentialOperations({
  organizations,
  clock,
  record,
}: CredentialOperationsDeps): OperationGroup<'credential' | 'organization'> {
  const samplerOf = (organization: string): TakeSample =>
    createSampler((event) => record({ ...event, organization }), clock);
  const credentialsOf = (slug: string): ProviderCredentials => organizations.keys(slug).credentials;
  return {
    'credential.list': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject({
        ...organizationParams,
        provider: provider.optional(),
        active: z.boolean().optional(),
        limit: z.int().min(1).max(10_000).optional(),
        after: id.optional(),
      }),
      handle: (params, context) => ({ credentials: credentialsOf(context.organization).list(params) }),
    },
    'credential.get': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject(ofCredential),
      handle: (params, context) => credentialsOf(context.organization).get(params.id),
    },
    'credential.create': {
      right: 'admin',
      inOrganization: true,
      schema: z.strictObject({
        ...organizationParams,
        ...createFields,
        idempotency_key: z.string().min(1).max(255).optional(),
      }),
      audit: {
        outcome: 'changed',
        detail: changedFields,
        credential: (params, result) => `${params.provider}/${result?.key_id ?? params.account_key}`,
      },
      handle: (params, context) => credentialsOf(context.organization).create(params),
    },
    'credential.add': {
      right: 'admin',
      inOrganization: true,
      schema: z.strictObject({
        ...organizationParams,
        provider,
        api_key: text(8192),
        account_key: text(256).optional(),
        force: z.boolean().optional(),
      }),
      audit: {
        outcome: 'changed',
        credential: (params, result) => `${params.provider}/${result?.key_id ?? ''}`,
      },
      handle: (params, context) => credentialsOf(context.organization).add(params, context.signal),
    },
    'credential.import': {
      right: 'admin',
      inOrganization: true,
      schema: z.strictObject({ ...organizationParams, text: text(1024 * 1024), dry_run: z.boolean().optional() }),
      audit: {
        outcome: 'changed',
        hasChangedNothing: (_params, { keys }) => keys.every(({ key_id: keyId }) => keyId === null),
        credential: (_params, result) => result?.keys.flatMap(({ key_id: keyId }) => keyId ?? []).join(' ') ?? null,
      },
      handle: (params, context) => credentialsOf(context.organization).import(params),
    },
    'credential.update': {
      right: 'admin',
      inOrganization: true,
      schema: z.strictObject({ ...changeOf, ...updateFields }),
      audit: {
        outcome: 'changed',
        detail: changedFields,
        credential: ({ id: own }, result) =>
          result ? `${result.provider}/${result.key_id ?? result.account_key}` : own,
      },
      handle: (params, context) => credentialsOf(context.organization).update(params),
    },
    'credential.rotate': {
      right: 'admin',
      inOrganization: true,
      schema: z.strictObject({ ...changeOf, api_key: text(8192) }),
      audit: {
        outcome: 'changed',
        detail: () => 'api_key',
        credential: ({ id: own }, result) =>
          result ? `${result.provider}/${result.key_id ?? result.account_key}` : own,
      },
      handle: (params, context) => credentialsOf(context.organization).rotate(params, context.signal),
    },
    'credential.delete': {
      right: 'admin',
      inOrganization: true,
      schema: z.strictObject(changeOf),
      audit: { outcome: 'changed', credential: (params) => params.id },
      async handle(params, context) {
        await credentialsOf(context.organization).delete(params);
        return { deleted: true };
      },
    },
    'credential.test': {
      right: 'admin',
      inOrganization: true,
      schema: z.strictObject({ ...organizationParams, ...testFields }),
      audit: { outcome: 'changed', credential: (params) => `${params.provider}/test` },
      handle: (params, { organization, signal }) =>
        credentialsOf(organization).test(params, samplerOf(organization), signal),
    },
    'credential.usage': {
      right: 'see',
      inOrganization: true,
      schema: z.strictObject({ ...ofCredential, refresh: z.boolean().optional(), sample: z.boolean().optional() }),
      handle(params, context) {
        const { refresh = false, sample = false } = params;
        // Asking the provider uses the key; a paid sample does so all the more.
        if (refresh || sample) context.requireRight('use');
        const { organization, signal } = context;
        const takeSample = sample ? samplerOf(organization) : undefined;
        return credentialsOf(organization).usage(params.id, { refresh, takeSample }, signal);
      },
    },
    'organization.list': {
      right: 'see',
      inOrganization: 'any',
      schema: z.strictObject({}),
      handle: (_params, { caller }) => ({ organizations: [...organizations.of(caller)] }),
    },
  };
}

/** Returns the names of the fields that a request sets, never their values. */
function changedFields(params: object): string {
  return Object.entries(params)
    .filter(([name, value]) => Object.hasOwn(createFields, name) && value !== undefined && value !== null)
    .map(([name]) => name)
    .join(' ');
}
