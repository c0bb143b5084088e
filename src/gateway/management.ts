/**
 * The management API below `/api/v1`, and its OpenAPI document. Owns the packages hono and
 * @hono/zod-openapi, which are loaded with the first request: most daemons never get one.
 *
 * Every route is an operation of the table, run with the rights of the caller. A route is declared
 * with its schemas, and the document is made of the declarations.
 */

import { createRoute, OpenAPIHono, z, type RouteConfig } from '@hono/zod-openapi';
import type { Clock } from '../base/clock.ts';
import { AipassError } from '../base/errors.ts';
import { plainText } from '../base/plain-text.ts';
import {
  answerCredentialRequest,
  CREDENTIAL_ROUTES,
  credentialErrorSchema,
  type CredentialRoute,
} from './credential-routes.ts';
import { formatError, type GatewayAnswer } from './dialect-errors.ts';
import type { ManagementRequest } from './gateway.ts';

/** Type of `context.env`. */
export interface ManagementEnv {
  readonly Bindings: Pick<ManagementRequest, 'call' | 'oauthAccounts'>;
}

/** The application; further routes are added to it by `openapi(route, handler)`. */
export type ManagementApp = OpenAPIHono<ManagementEnv>;

const errorSchema = z
  .object({
    error: z.object({
      code: z.string().openapi({ example: 'NOT_FOUND' }),
      message: z.string(),
      hint: z.string().optional().openapi({ description: 'What to do about it.' }),
      retryAfterMs: z.number().optional(),
    }),
  })
  .openapi('Error');

const statusSchema = z
  .looseObject({
    version: z.string(),
    pid: z.number(),
    startedAt: z.number().openapi({ description: 'Epoch milliseconds.' }),
    uptimeMs: z.number(),
    connections: z.number(),
    requestsInFlight: z.number(),
    defaultProvider: z.string(),
    providers: z.array(z.looseObject({ name: z.string() })),
    pools: z.array(z.looseObject({ provider: z.string() })),
    accounts: z.array(z.looseObject({ name: z.string(), state: z.string() })),
    warnings: z.array(z.object({ subject: z.string(), problem: z.string(), hint: z.string() })),
  })
  .openapi('Status');

/** Response that every route may give. */
export const FAILED = {
  default: { description: 'Failed.', content: { 'application/json': { schema: errorSchema } } },
} as const;

const statusRoute = createRoute({
  method: 'get',
  path: '/status',
  summary: 'State of the daemon, without secrets. Needs the right "see".',
  responses: {
    200: { description: 'The status.', content: { 'application/json': { schema: statusSchema } } },
    ...FAILED,
  },
});

const account = z.object({
  name: z
    .string()
    .max(64)
    .openapi({ param: { name: 'name', in: 'path' }, example: 'google' }),
});

const subjectRoute = createRoute({
  method: 'get',
  path: '/oauth/{name}/subject',
  summary: 'Subject token of an external_account file: a label, which the next step exchanges.',
  request: { params: account },
  responses: {
    200: {
      description: 'The label.',
      content: { 'application/json': { schema: z.object({ id_token: z.string() }).openapi('Subject') } },
    },
    ...FAILED,
  },
});

const exchangeRoute = createRoute({
  method: 'post',
  path: '/oauth/{name}/token',
  summary: 'Access token of an OAuth account, as the answer of a token exchange (RFC 8693). Needs the right "reveal".',
  request: { params: account },
  responses: {
    200: {
      description: 'The token.',
      content: {
        'application/json': {
          schema: z
            .object({
              access_token: z.string(),
              issued_token_type: z.literal('urn:ietf:params:oauth:token-type:access_token'),
              token_type: z.literal('Bearer'),
              expires_in: z.number(),
            })
            .openapi('ExchangedToken'),
        },
      },
    },
    ...FAILED,
  },
});

/** Lifetime that is reported of a token that does not expire, in seconds. */
const LASTING_S = 3600;

/** Throws unless the caller's token was made for that account. */
function assertMayHave(oauthAccounts: ReadonlySet<string> | null, name: string): void {
  if (oauthAccounts === null || oauthAccounts.has(name)) return;
  throw new AipassError('FORBIDDEN', 'this token is not for that account', {
    hint: `name it: aipassd exec --google ${plainText(name, 64)} -- program`,
  });
}

