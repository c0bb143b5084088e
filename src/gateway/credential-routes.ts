/**
 * `/provider-credentials` of the management API: the paths, statuses and bodies of the web app that
 * it replaces.
 *
 * Every route is an operation of the table. The operation checks the right before it reads the
 * body, so that 403 is decided before 404 and 422. The schemas here only describe the routes and
 * locate what is wrong. No answer quotes what was sent: it could be a key. Errors are `{detail,
 * request_id}`, as FastAPI has them.
 */

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { AipassError } from '../base/errors.ts';
import { isRecord, parseJson, type JsonObject } from '../base/json.ts';
import { formatRetryAfter } from '../base/retry-after.ts';
import { createFields, testFields, updateFields } from '../operations/credential-operations.ts';
import { Refusal, refusal, httpStatusOf } from './dialect-errors.ts';
import type { CallOperation } from './gateway.ts';

/** Path of all routes, below `/api/v1`. */
const BASE = '/provider-credentials';

/** Largest body, in bytes. */
const MAX_BODY_BYTES = 64 * 1024;

const requestHeaders = z.object({
  'idempotency-key': z.string().min(1).max(255).optional(),
  'x-organization': z.string().min(1).max(64).optional(),
});

const createBody = z.object(createFields);
const updateBody = z.object(updateFields);
const testBody = z.object(testFields);
const rotateBody = z.object({ api_key: z.string() });

const credentialSchema = z.object({
  id: z.uuid(),
  organization_id: z.uuid(),
  provider: z.string(),
  account_key: z.string(),
  display_name: z.string(),
  api_key_last_four: z.string().nullable(),
  has_api_key: z.boolean(),
  base_url: z.string().nullable(),
  active: z.boolean(),
  created_at: z.string(),
  updated_at: z.string(),
  revision: z.int(),
  key_id: z.string().nullable(),
});

const usageSchema = z.looseObject({
  provider: z.string(),
  account_key: z.string(),
  checked_at: z.string(),
  reachable: z.boolean(),
  error: z.string().nullable(),
  models: z.array(z.string()).nullable(),
});

/** Schema of every error of these routes. */
export const credentialErrorSchema = z.object({
  detail: z.union([
    z.string(),
    z.array(z.object({ loc: z.array(z.union([z.string(), z.int()])), msg: z.string(), type: z.string() })),
  ]),
  request_id: z.string(),
});

/** A request to one of the routes. */
interface RouteRequest {
  readonly id: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** Parsed body, or undefined where it is not a JSON object. */
  readonly body: JsonObject | undefined;
  readonly call: CallOperation;
  /** Organization that `X-Organization` names. */
  readonly organization: string | undefined;
}

/** One route: what it does, and its description in the document. */
export interface CredentialRoute {
  readonly method: 'get' | 'post' | 'patch' | 'delete';
  readonly path: string;
  readonly summary: string;
  readonly status: 200 | 201 | 204;
  readonly body?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly result: z.ZodType | null;
  readonly run: (request: RouteRequest) => Promise<unknown>;
}

/** Flags as FastAPI reads them: Python programs send `True`. */
const TRUE = /^(?:true|1|on|t|yes|y)$/i;
const FALSE = /^(?:false|0|off|f|no|n)$/i;

const flag = z
  .string()
  .regex(new RegExp(`^$|${TRUE.source}|${FALSE.source}`, 'i'), 'is neither true nor false')
  .optional();

