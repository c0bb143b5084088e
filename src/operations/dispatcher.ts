/**
 * The way of every request through the table: name → right → schema → handler → outcome. Both doors use it.
 *
 * No request can end the daemon: whatever a handler throws becomes an outcome here.
 */

import type { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { nearest } from '../base/nearest.ts';
import { plainText } from '../base/plain-text.ts';
import type { Redactor } from '../base/redactor.ts';
import type { AnyOperation, OperationContext } from './operation.ts';

/** Is how a request ended. */
export type DispatchOutcome =
  { readonly kind: 'done'; readonly result: unknown } | { readonly kind: 'failed'; readonly error: AipassError };

/** Runs one request; answers without a promise where the handler did. Never throws or rejects. */
export type Dispatch = (
  op: string,
  params: unknown,
  context: OperationContext,
) => DispatchOutcome | Promise<DispatchOutcome>;

/**
 * Records how a request ended; `params` is undefined where they were not understood.
 *
 * @throws AipassError INTERNAL where the audit takes no more lines.
 */
export type RecordRequest = (
  operation: AnyOperation,
  params: unknown,
  context: Pick<OperationContext, 'caller'>,
  outcome: DispatchOutcome,
) => void;

/** Is what a dispatcher needs besides the table. */
export interface DispatcherParts {
  readonly logger: Logger;
  /** Has the last word on every error that leaves: a caller may have put a key where a name belongs. */
  readonly redactor: Redactor;
  readonly audit: RecordRequest;
}

/** Is the most elements that a list or an object among the parameters may have. */
const MAX_ELEMENTS = 20_000;

/** Is the most problems of one request's parameters that are named. */
const MAX_ISSUES = 5;

/**
 * Makes the dispatcher of a table.
 *
 * @throws Error when two operations have the same name.
 */
export function createDispatcher(operations: readonly AnyOperation[], parts: DispatcherParts): Dispatch {
  const { logger, redactor, audit } = parts;
  const table = new Map<string, AnyOperation>();
  for (const operation of operations) {
    if (table.has(operation.name)) throw new Error(`two operations are called ${operation.name}`);
    table.set(operation.name, operation);
  }

  const fail = (op: string, error: unknown, context: OperationContext): DispatchOutcome => {
    // Whatever an aborted handler throws, the reason of the abort is the answer.
    const reason: unknown = context.signal.aborted ? context.signal.reason : error;
    if (reason instanceof AipassError) return { kind: 'failed', error: redactError(reason, redactor) };
    logger.error(`the operation ${op} failed`, { error: reason });
    return {
      kind: 'failed',
      error: new AipassError('INTERNAL', `the operation ${op} failed`, { hint: 'the log of the daemon has more' }),
    };
  };

  /** Puts the end of a request into the audit; what cannot be put there did not happen, as far as its caller can tell. */
  const audited = (
    operation: AnyOperation,
    params: unknown,
    context: OperationContext,
    outcome: DispatchOutcome,
  ): DispatchOutcome => {
    try {
      audit(operation, params, context, outcome);
      return outcome;
    } catch (error) {
      return fail(operation.name, error, context);
    }
  };

  return (op, params, context) => {
    const operation = table.get(op);
    if (!operation) return fail(op, unknownOperation(op, table.keys()), context);
    let known: unknown;
    try {
      if (!context.caller.rights.has(operation.right)) {
        throw new AipassError('FORBIDDEN', `${op} needs the right "${operation.right}"`, {
          hint: 'ask the owner of this daemon for it',
        });
      }
      assertModest(op, params);
      const parsed = operation.schema.safeParse(params ?? {});
      if (!parsed.success) throw badParameters(op, parsed.error);
      known = parsed.data;
      const result = operation.handle(known, context);
      if (!(result instanceof Promise)) return audited(operation, known, context, { kind: 'done', result });
      return result.then(
        (value: unknown) => audited(operation, known, context, { kind: 'done', result: value }),
        (error: unknown) => audited(operation, known, context, fail(op, error, context)),
      );
    } catch (error) {
      return audited(operation, known, context, fail(op, error, context));
    }
  };
}

function redactError(error: AipassError, redactor: Redactor): AipassError {
  const message = redactor.redact(error.message);
  const hint = error.hint === undefined ? undefined : redactor.redact(error.hint);
  if (message === error.message && hint === error.hint) return error;
  return new AipassError(error.code, message, { hint, retryAfterMs: error.retryAfterMs });
}

function unknownOperation(op: string, known: Iterable<string>): AipassError {
  const near = nearest(plainText(op, 64), known);
  return new AipassError('BAD_REQUEST', `unknown operation "${plainText(op, 64)}"`, {
    hint: near === undefined ? 'see the README for the operations' : `did you mean "${near}"?`,
  });
}

/** Refuses what no request needs: a schema names every element that is wrong, and millions of them would hold up everybody. */
function assertModest(op: string, params: unknown): void {
  const fields: readonly unknown[] = typeof params === 'object' && params !== null ? Object.values(params) : [];
  for (const field of [params, ...fields.slice(0, MAX_ELEMENTS)]) {
    if (typeof field !== 'object' || field === null) continue;
    const size = Array.isArray(field) ? field.length : Object.keys(field).length;
    if (size <= MAX_ELEMENTS) continue;
    throw new AipassError('BAD_REQUEST', `${op}: a parameter has more than ${MAX_ELEMENTS} elements`, {
      hint: 'send fewer',
    });
  }
}

function badParameters(op: string, error: z.ZodError): AipassError {
  const problems = error.issues.slice(0, MAX_ISSUES).map((issue) => {
    const place = issue.path.map(String).join('.');
    return plainText(place === '' ? issue.message : `"${place}": ${issue.message}`, 200);
  });
  return new AipassError('BAD_REQUEST', `${op}: ${problems.join('; ')}`, { hint: `correct the parameters of ${op}` });
}