/** Creates the application. */
export function createManagementApp(version: string, clock: Pick<Clock, 'now'>): ManagementApp {
  const app: ManagementApp = new OpenAPIHono<ManagementEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      const problems = result.error.issues.slice(0, 5).map(({ path, message }) => `"${path.join('.')}": ${message}`);
      throw new AipassError('BAD_REQUEST', problems.join('; '), { hint: 'see /api/v1/openapi.json' });
    },
  });
  app.openapi(statusRoute, async ({ env, json }) => {
    // hono's types know only JSON that may be changed.
    const status: z.infer<typeof statusSchema> = JSON.parse(JSON.stringify(await env.call('status.get', {})));
    return json(status, 200);
  });
  addCredentialRoutes(app);
  app.openapi(subjectRoute, ({ env, req, json }) => {
    const { name } = req.valid('param');
    assertMayHave(env.oauthAccounts, name);
    return json({ id_token: name }, 200);
  });
  app.openapi(exchangeRoute, async ({ env, req, json }) => {
    const { name } = req.valid('param');
    assertMayHave(env.oauthAccounts, name);
    const { accessToken, expiresAt } = await env.call('token.get', { name });
    const expiresIn = expiresAt === null ? LASTING_S : Math.max(0, Math.floor((expiresAt - clock.now()) / 1000));
    const issued = 'urn:ietf:params:oauth:token-type:access_token' as const;
    const token = {
      access_token: accessToken,
      issued_token_type: issued,
      token_type: 'Bearer' as const,
      expires_in: expiresIn,
    };
    return json(token, 200, { 'cache-control': 'no-store' });
  });
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'aipassd management API', version },
    servers: [{ url: '/api/v1' }],
  });
  refuseOtherMethods(app);
  app.notFound(() => {
    throw new AipassError('NOT_FOUND', 'the management API has no such path', { hint: 'see /api/v1/openapi.json' });
  });
  app.onError((error) => {
    if (!(error instanceof AipassError)) throw error;
    const { status, headers, body } = formatError(error, 'aipassd');
    return new Response(body, { status, headers });
  });
  return app;
}

/** Answers 405 to every method that a path is not declared for. To be called after the routes. */
function refuseOtherMethods(app: ManagementApp): void {
  for (const [path, routes] of Map.groupBy(app.routes, (route) => route.path)) {
    const methods = new Set(routes.map(({ method }) => method));
    if (methods.has('ALL')) continue;
    const allow = [...methods, ...(methods.has('GET') ? ['HEAD'] : [])].join(', ');
    app.all(path, ({ req }) => {
      const problem = `the method ${plainText(req.method, 20)} is not for this path`;
      const error = new AipassError('BAD_REQUEST', problem, { hint: `use ${allow}` });
      const { status, headers, body } = formatError(error, 'aipassd', 405);
      return new Response(body, { status, headers: { ...headers, allow } });
    });
  }
}

/**
 * Adds the routes of provider credentials. Their bodies are checked by the operations, after the
 * caller's right.
 */
function addCredentialRoutes(app: ManagementApp): void {
  for (const route of CREDENTIAL_ROUTES) app.openAPIRegistry.registerPath(describeRoute(route));
  for (const [path, routes] of Map.groupBy(CREDENTIAL_ROUTES, (route) => route.path)) {
    app.all(path.replace('{id}', ':id'), ({ req, env }) =>
      answerCredentialRequest(routes, req.raw, { id: req.param('id') ?? '', call: env.call }),
    );
  }
}

function describeRoute({ method, path, summary, status, body, query, result }: CredentialRoute): RouteConfig {
  const done = { description: 'Done.' };
  return {
    method,
    path,
    summary,
    request: {
      headers: z.object({ 'x-organization': z.string().optional() }),
      ...(path.includes('{id}') ? { params: z.object({ id: z.uuid() }) } : {}),
      ...(query ? { query } : {}),
      ...(body ? { body: { required: true, content: { 'application/json': { schema: body } } } } : {}),
    },
    responses: {
      [status]: result ? { ...done, content: { 'application/json': { schema: result } } } : done,
      default: { description: 'Refused.', content: { 'application/json': { schema: credentialErrorSchema } } },
    },
  };
}

/** Answers one request. */
export async function answerManagement(app: ManagementApp, request: ManagementRequest): Promise<GatewayAnswer> {
  const { path, query, headers, body, call, oauthAccounts } = request;
  // The answer to HEAD is that to GET, whose body stays here.
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const answer = await app.fetch(
    // The host is not part of any route.
    new Request(`http://aipassd${path}${query}`, {
      method,
      headers,
      // The body of a GET means nothing (RFC 9110, 9.3.1), and no Request takes one.
      body: body === null || method === 'GET' ? null : new Uint8Array(body),
    }),
    { call, oauthAccounts },
  );
  return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
}
