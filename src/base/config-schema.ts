/**
 * The shape and the defaults of `config.jsonc`. config.ts reads the file.
 *
 * No file is needed: the defaults of an empty one are complete. `config.schema.json` and
 * docs/configuration.md are generated from this schema, so every setting has a description.
 */

import { z } from 'zod';
import { isTimeZone } from './time-window.ts';

/** Name of a provider. In lower case, each maps to one variable: `my-llm` to `MY_LLM_API_KEY`. */
const PROVIDER_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** An http or https URL without user name and password, which would reach logs. */
const url = z
  .url({ protocol: /^https?$/, error: 'is not a URL: begin it with https:// or http://' })
  .refine((text) => !/^[a-z]+:\/\/[^/]*@/i.test(text), {
    message: 'must not hold a user name or password',
  });

/** HTTP header names and values as RFC 9110 §5 allows them. */
const headers = z.record(
  z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'is not the name of a header'),
  z.string().regex(/^[\t\x20-\x7e]*$/, 'has a line break, another control character or a letter outside ASCII'),
);

const milliseconds = z.int().min(1).max(3_600_000);
const days = z.int().min(1).max(36_500);
const cron = z.string().min(9, 'is not a cron pattern such as "*/5 * * * *"').max(128);
/** A program and its arguments. No shell parses it. */
const command = z.array(z.string().min(1)).min(1);

const quota = z.strictObject({
  calls: z.int().positive().optional().describe('Calls allowed in each period.'),
  tokens: z.int().positive().optional().describe('Tokens allowed in each period, as the provider counts them.'),
  dollars: z.number().positive().optional().describe('US dollars allowed in each period, as far as costs are known.'),
  per: z.enum(['minute', 'hour', 'day', 'month']).describe('The period, aligned to the clock of `zone`.'),
  zone: z
    .string()
    .refine(isTimeZone, 'is not an IANA time zone such as "Europe/Berlin"')
    .default('UTC')
    .describe('IANA time zone in which a day or a month begins.'),
});

const key = z.strictObject({
  account: z
    .string()
    .min(1)
    .optional()
    .describe('Name of the billing account. Keys of one account share its limits and cool down together.'),
  weight: z
    .number()
    .positive()
    .max(1000)
    .optional()
    .describe('Share of the calls with the strategy `weighted`. Default 1.'),
  priority: z
    .int()
    .min(0)
    .max(1000)
    .optional()
    .describe('Order with the strategy `priority`: the lowest number serves first. Default 0.'),
  models: z
    .array(z.string().min(1))
    .optional()
    .describe(
      'Models that this key may be used for. A form whose model programs may read differently gets another key. All of them without this list.',
    ),
  maxInFlight: z.int().positive().optional().describe('Maximum number of calls in flight with this key.'),
  quotas: z.array(quota).optional().describe('Limits of your own for this key. A key over one of them is not used.'),
});

const authHeader = z
  .string()
  .regex(/^[A-Za-z0-9-]+$/, 'is not the name of a header')
  .optional();

/** Endpoint of a provider in one dialect. Defaults: the catalogue's, or usual for the dialect. */
const dialect = z.strictObject({
  baseUrl: url
    .optional()
    .describe('Address that clients of this dialect take as their base URL, such as https://api.anthropic.com.'),
  authHeader: authHeader.describe('Header that carries the key in this dialect.'),
  headers: headers.optional().describe('Headers that are sent with every request in this dialect. Treated as secrets.'),
});

