/**
 * Definition of an operation: a schema, a right and a handler. Its name is its place in the table.
 */

import { z } from 'zod';
import type { AipassError } from '../base/errors.ts';
import type { Caller } from '../callers/caller.ts';
import type { Right } from '../callers/access.ts';
import type { ChunkOf, OperationName, Operations } from '../protocol/operations.ts';

/** Parameters about an organization; whether it is one of the caller's was decided before. */
export const organizationParams = { organization: z.string().min(1).max(64).optional() };

/** Parameters about one provider of an organization, or all. */
export const providerParams = { ...organizationParams, provider: z.string().min(1).max(64).optional() };

/** Context of a request, from its endpoint. */
export interface RequestContext {
  readonly caller: Caller;
  /** Returns the caller's rights now; those in `caller` are of the time of the request. */
  currentRights(): Pick<Caller, 'rights' | 'organizations'>;
  /** Aborts `signal` with an error that the caller receives. */
  abort(reason: AipassError): void;
  /** Aborts with an AipassError when the caller leaves or loses the right, or at a stop. */
  readonly signal: AbortSignal;
  /** Aborts when the caller's connection closes, also after the reply: leases end then. */
  readonly closed: AbortSignal;
  /** Sends one chunk; a returned promise resolves when the caller can take the next. */
  emit(chunk: unknown): Promise<void> | void;
  /** Sends an event to the caller, also after the reply; its right is checked by then. */
  notify(event: string, data: unknown): void;
}

/** Context of a handler, beside the parameters; its functions can be destructured. */
export interface OperationContext<Chunk = never> extends Pick<RequestContext, 'caller' | 'signal' | 'closed'> {
  readonly emit: (chunk: Chunk) => Promise<void> | void;
  /** Sends an event to the caller; throws FORBIDDEN once it has lost the operation's right. */
  readonly notify: (event: string, data: unknown) => void;
  readonly currentRights: () => Pick<Caller, 'rights' | 'organizations'>;
  /** Organization of the request; `default` for operations that know no organizations. */
  readonly organization: string;
  /** Throws FORBIDDEN unless the caller has the right in that organization, now. */
  readonly requireRight: (right: Right) => void;
}

/**
 * Where the caller of an operation needs its right: in the organization that the parameter
 * `organization` names, or in any of the caller's.
 */
export type OrganizationReach = true | 'any';

export interface OperationAudit<Params, Result> {
  /** Effect of a success: a value leaves the daemon, or something changes. */
  readonly outcome: 'released' | 'changed';
  /** Returns the name of the credential; the result is undefined after a failure. */
  credential(params: Params, result: Result | undefined): string | null;
  /** Returns whether a success changed nothing, such as a dry run; then it is not audited. */
  hasChangedNothing?(params: Params, result: Result): boolean;
  /** Returns what a success changed, such as names of fields; never a value. */
  detail?(params: Params): string;
}

export interface Operation<Name extends OperationName> {
  /** Required right; checked before the parameters, and again before a late result leaves. */
  readonly right: Right;
  readonly schema: z.ZodType<Operations[Name]['params']>;
  /** A function where it depends on the parameters, which are not checked yet. */
  readonly inOrganization?: OrganizationReach | ((params: unknown) => OrganizationReach);
  /** Present for what releases a value or changes something; of others refusals are audited. */
  readonly audit?: OperationAudit<Operations[Name]['params'], Operations[Name]['result']>;
  handle(
    params: Operations[Name]['params'],
    context: OperationContext<ChunkOf<Name>>,
  ): Promise<Operations[Name]['result']> | Operations[Name]['result'];
}

/** The operations whose names begin with these words: each that the protocol has, and no other. */
export type OperationGroup<Word extends string> = {
  readonly [Name in OperationName as Name extends `${Word}.${string}` ? Name : never]: Operation<Name>;
};

/** An operation without its parameter types; its schema guards the handler. */
export interface AnyOperation {
  readonly name: string;
  readonly right: Right;
  readonly schema: z.ZodType;
  readonly inOrganization?: OrganizationReach | ((params: unknown) => OrganizationReach);
  readonly audit?: OperationAudit<unknown, unknown>;
  handle(params: unknown, context: OperationContext<unknown>): unknown;
}
