/**
 * The table of all operations. A new operation is declared in protocol/operations.ts, written in a
 * file of this folder, and listed here.
 */

import type { OperationName } from '../protocol/operations.ts';
import type { Completer } from '../completions/completer.ts';
import { completionParams } from '../completions/chat-request.ts';
import { credentialOperations } from './credential-operations.ts';
import { eventOperations } from './event-operations.ts';
import { gatewayOperations, type GatewayOperationsDeps } from './gateway-operations.ts';
import { keyOperations, type KeyOperationsDeps } from './key-operations.ts';
import { oauthOperations, type OauthOperationsDeps } from './oauth-operations.ts';
import type { Organizations } from './organizations.ts';
import type { Operation } from './operation.ts';
import { poolOperations } from './pool-operations.ts';
import { secretOperations } from './secret-operations.ts';
import { statusOperation, type StatusDeps } from './status-operation.ts';
import { eventCaller } from './usage-records.ts';
import { usageOperations, type UsageOperationsDeps } from './usage-operations.ts';

export interface OperationsDeps
  extends
    KeyOperationsDeps,
    Omit<StatusDeps, 'accounts'>,
    OauthOperationsDeps,
    UsageOperationsDeps,
    GatewayOperationsDeps {
  readonly completer: Completer;
  readonly organizations: Organizations;
}

export function createOperations(deps: OperationsDeps): { readonly [Name in OperationName]: Operation<Name> } {
  return {
    ...statusOperation(deps),
    ...keyOperations(deps),
    ...poolOperations(deps),
    ...oauthOperations(deps),
    ...secretOperations(deps.vault, deps.paths.secrets, deps.record),
    ...usageOperations(deps),
    'completion.create': {
      right: 'use',
      inOrganization: true,
      schema: completionParams,
      handle: (params, { caller, organization, signal, emit }) =>
        deps.completer.complete(params, {
          caller: eventCaller(caller, organization),
          organization,
          signal,
          onDelta: emit,
        }),
    },
    ...gatewayOperations(deps),
    ...credentialOperations(deps),
    ...eventOperations((slug) => deps.organizations.keys(slug).events),
  };
}