const provider = z.strictObject({
  baseUrl: url.optional().describe('Base URL of the OpenAI-compatible endpoints, such as https://api.example.org/v1.'),
  authHeader: authHeader.describe(
    'Header that carries the key. `authorization` is sent as `Bearer <key>`, any other holds the key alone.',
  ),
  dialects: z
    .strictObject({
      openai: dialect.optional().describe('OpenAI: chat, responses, embeddings, images, audio. Default: `baseUrl`.'),
      anthropic: dialect.optional().describe('Anthropic: messages.'),
      gemini: dialect.optional().describe('Gemini: generateContent.'),
    })
    .optional()
    .describe('Endpoints of the provider by dialect, for programs that use it through the HTTP gateway.'),
  needsKey: z.boolean().optional().describe('Set to false for a local provider that needs no key.'),
  headers: headers
    .optional()
    .describe('Headers that are sent with every request to this provider. Treated as secrets.'),
  keyShape: z
    .strictObject({
      prefix: z
        .union([z.string(), z.array(z.string()).min(1)])
        .optional()
        .describe('Prefix of every key, or a list of possible prefixes.'),
      minLength: z.int().positive().optional().describe('Minimum length of a key, in characters.'),
    })
    .optional()
    .describe('Format of keys of this provider. A key of another format is reported as suspect.'),
  modelsUrl: url.nullable().optional().describe('URL of the list of models. Null if the provider has none.'),
  models: z.array(z.string().min(1)).optional().describe('Names of its models, for a provider without a list.'),
  keyCheck: z
    .strictObject({
      method: z.enum(['GET', 'POST']).default('GET').describe('HTTP method of the check.'),
      url: url.describe('URL that answers 2xx for a good key and 401 or 403 for a bad one.'),
    })
    .nullable()
    .optional()
    .describe('A free endpoint that proves a key. Null if there is none.'),
  streamUsageOption: z
    .boolean()
    .optional()
    .describe('Set to false for a provider that refuses `stream_options`. Streams then do not ask for their usage.'),
  timeoutMs: milliseconds
    .optional()
    .describe(
      'Maximum wait for the first byte of an answer and between two bytes, in milliseconds. For content it is three times as long: keep-alives alone do not keep a request alive. Default 120000.',
    ),
  onAbort: z
    .enum(['cancel', 'drain'])
    .optional()
    .describe(
      'What happens to an answer when its caller disconnects. `cancel` (the default) ends it. `drain` reads it to its end, so that the usage is right. Use it for a provider that bills cancelled requests in full.',
    ),
  pool: z
    .strictObject({
      strategy: z
        .enum(['least-used', 'round-robin', 'random', 'weighted', 'priority'])
        .optional()
        .describe('Which of the usable keys serves next. Default `least-used`.'),
      maxWaitMs: milliseconds
        .optional()
        .describe('How long a request waits for a key when none is free, in milliseconds. Default: it fails at once.'),
    })
    .optional()
    .describe('How the keys of this provider are shared out.'),
  keys: z
    .record(z.string().regex(/^[A-Z0-9_]+$/, 'is not a variable name such as OPENROUTER_API_KEY_2'), key)
    .optional()
    .describe('Settings of single keys, by the name of their variable in `.env`.'),
});

const oauth = z.strictObject({
  issuer: url.optional().describe('Issuer that publishes its endpoints (OpenID Connect discovery or RFC 8414).'),
  authorizationEndpoint: url.optional().describe('Authorization endpoint (RFC 6749 §3.1).'),
  tokenEndpoint: url.optional().describe('Token endpoint (RFC 6749 §3.2).'),
  deviceEndpoint: url.optional().describe('Device authorization endpoint (RFC 8628 §3.1).'),
  revocationEndpoint: url.optional().describe('Revocation endpoint (RFC 7009).'),
  clientId: z.string().min(1).optional().describe('Client identifier.'),
  scopes: z.array(z.string().min(1)).optional().describe('Scopes that a consent asks for.'),
  files: z
    .record(
      z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,127}$/, 'is not the name of an account'),
      z.string().min(1),
    )
    .optional()
    .describe(
      'Files outside the secrets folder that are used in place, by account name. {"adc": "~/.config/gcloud/application_default_credentials.json"} for google is the account google.adc.',
    ),
});

/** Users by name or uid, and groups by name or gid. */
const people = z
  .strictObject({
    users: z
      .array(z.union([z.string().min(1), z.int().min(0)]))
      .default([])
      .describe('User names or uids.'),
    groups: z
      .array(z.union([z.string().min(1), z.int().min(0)]))
      .default([])
      .describe('Group names or gids.'),
  })
  .prefault({});

const name = z.string().regex(PROVIDER_NAME, 'is not a name: use lower-case letters, digits, "-" and "_", at most 63');

