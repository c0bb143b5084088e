/**
 * The table of all operations. A new operation is declared in protocol/operations.ts, written in a
 * file of this folder, and listed here.
 */

import type { Completer } from '../completions/completer.ts';
import { completionOperations } from './completion-operations.ts';
import { credentialOperations } from './credential-operations.ts';
import { eventOperations } from './event-operations.ts';
import { gatewayOperations, type GatewayOperationsDeps } from './gateway-operations.ts';
import { keyOperations, type KeyOperationsDeps } from './key-operations.ts';
import { oauthOperations, type OauthOperationsDeps } from './oauth-operations.ts';
import type { Organizations } from './organizations.ts';
import type { AnyOperation } from './operation.ts';
import { poolOperations } from './pool-operations.ts';
import { secretOperations } from './secret-operations.ts';
import { statusOperation, type StatusDeps } from './status-operation.ts';
import { usageOperations, type UsageOperationsDeps } from './usage-operations.ts';

/** What the operations need. */
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

/** Makes every operation. */
export function createOperations(deps: OperationsDeps): AnyOperation[] {
  return [
    ...statusOperation(deps),
    ...keyOperations(deps),
    ...poolOperations(deps),
    ...oauthOperations(deps),
    ...secretOperations(deps.vault, deps.paths.secrets, deps.record),
    ...usageOperations(deps),
    ...completionOperations(deps.completer),
    ...gatewayOperations(deps),
    ...credentialOperations(deps.organizations),
    ...eventOperations((slug) => deps.organizations.keys(slug).events),
  ];
}
