/**
 * What may stand in `config.jsonc`. Owns the shape and the defaults; reading the file is config.ts's.
 *
 * No file is needed: the defaults of an empty one are complete. `config.schema.json` is made from this schema.
 */

import { z } from 'zod';
import { isTimeZone } from './time-window.ts';

/** Matches a provider's name: lower-case, so that it maps to one variable name (`MY-LLM` and `my_llm` are both `MY_LLM_API_KEY`). */
export const PROVIDER_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** Is a base URL: http or https, and no user name or password in it, which would end up in logs. */
const httpUrl = z.url({ protocol: /^https?$/ }).refine((url) => !/^[a-z]+:\/\/[^/]*@/i.test(url), {
  message: 'must not hold a user name or password',
});

/** Is a HTTP header name with its value, both as RFC 9110 allows them. */
const headers = z.record(z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/), z.string().regex(/^[\t\x20-\x7e]*$/));

const milliseconds = z.int().min(1).max(3_600_000);
const days = z.int().min(1).max(36_500);
const url = httpUrl;
const cron = z.string().min(9).max(128);
/** Is a program and its arguments; no shell reads it. */
const command = z.array(z.string().min(1)).min(1);

const quota = z.strictObject({
  calls: z.int().positive().optional(),
  tokens: z.int().positive().optional(),
  dollars: z.number().positive().optional(),
  per: z.enum(['minute', 'hour', 'day', 'month']),
  zone: z
    .string()
    .refine(isTimeZone, 'is no IANA time zone such as "Europe/Berlin"')
    .default('UTC')
    .describe('IANA time zone in which a day or month begins'),
});

const key = z.strictObject({
  account: z.string().min(1).optional().describe('keys of one account share its limits'),
  weight: z.number().positive().max(1000).optional(),
  priority: z.int().min(0).max(1000).optional(),
  models: z.array(z.string().min(1)).optional().describe('the models this key may be used for; all without it'),
  maxInFlight: z.int().positive().optional(),
  quotas: z.array(quota).optional(),
});

const provider = z.strictObject({
  baseUrl: url.optional().describe('where the OpenAI-compatible endpoints begin'),
  authHeader: z
    .string()
    .regex(/^[A-Za-z0-9-]+$/)
    .optional()
    .describe('the header the key goes into; "authorization" is sent as "Bearer <key>", any other holds the key alone'),
  needsKey: z.boolean().optional().describe('false for a local provider that answers without one'),
  headers: headers.optional().describe('sent with every request to this provider'),
  keyShape: z
    .strictObject({ prefix: z.string().optional(), minLength: z.int().positive().optional() })
    .optional()
    .describe('what its keys look like; a key of another shape is reported, and lent all the same'),
  modelsUrl: url.nullable().optional().describe('where it lists its models; null where it lists none'),
  models: z.array(z.string().min(1)).optional().describe('its models, where it has no endpoint that lists them'),
  keyCheck: z
    .strictObject({ method: z.enum(['GET', 'POST']).default('GET'), url })
    .nullable()
    .optional()
    .describe('a free endpoint that proves a key; null where there is none'),
  timeoutMs: milliseconds
    .optional()
    .describe('the longest wait for the first byte of an answer, and between two bytes'),
  pool: z
    .strictObject({
      strategy: z.enum(['least-used', 'round-robin', 'random', 'weighted', 'priority']).optional(),
      maxWaitMs: milliseconds.optional(),
    })
    .optional(),
  keys: z.record(z.string().regex(/^[A-Z0-9_]+$/, 'is no variable name such as OPENROUTER_API_KEY_2'), key).optional(),
});

const oauth = z.strictObject({
  issuer: url.optional(),
  authorizationEndpoint: url.optional(),
  tokenEndpoint: url.optional(),
  deviceEndpoint: url.optional(),
  revocationEndpoint: url.optional(),
  clientId: z.string().min(1).optional(),
  scopes: z.array(z.string().min(1)).optional(),
});

/** Lists people by user name or uid, and groups by name or gid. */
const people = z
  .strictObject({
    users: z.array(z.union([z.string().min(1), z.int().min(0)])).default([]),
    groups: z.array(z.union([z.string().min(1), z.int().min(0)])).default([]),
  })
  .prefault({});

const name = z.string().regex(PROVIDER_NAME, 'is no name: lower-case letters, digits, "-" and "_", up to 63');

/** Is the whole configuration. */
export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  defaultProvider: name.default('openrouter'),
  providers: z.record(name, provider).default({}),
  fallbacks: z
    .array(z.strictObject({ provider: name.optional(), model: z.string().min(1).optional() }))
    .max(16)
    .default([])
    .describe('whom a completion asks, in this order, when its provider or its keys fail; a request may name others'),
  oauth: z.record(name, oauth).default({}),
  schedules: z
    .strictObject({
      refresh: cron.default('* * * * *'),
      prune: cron.default('17 4 * * *'),
      check: cron.default('*/30 * * * *'),
    })
    .prefault({}),
  usage: z
    .strictObject({
      database: z.string().min(1).optional(),
      retentionDays: days.default(30),
      totalsRetentionDays: days.default(400),
    })
    .prefault({}),
  hooks: z
    .strictObject({
      onReauthRequired: command.optional(),
      onRefreshed: command.optional(),
      onRefreshFailing: command.optional(),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
      file: z.string().min(1).nullable().optional().describe('null writes no file'),
    })
    .prefault({}),
  access: z
    .strictObject({
      use: people.describe('may see what there is and use credentials through the daemon'),
      reveal: people.describe('may have the values of credentials'),
      admin: people.describe('may change things: reauth, revoke, prune, reload'),
    })
    .prefault({})
    .describe(
      "who may ask besides the daemon's own user and root, who may do everything; for a daemon that serves a whole machine",
    ),
  audit: z
    .strictObject({
      retentionDays: days.default(365),
      maxBytes: z
        .int()
        .min(1024 * 1024)
        .default(256 * 1024 * 1024)
        .describe('a longer audit loses its oldest lines before their time'),
    })
    .prefault({}),
  limits: z
    .strictObject({
      frameBytes: z
        .int()
        .min(1024)
        .max(512 * 1024 * 1024)
        .default(32 * 1024 * 1024),
      connections: z.int().min(1).max(65_536).default(4096),
      inFlight: z.int().min(1).max(65_536).default(1024).describe('requests in flight on one connection'),
      requestsPerSecond: z
        .int()
        .min(1)
        .optional()
        .describe('of one user over all connections; more are refused with the time to wait'),
      perUser: z
        .strictObject({
          connections: z.int().min(1).max(65_536).default(3072),
          inFlight: z.int().min(1).max(1_000_000).default(16_384),
          waitingBytes: z
            .int()
            .min(1024 * 1024)
            .default(256 * 1024 * 1024)
            .describe(
              'bytes of unfinished frames and of replies that were not read; requests in flight may hold as many again',
            ),
        })
        .prefault({}),
    })
    .prefault({}),
});

/** Is the configuration with its defaults filled in. */
export type Config = z.output<typeof configSchema>;

/** Is what the configuration says of one provider. */
export type ProviderConfig = z.output<typeof provider>;