export const configSchema = z.strictObject({
  $schema: z.string().optional().describe('Path or URL of config.schema.json, for editors.'),
  defaultProvider: name.default('openrouter').describe('Provider that serves requests which name none.'),
  providers: z.record(name, provider).default({}).describe('Settings of providers, and providers of your own.'),
  fallbacks: z
    .array(
      z.strictObject({
        provider: name.optional().describe('Provider to ask. Default: the one of the request.'),
        model: z.string().min(1).optional().describe('Model to ask for. Default: the one of the request.'),
      }),
    )
    .max(16)
    .default([])
    .describe('What a completion tries, in this order, when its provider or its keys fail. A request may name others.'),
  oauth: z.record(name, oauth).default({}).describe('OAuth providers and clients, by account. The account file wins.'),
  schedules: z
    .strictObject({
      refresh: cron.default('* * * * *').describe('When aipassd refreshes the OAuth tokens that are due.'),
      prune: cron.default('17 4 * * *').describe('When usage past its retention is deleted.'),
      check: cron.default('*/30 * * * *').describe('When keys that providers refused are checked again.'),
    })
    .prefault({})
    .describe('Cron patterns, in local time.'),
  usage: z
    .strictObject({
      database: z
        .string()
        .min(1)
        .optional()
        .describe('A postgres:// URL, or the path of a SQLite file. Default: usage.db in the state folder.'),
      retentionDays: days.default(30).describe('Days for which single events are kept.'),
      totalsRetentionDays: days.default(400).describe('Days for which totals are kept.'),
    })
    .prefault({})
    .describe('Recording of who used what.'),
  hooks: z
    .strictObject({
      onReauthRequired: command.optional().describe('Runs when an account needs the consent of its user.'),
      onRefreshed: command.optional().describe('Runs when a token was refreshed.'),
      onRefreshFailing: command.optional().describe('Runs when refreshes keep failing.'),
      onReauthSoon: command
        .optional()
        .describe(
          'Runs days before a consent ends that refreshing does not extend; without it `onReauthRequired` does.',
        ),
    })
    .prefault({})
    .describe('Commands for events of OAuth accounts: a program and its arguments, without a shell.'),
  network: z
    .strictObject({
      proxy: z
        .url({ protocol: /^https?$/, error: 'is not a URL: begin it with https:// or http://' })
        .optional()
        .describe('Proxy for all requests, such as http://proxy.example:3128. Default: HTTPS_PROXY and HTTP_PROXY.'),
      noProxy: z
        .array(z.string().min(1))
        .optional()
        .describe(
          'Hosts, domains and IPv4 networks that are reached without the proxy, besides this machine. Default: NO_PROXY.',
        ),
      caCertificates: z
        .string()
        .min(1)
        .optional()
        .describe('Path of a PEM file with certificate authorities to trust. Default: NODE_EXTRA_CA_CERTS.'),
      allowedHosts: z
        .array(z.string().min(1))
        .default([])
        .describe('Names and addresses in private networks that the base URL of a provider credential may use.'),
    })
    .prefault({})
    .describe('Network access: proxy, certificates, and private addresses that credentials may use.'),
  log: z
    .strictObject({
      level: z.enum(['error', 'warn', 'info', 'debug']).default('info').describe('Minimum severity that is logged.'),
      file: z
        .string()
        .min(1)
        .nullable()
        .optional()
        .describe('Path of the log. Null writes no file. Default: logs/aipassd.log in the state folder.'),
    })
    .prefault({})
    .describe('The log.'),
  access: z
    .strictObject({
      use: people.describe('May list providers, keys and accounts, and use credentials through the daemon.'),
      reveal: people.describe('May read the values of credentials.'),
      admin: people.describe(
        'May make changes: consent, revoke, prune, store secrets, edit credentials, make gateway tokens.',
      ),
    })
    .prefault({})
    .describe(
      "Rights of users other than the daemon's own and root, who have all rights. For a daemon that serves several users.",
    ),
  organizations: z
    .record(
      name,
      z.strictObject({
        members: people.describe('May list and use the keys of this organization, through the daemon only.'),
        admins: people.describe('May change its keys, and do what members may.'),
      }),
    )
    .default({})
    .describe('Organizations with keys of their own, by slug. `default` are the keys of the daemon itself.'),
  audit: z
    .strictObject({
      retentionDays: days.default(365).describe('Days for which entries are kept.'),
      maxBytes: z
        .int()
        .min(1024 * 1024)
        .default(256 * 1024 * 1024)
        .describe('Size in bytes above which the oldest entries are removed early.'),
    })
    .prefault({})
    .describe('Audit of releases, changes and refusals.'),
  gateway: z
    .strictObject({
      port: z
        .int()
        .min(1)
        .max(65_535)
        .optional()
        .describe(
          'Port of 127.0.0.1 to listen on, for callers with a token. Linux only. Without it, only runs of aipassd exec open a port.',
        ),
    })
    .prefault({})
    .describe('The HTTP gateway for programs that were not written for aipassd. Its Unix socket is always open.'),
  limits: z
    .strictObject({
      frameBytes: z
        .int()
        .min(1024)
        .max(512 * 1024 * 1024)
        .default(32 * 1024 * 1024)
        .describe('Maximum size of a message to the socket, and of a request body at the gateway, in bytes.'),
      connections: z
        .int()
        .min(1)
        .max(65_536)
        .default(4096)
        .describe(
          'Maximum number of connections of all users together, except the daemon user and root, who have limits of their own.',
        ),
      inFlight: z
        .int()
        .min(1)
        .max(65_536)
        .default(1024)
        .describe('Maximum number of requests in flight on one connection.'),
      requestsPerSecond: z
        .int()
        .min(1)
        .optional()
        .describe(
          'Maximum number of requests per second of one user over all connections. More are refused with the time to wait.',
        ),
      perUser: z
        .strictObject({
          connections: z.int().min(1).max(65_536).default(3072).describe('Maximum number of connections of one user.'),
          inFlight: z
            .int()
            .min(1)
            .max(1_000_000)
            .default(16_384)
            .describe('Maximum number of requests in flight of one user.'),
          waitingBytes: z
            .int()
            .min(1024 * 1024)
            .default(256 * 1024 * 1024)
            .describe('Maximum number of bytes in unfinished frames and unread replies of one user.'),
        })
        .prefault({})
        .describe('Limits of one user over all connections.'),
    })
    .prefault({})
    .describe('Bounds that keep one program from starving the others.'),
});

/** The configuration with its defaults filled in. */
export type Config = z.output<typeof configSchema>;

export type ProviderConfig = z.output<typeof provider>;
