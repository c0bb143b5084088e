/**
 * The table of all operations. A new operation is declared in protocol/operations.ts, written in a file of
 * this folder, and listed here.
 */

import type { EventHub } from '../base/event-hub.ts';
import type { Completer } from '../completions/completer.ts';
import { completionOperations } from './completion-operations.ts';
import { credentialOperations, type CredentialOrganizations } from './credential-operations.ts';
import { eventOperations } from './event-operations.ts';
import { gatewayOperations, type GatewayOperationsOptions } from './gateway-operations.ts';
import { keyOperations, type KeyOperationsOptions } from './key-operations.ts';
import { oauthOperations, type OauthOperationsDeps } from './oauth-operations.ts';
import type { AnyOperation } from './operation.ts';
import { poolOperations } from './pool-operations.ts';
import { secretOperations } from './secret-operations.ts';
import { statusOperation, type StatusOptions } from './status-operation.ts';
import { usageOperations, type UsageOperationsDeps } from './usage-operations.ts';

/** What the operations need. */
export interface TableOptions
  extends
    KeyOperationsOptions,
    Omit<StatusOptions, 'accounts'>,
    OauthOperationsDeps,
    UsageOperationsDeps,
    GatewayOperationsOptions {
  readonly completer: Completer;
  readonly organizations: CredentialOrganizations;
  readonly events: EventHub;
}

/** Makes every operation. */
export function createOperations(options: TableOptions): AnyOperation[] {
  return [
    ...statusOperation(options),
    ...keyOperations(options),
    ...poolOperations(options),
    ...oauthOperations(options),
    ...secretOperations(options.vault, options.paths.secrets, options.record),
    ...usageOperations(options),
    ...completionOperations(options.completer),
    ...gatewayOperations(options),
    ...credentialOperations(options.organizations),
    ...eventOperations(options.events),
  ];
}
