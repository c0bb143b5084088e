/**
 * `completion.create`: has a provider complete a chat, with deltas as chunks when they are wanted.
 */

import type { Completer } from '../completions/completer.ts';
import { completionParams } from '../completions/chat-request.ts';
import { eventCaller } from './usage-records.ts';
import { defineOperation, type AnyOperation } from './operation.ts';

/** Makes the operation over the completer. */
export function completionOperations(completer: Completer): AnyOperation[] {
  return [
    defineOperation<'completion.create'>({
      name: 'completion.create',
      right: 'use',
      inOrganization: true,
      schema: completionParams,
      handle: (params, { caller, organization, signal, emit }) =>
        completer.complete(params, {
          caller: eventCaller(caller, organization),
          organization,
          signal,
          onDelta: emit,
        }),
    }),
  ];
}
