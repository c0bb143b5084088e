/**
 * What an operation is: a name, a schema, a right and a handler. The table of them all is table.ts.
 */

import type { z } from 'zod';
import type { Caller } from '../callers/caller.ts';
import type { Right } from '../callers/rights.ts';
import type { OperationName, Operations } from '../protocol/operations.ts';

/** Is what a handler knows of the request besides its parameters. */
export interface OperationContext {
  readonly caller: Caller;
  /** Aborts when the caller cancels, goes away, or the daemon stops; its reason is an AipassError. */
  readonly signal: AbortSignal;
  /** Aborts when the caller's connection closes: what was lent to it ends then, also after the reply. */
  readonly closed: AbortSignal;
  /** Sends one chunk; the promise, where there is one, resolves when the caller has room for the next. */
  readonly emit: (chunk: unknown) => Promise<void> | void;
  /** Sends an event to the caller, also after the reply. */
  readonly notify: (event: string, data: unknown) => void;
}

/** Is one thing that can be asked for. */
export interface Operation<Name extends OperationName = OperationName> {
  readonly name: Name;
  /** Is checked before the handler runs, and before the parameters are looked at. */
  readonly right: Right;
  readonly schema: z.ZodType<Operations[Name]['params']>;
  handle(
    params: Operations[Name]['params'],
    context: OperationContext,
  ): Promise<Operations[Name]['result']> | Operations[Name]['result'];
}

/** Is an operation whose types the table no longer tells apart; the schema still guards its handler. */
export interface AnyOperation {
  readonly name: OperationName;
  readonly right: Right;
  readonly schema: z.ZodType;
  handle(params: unknown, context: OperationContext): unknown;
}

/** Defines an operation; exists so that its parameters and result are checked against protocol/operations.ts. */
export function defineOperation<Name extends OperationName>(operation: Operation<Name>): AnyOperation {
  return operation;
}