export const CREDENTIAL_ROUTES: readonly CredentialRoute[] = [
  {
    method: 'get',
    path: BASE,
    summary: 'Lists the credentials of an organization by provider and account key. For members.',
    status: 200,
    query: z.object({
      provider: z.string().min(1).max(64).optional(),
      active: flag,
      limit: z
        .string()
        .regex(/^0*(?:[1-9]\d{0,3}|10000)$/, 'is not a number from 1 to 10000')
        .optional(),
      after: z.uuid().optional(),
    }),
    result: z.array(credentialSchema),
    run: async ({ call, query, organization }) => {
      const { credentials } = await call('credential.list', {
        organization,
        provider: query.get('provider') ?? undefined,
        active: readFlag(query.get('active')),
        limit: readLimit(query.get('limit')),
        after: query.get('after') ?? undefined,
      });
      return credentials;
    },
  },
  {
    method: 'post',
    path: BASE,
    summary: 'Creates a credential. For admins. Repeat it safely with Idempotency-Key.',
    status: 201,
    body: createBody,
    result: credentialSchema,
    run: ({ call, body, headers, organization }) =>
      call('credential.create', {
        ...pick(createBody, body),
        organization,
        idempotency_key: headers.get('idempotency-key') ?? undefined,
      }),
  },
  {
    method: 'post',
    path: `${BASE}/test`,
    summary:
      'Asks the provider about a credential that is not saved. A bad key is 200 with reachable false. For admins.',
    status: 200,
    body: testBody,
    result: usageSchema,
    run: ({ call, body, organization }) => call('credential.test', { ...pick(testBody, body), organization }),
  },
  {
    method: 'get',
    path: `${BASE}/{id}`,
    summary: 'Returns a credential. For members.',
    status: 200,
    result: credentialSchema,
    run: ({ call, id, organization }) => call('credential.get', { id, organization }),
  },
  {
    method: 'patch',
    path: `${BASE}/{id}`,
    summary:
      "Changes a credential: absent and null leave a field, '' clears it. For admins. If-Match takes the revision.",
    status: 200,
    body: updateBody,
    result: credentialSchema,
    run: ({ call, id, body, headers, organization }) =>
      call('credential.update', {
        ...pick(updateBody, body),
        // Both are refused by the operation's schema: they cannot change.
        ...pickFixed(body),
        id,
        organization,
        if_revision: readRevision(headers.get('if-match')),
      }),
  },
  {
    method: 'delete',
    path: `${BASE}/{id}`,
    summary: 'Deletes a credential and its key. For admins. If-Match takes the revision.',
    status: 204,
    result: null,
    run: async ({ call, id, headers, organization }) => {
      await call('credential.delete', { id, organization, if_revision: readRevision(headers.get('if-match')) });
      return null;
    },
  },
  {
    method: 'get',
    path: `${BASE}/{id}/usage`,
    summary:
      'Returns what the provider reports about a credential. For members; refresh and sample need the right to use it.',
    status: 200,
    query: z.object({ refresh: flag, sample: flag }),
    result: usageSchema,
    run: ({ call, id, query, organization }) =>
      call('credential.usage', {
        id,
        organization,
        refresh: readFlag(query.get('refresh')),
        sample: readFlag(query.get('sample')),
      }),
  },
  {
    method: 'post',
    path: `${BASE}/{id}/rotate`,
    summary: 'Replaces the key after the provider accepted the new one. For admins. If-Match takes the revision.',
    status: 200,
    body: rotateBody,
    result: credentialSchema,
    run: ({ call, id, body, headers, organization }) =>
      call('credential.rotate', {
        ...pick(rotateBody, body),
        id,
        organization,
        if_revision: readRevision(headers.get('if-match')),
      }),
  },
];

/**
 * Answers a request to one of the routes of a path.
 *
 * @throws what is not an AipassError.
 */
export async function answerCredentialRequest(
  routes: readonly CredentialRoute[],
  raw: Request,
  { id, call }: Pick<RouteRequest, 'id' | 'call'>,
): Promise<Response> {
  const requestId = randomUUID();
  const method = raw.method === 'HEAD' ? 'get' : raw.method.toLowerCase();
  const route = routes.find((one) => one.method === method);
  if (!route) {
    const allow = routes
      .flatMap((one) => (one.method === 'get' ? ['GET', 'HEAD'] : [one.method.toUpperCase()]))
      .join(', ');
    return answer(405, { detail: 'Method Not Allowed' }, requestId, { allow });
  }
  const { headers } = raw;
  const body = route.body ? readBody(Buffer.from(await raw.arrayBuffer()), headers.get('content-type')) : {};
  if (body instanceof Refusal) return answer(body.status, { detail: body.message }, requestId);
  const organization = headers.get('x-organization') ?? undefined;
  const request = { id, query: new URL(raw.url).searchParams, headers, body, call, organization };
  try {
    return answer(route.status, await route.run(request), requestId);
  } catch (error) {
    if (!(error instanceof AipassError)) throw error;
    return refuse(error, route, request, requestId);
  }
}

/**
 * Returns the JSON object of a body, or undefined where it is not one: the operation then decides
 * between 403 and 422.
 */
function readBody(bytes: Buffer, type: string | null): JsonObject | Refusal | undefined {
  if (bytes.length > MAX_BODY_BYTES) {
    return refusal(413, 'BAD_REQUEST', `the body is longer than ${MAX_BODY_BYTES} bytes`, 'shorten it');
  }
  if (bytes.length > 0 && !/^application\/(?:[\w.-]+\+)?json\b/i.test(type ?? '')) {
    return refusal(415, 'BAD_REQUEST', 'the body has to be application/json', 'send its Content-Type');
  }
  const value = parseJson(bytes.toString('utf8'));
  return isRecord(value) ? value : undefined;
}

/**
 * Returns the fields of a body that a schema knows, unchecked: the operation checks them after the
 * right.
 */
