/**
 * `secret.*`: opaque secrets, listed without their values, released by name, stored and removed.
 */

import { z } from 'zod';
import { systemErrorCode } from '../base/errors.ts';
import { describeFailure } from '../base/system-failure.ts';
import { removeSecret, writeSecret } from '../credentials/opaque-store.ts';
import type { Vault } from '../credentials/vault.ts';
import type { OperationGroup } from './operation.ts';
import { recordRelease, type RecordEvent } from './usage-records.ts';

export function secretOperations(vault: Vault, folder: string, record: RecordEvent): OperationGroup<'secret'> {
  const writer = { folder, reload: () => vault.load() };
  return {
    'secret.list': {
      right: 'see',
      schema: z.strictObject({ provider: z.string().min(1).max(255).optional() }),
      handle: ({ provider }) => ({ secrets: [...vault.secretNames(provider)] }),
    },
    'secret.get': {
      right: 'reveal',
      schema: z.strictObject({
        name: z.string().min(1).max(512),
        json: z.boolean().optional(),
        bytes: z.boolean().optional(),
      }),
      audit: { outcome: 'released', credential: ({ name }) => name },
      handle({ name, json = false, bytes = false }, { caller }) {
        const asked = { operation: 'secret.get', provider: name.split('/')[0], keyId: name };
        return recordRelease(record, caller, asked, () => ({
          name,
          value: bytes ? vault.readSecretBytes(name, json).toString('base64') : vault.readSecret(name, json),
        }));
      },
    },
    'secret.set': {
      right: 'admin',
      schema: z.strictObject({
        name: z.string().min(1).max(512),
        value: z.base64().max(2 * 1024 * 1024, 'too big: a secret has 1 to 1048576 bytes'),
        replace: z.boolean().optional(),
      }),
      audit: { outcome: 'changed', credential: ({ name }) => name },
      async handle({ name, value, replace = false }) {
        await onDisk(name, () => writeSecret(writer, name, Buffer.from(value, 'base64'), replace));
        return { name };
      },
    },
    'secret.remove': {
      right: 'admin',
      schema: z.strictObject({ name: z.string().min(1).max(512) }),
      audit: { outcome: 'changed', credential: ({ name }) => name },
      async handle({ name }) {
        await onDisk(name, () => removeSecret(writer, name));
        return { name };
      },
    },
  };
}

/** Changes a secret on the disk. Throws the path and the remedy where that fails. */
async function onDisk(name: string, change: () => Promise<void>): Promise<void> {
  try {
    await change();
  } catch (error) {
    throw systemErrorCode(error) === undefined ? error : describeFailure(`the secret ${name}`, error);
  }
}
