/**
 * `secret.*`: opaque secrets, listed without their values and released by name.
 */

import { z } from 'zod';
import type { Vault } from '../credentials/vault.ts';
import { eventCaller } from './event-caller.ts';
import { defineOperation, type AnyOperation } from './operation.ts';
import { recordRelease, type RecordEvent } from './record-release.ts';

/** Makes the operations over the vault. */
export function secretOperations(vault: Vault, record: RecordEvent): AnyOperation[] {
  return [
    defineOperation<'secret.list'>({
      name: 'secret.list',
      right: 'see',
      schema: z.strictObject({ provider: z.string().min(1).max(255).optional() }),
      handle: ({ provider }) => ({ secrets: [...vault.secretNames(provider)] }),
    }),
    defineOperation<'secret.get'>({
      name: 'secret.get',
      right: 'reveal',
      schema: z.strictObject({ name: z.string().min(1).max(512), json: z.boolean().optional() }),
      audit: { outcome: 'released', credential: ({ name }) => name },
      handle({ name, json }, { caller }) {
        const released = { ...eventCaller(caller), operation: 'secret.get', provider: name.split('/')[0], keyId: name };
        return recordRelease(record, released, () => ({ name, value: vault.readSecret(name, json === true) }));
      },
    }),
  ];
}