function pick<Shape extends z.ZodObject>(schema: Shape, body: JsonObject | undefined): z.infer<Shape> {
  const known = Object.keys(schema.shape);
  // What is not an object becomes one that the operation's schema refuses, too.
  const sent = body ? Object.entries(body).filter(([name]) => known.includes(name)) : [['body', null]];
  // A copy, whose type is only claimed here: the operation's own schema is the check.
  const fields: z.infer<Shape> = JSON.parse(JSON.stringify(Object.fromEntries(sent)));
  return fields;
}

/** Returns the fields that cannot change, where they were sent. */
function pickFixed(body: JsonObject | undefined): object {
  return Object.fromEntries(
    Object.entries(body ?? {}).filter(([name]) => name === 'provider' || name === 'account_key'),
  );
}

/**
 * Returns a flag; one that is neither true nor false stays a text, which the operation's schema
 * refuses after the right.
 */
function readFlag(text: string | null): boolean | undefined {
  if (text === null) return undefined;
  if (text === '' || TRUE.test(text)) return true;
  if (FALSE.test(text)) return false;
  // Only its type is claimed here.
  const value: boolean = JSON.parse(JSON.stringify(text));
  return value;
}

function readLimit(text: string | null): number | undefined {
  if (text === null) return undefined;
  return /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
}

/**
 * Returns the revisions of an `If-Match` header (RFC 9110 §13.1.1), with or without quotes; `*`
 * matches every one, any other text none.
 */
function readRevision(text: string | null): number[] | undefined {
  if (text === null) return undefined;
  const tags = text.split(',').map((tag) => tag.trim().replace(/^W\//, '').replaceAll('"', ''));
  if (tags.length === 1 && tags[0] === '*') return undefined;
  return tags.map((tag) => (/^[1-9]\d{0,14}$/.test(tag) ? Number(tag) : Number.MAX_SAFE_INTEGER));
}

/** Answers with an error in the form of the credentials API. */
function refuse(error: AipassError, route: CredentialRoute, request: RouteRequest, requestId: string): Response {
  const retry = error.retryAfterMs === undefined ? {} : { 'retry-after': formatRetryAfter(error.retryAfterMs) };
  switch (error.code) {
    case 'BAD_REQUEST':
      if (error.retryAfterMs !== undefined) return answer(429, { detail: error.message }, requestId, retry);
      return answer(422, { detail: locate(error, route, request) }, requestId);
    case 'UNSUPPORTED':
    case 'PROVIDER_REJECTED':
      return answer(422, { detail: error.message }, requestId);
    case 'CONFLICT':
      return answer(
        request.headers.has('if-match') && /revision/.test(error.message) ? 412 : 409,
        { detail: error.message },
        requestId,
      );
    case 'NOT_FOUND':
      return answer(404, { detail: 'Not Found' }, requestId);
    default:
      return answer(httpStatusOf(error), { detail: error.message }, requestId, retry);
  }
}

/**
 * Returns where a request is wrong, as FastAPI reports it but without the input; a text where only
 * the operation knows.
 */
function locate(error: AipassError, { body, query, path }: CredentialRoute, request: RouteRequest): unknown {
  const problems: { readonly loc: readonly (string | number)[]; readonly msg: string; readonly type: string }[] = [];
  const check = (place: string, schema: z.ZodType | undefined, value: unknown): void => {
    const outcome = schema?.safeParse(value);
    for (const issue of outcome?.error?.issues ?? []) {
      const loc = [place, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
      problems.push({ loc, msg: issue.message, type: issue.code });
    }
  };
  if (path.includes('{id}')) check('path', z.object({ id: z.uuid() }), { id: request.id });
  check('header', requestHeaders, Object.fromEntries(request.headers));
  check('query', query, Object.fromEntries(request.query));
  if (body && request.body === undefined) {
    problems.push({ loc: ['body'], msg: 'the body is not a JSON object', type: 'json_invalid' });
  } else check('body', body, request.body);
  for (const name of Object.keys(pickFixed(path.includes('{id}') ? request.body : undefined))) {
    problems.push({ loc: ['body', name], msg: `${name} cannot be changed`, type: 'frozen_field' });
  }
  if (problems.length > 0) return problems;
  const field = /^(api_key|account_key|display_name|base_url|refresh): (.*)$/s.exec(error.message);
  if (field) return [{ loc: ['body', field[1] ?? ''], msg: field[2] ?? '', type: 'value_error' }];
  return error.message;
}

function answer(
  status: number,
  body: unknown,
  requestId: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const isError = status >= 400;
  const document = isError && isRecord(body) ? { ...body, request_id: requestId } : body;
  return new Response(document === null ? null : JSON.stringify(document), {
    status,
    headers: {
      ...(document === null ? {} : { 'content-type': 'application/json' }),
      'x-request-id': requestId,
      'cache-control': 'no-store',
      // What If-Match takes.
      ...(isRecord(document) && typeof document['revision'] === 'number' ? { etag: `"${document['revision']}"` } : {}),
      ...headers,
    },
  });
}
