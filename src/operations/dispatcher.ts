/**
 * Dispatches every request: name → right → schema → handler → right again → outcome. A right that
 * was taken away while a handler worked brings nothing more: the request is ended, and whatever it
 * still returns does not leave.
 *
 * No request can end the daemon: an exception of a handler becomes an outcome here.
 */

import type { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { nearest } from '../base/nearest.ts';
import { plainText } from '../base/plain-text.ts';
import { maskKeyShapes } from '../base/redactor.ts';
import { readString } from '../base/json.ts';
import type { Caller } from '../callers/caller.ts';
import { type Right, scopeOf } from '../callers/access.ts';
import { DEFAULT_ORGANIZATION } from '../protocol/credential.ts';
import type { OperationName, Operations } from '../protocol/operations.ts';
import type { AnyOperation, OperationContext, OrganizationReach, RequestContext } from './operation.ts';

export type DispatchOutcome =
  { readonly kind: 'done'; readonly result: unknown } | { readonly kind: 'failed'; readonly error: AipassError };

/** Runs one request; returns no promise if the handler returned none. Never throws or rejects. */
export type Dispatch = (
  op: string,
  params: unknown,
  context: RequestContext,
) => DispatchOutcome | Promise<DispatchOutcome>;

/**
 * Records the outcome of a request for an organization; `params` is undefined if they are invalid.
 *
 * @throws AipassError INTERNAL if the audit cannot be written.
 */
export type RecordRequest = (
  operation: AnyOperation,
  params: unknown,
  context: Pick<RequestContext, 'caller'>,
  outcome: DispatchOutcome,
  organization: string,
) => void;

/**
 * Runs an operation for another endpoint of this process.
 *
 * @throws AipassError as the operation failed.
 */
export async function callOperation<Name extends OperationName>(
  dispatch: Dispatch,
  name: Name,
  params: Operations[Name]['params'],
  context: RequestContext,
): Promise<Operations[Name]['result']> {
  const outcome = await dispatch(name, params, context);
  if (outcome.kind === 'failed') throw outcome.error;
  const { result } = outcome;
  assertResultOf(name, result);
  return result;
}

/** Restores the type of a result, which the compiler checked where the handler was written. */
function assertResultOf<Name extends OperationName>(
  _name: Name,
  _result: unknown,
): asserts _result is Operations[Name]['result'] {}

export interface DispatcherDeps {
  readonly logger: Logger;
  readonly audit: RecordRequest;
  /** Calls back after rights may have shrunk; without it only results are checked again. */
  readonly onRightsChange?: (recheck: () => void) => void;
}

/** Where a request needs its right; what the caller joins or leaves later does not move it. */
interface Place {
  readonly organization: string;
  /** Undefined for an operation that knows no organizations. */
  readonly reach: OrganizationReach | undefined;
}

const DAEMON: Place = { organization: DEFAULT_ORGANIZATION, reach: undefined };

/** A request whose handler returned a promise. */
interface RunningRequest {
  readonly operation: AnyOperation;
  readonly place: Place;
  readonly context: RequestContext;
}

/** Maximum number of elements of a list or an object among the parameters. */
const MAX_ELEMENTS = 20_000;

/** Maximum number of problems that one error lists. */
const MAX_ISSUES = 5;

export function createDispatcher(
  operations: Readonly<Record<string, Omit<AnyOperation, 'name'>>>,
  { logger, audit, onRightsChange }: DispatcherDeps,
): Dispatch {
  const table = new Map(
    Object.entries(operations).map(([name, operation]): [string, AnyOperation] => [name, { ...operation, name }]),
  );

  const fail = (op: string, error: unknown, context: RequestContext): DispatchOutcome => {
    // The answer to an aborted request is the reason of the abort.
    const reason: unknown = context.signal.aborted ? context.signal.reason : error;
    if (reason instanceof AipassError) return { kind: 'failed', error: maskError(reason) };
    logger.error(`the operation ${op} failed`, { error: reason });
    return {
      kind: 'failed',
      error: new AipassError('INTERNAL', `the operation ${op} failed`, { hint: 'see the log of the daemon' }),
    };
  };

  /** Audits an outcome. If that fails, the request fails: nothing leaves unaudited. */
  const audited = (
    operation: AnyOperation,
    params: unknown,
    context: RequestContext,
    outcome: DispatchOutcome,
    organization: string,
  ): DispatchOutcome => {
    const code = outcome.kind === 'failed' ? outcome.error.code : undefined;
    logger.debug('answered a request', { operation: operation.name, caller: context.caller.name, code });
    try {
      audit(operation, params, context, outcome, organization);
      return outcome;
    } catch (error) {
      return fail(operation.name, error, context);
    }
  };

  /** Requests whose handlers returned a promise. */
  const running = new Set<RunningRequest>();
  onRightsChange?.(() => {
    for (const { operation, place, context } of running) {
      try {
        requireRight(operation, place, context, operation.right);
      } catch (error) {
        if (error instanceof AipassError) context.abort(error);
      }
    }
  });

  /** Waits for a handler. Its result leaves only if the caller still has the right. */
  const settle = async (request: RunningRequest, result: Promise<unknown>): Promise<DispatchOutcome> => {
    const { operation, place, context } = request;
    running.add(request);
    try {
      const value = await result;
      requireRight(operation, place, context, operation.right);
      return { kind: 'done', result: value };
    } catch (error) {
      return fail(operation.name, error, context);
    } finally {
      running.delete(request);
    }
  };

  return (op, params, context) => {
    const operation = table.get(op);
    if (!operation) return fail(op, unknownOperation(op, table.keys()), context);
    let known: unknown;
    let place = DAEMON;
    try {
      place = placeOf(operation, params, context);
      requireRight(operation, place, context, operation.right);
      assertBounded(op, params);
      const parsed = operation.schema.safeParse(params ?? {});
      if (!parsed.success) throw badParameters(op, parsed.error);
      known = parsed.data;
      const result = operation.handle(known, new HandlerContext(operation, place, context));
      if (!(result instanceof Promise))
        return audited(operation, known, context, { kind: 'done', result }, place.organization);
      return settle({ operation, place, context }, result).then((outcome) =>
        audited(operation, known, context, outcome, place.organization),
      );
    } catch (error) {
      return audited(operation, known, context, fail(op, error, context), place.organization);
    }
  };
}

/** Context of a handler. What few handlers need is made when it is asked for. */
class HandlerContext implements OperationContext<unknown> {
  readonly organization: string;
  readonly caller: Caller;
  readonly #operation: AnyOperation;
  readonly #place: Place;
  readonly #request: RequestContext;

  constructor(operation: AnyOperation, place: Place, request: RequestContext) {
    this.organization = place.organization;
    this.caller = request.caller;
    this.#operation = operation;
    this.#place = place;
    this.#request = request;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get closed(): AbortSignal {
    return this.#request.closed;
  }

  get emit(): OperationContext<unknown>['emit'] {
    return (chunk) => this.#request.emit(chunk);
  }

  get notify(): OperationContext['notify'] {
    return (event, data) => {
      requireRight(this.#operation, this.#place, this.#request, this.#operation.right);
      this.#request.notify(event, data);
    };
  }

  get currentRights(): OperationContext['currentRights'] {
    return () => this.#request.currentRights();
  }

  get requireRight(): OperationContext['requireRight'] {
    return (right) => {
      requireRight(this.#operation, this.#place, this.#request, right);
    };
  }
}

/**
 * Checks that the caller has a right where its request needs it, now.
 *
 * @throws AipassError FORBIDDEN without the right.
 */
function requireRight(operation: AnyOperation, place: Place, context: RequestContext, right: Right): void {
  if (hasRight(place, context, right)) return;
  throw new AipassError('FORBIDDEN', `${operation.name} needs the right "${right}"`, {
    hint: 'ask the owner of this daemon for it',
  });
}

function hasRight({ organization, reach }: Place, context: RequestContext, right: Right): boolean {
  const { rights, organizations } = context.currentRights();
  if (reach === undefined) return rights.has(right);
  if (reach === 'any') return [...organizations.values()].some((own) => own.has(right));
  return organizations.get(organization)?.has(right) === true;
}

/**
 * Returns where a request needs its right.
 *
 * @throws AipassError NOT_FOUND for an organization that is not one of the caller's own.
 */
function placeOf({ inOrganization }: AnyOperation, params: unknown, context: RequestContext): Place {
  const reach = typeof inOrganization === 'function' ? inOrganization(params) : inOrganization;
  if (reach !== true) return { ...DAEMON, reach };
  const { slug } = scopeOf(context.currentRights().organizations, readString(params, 'organization'));
  return { organization: slug, reach };
}

/**
 * Masks key-shaped text in an error, which may quote a key that the caller put where a name
 * belongs. Held values are not consulted: a mask would reveal that a guess is part of a secret.
 * Texts of providers are redacted where they are read.
 */
function maskError(error: AipassError): AipassError {
  const message = maskKeyShapes(error.message);
  const hint = error.hint === undefined ? undefined : maskKeyShapes(error.hint);
  if (message === error.message && hint === error.hint) return error;
  return new AipassError(error.code, message, { hint, retryAfterMs: error.retryAfterMs });
}

function unknownOperation(op: string, known: Iterable<string>): AipassError {
  const near = nearest(plainText(op, 64), known);
  return new AipassError('BAD_REQUEST', `unknown operation "${plainText(op, 64)}"`, {
    hint: near === undefined ? 'see docs/protocol.md for the operations' : `did you mean "${near}"?`,
  });
}

/** Rejects huge parameters: a schema would list millions of wrong elements. */
function assertBounded(op: string, params: unknown): void {
  if (typeof params !== 'object' || params === null) return;
  const fields: readonly unknown[] = Object.values(params);
  if (fields.length <= MAX_ELEMENTS && !fields.some(hasManyElements)) return;
  throw new AipassError('BAD_REQUEST', `${op}: a parameter has more than ${MAX_ELEMENTS} elements`, {
    hint: 'send fewer',
  });
}

function hasManyElements(field: unknown): boolean {
  if (typeof field !== 'object' || field === null) return false;
  return (Array.isArray(field) ? field.length : Object.keys(field).length) > MAX_ELEMENTS;
}

function badParameters(op: string, error: z.ZodError): AipassError {
  const problems = error.issues.slice(0, MAX_ISSUES).map((issue) => {
    const place = issue.path.map(String).join('.');
    return plainText(place === '' ? issue.message : `"${place}": ${issue.message}`, 200);
  });
  return new AipassError('BAD_REQUEST', `${op}: ${problems.join('; ')}`, { hint: `correct the parameters of ${op}` });
}
