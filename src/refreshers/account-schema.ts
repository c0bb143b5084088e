/**
 * Schemas of account files, and of what is remembered of accounts over a restart. Only the daemon
 * loads them. Every wrong field of a file is reported by name, before anything is sent.
 */

import { z } from 'zod';
import { toRecord, type JsonObject } from '../base/json.ts';
import { ACCESS_FIELDS, CLIENT_ID_FIELDS, CLIENT_SECRET_FIELDS, parseTime, REFRESH_FIELDS } from './account-file.ts';
import { CLIENT_AUTHENTICATIONS, isSafeEndpoint } from './provider-presets.ts';

/** Beginnings of the times that programs write for an unknown one: the zeros of Go and of Unix. */
const UNKNOWN_TIME = /^(?:0001-01-01|1970-01-01)[T ]/;

const text = z.string('must be a string').nullish();
const scopes = z.union([z.string(), z.array(z.string())], 'must be a list of strings').nullish();
const endpoint = z
  .string('must be an https address')
  .refine((value) => value === '' || isSafeEndpoint(value), 'must be an https address')
  .nullish();
const time = z
  .union([z.number(), z.string()], 'must be a time: seconds, milliseconds, or such as 2026-01-31T12:00:00Z')
  .refine(
    (value) => value === '' || Number(value) <= 0 || UNKNOWN_TIME.test(String(value)) || parseTime(value) !== undefined,
    'must be a time: seconds, milliseconds, or such as 2026-01-31T12:00:00Z',
  )
  .nullish();
const params = z
  .record(z.string(), z.union([z.string(), z.array(z.string())]), 'must map strings to strings')
  .nullish();

/** Some programs keep all tokens in an object named `token`. */
const container = z.union([z.string(), z.record(z.string(), z.unknown())], 'must be a string').nullish();

const tokens = {
  ...Object.fromEntries([...ACCESS_FIELDS, ...REFRESH_FIELDS].map((name) => [name, text])),
  ...Object.fromEntries([...CLIENT_ID_FIELDS, ...CLIENT_SECRET_FIELDS].map((name) => [name, text])),
  token: container,
  token_type: text,
  expires_at: time,
  expiry: time,
  expiry_date: time,
  obtained_at: time,
  refresh_token_expires_at: time,
  scopes,
  scope: scopes,
  requested_scopes: scopes,
};

const googleFile = z.looseObject({ ...tokens, token_uri: endpoint });

const oauthFile = z.looseObject({
  ...tokens,
  issuer: endpoint,
  authorization_endpoint: endpoint,
  token_endpoint: endpoint,
  device_authorization_endpoint: endpoint,
  device_endpoint: endpoint,
  revocation_endpoint: endpoint,
  redirect_uri: text,
  token_endpoint_auth_method: z
    .enum(CLIENT_AUTHENTICATIONS, `must be ${CLIENT_AUTHENTICATIONS.slice(0, -1).join(', ')} or none`)
    .nullish(),
  token_endpoint_auth_signing_alg: text,
  private_key: z.union([z.string(), z.record(z.string(), z.unknown())], 'must be a PEM string or a JWK').nullish(),
  authorization_params: params,
  token_params: params,
  audience: z.union([z.string(), z.array(z.string())], 'must be a string or a list of strings').nullish(),
  resource: z.union([z.string(), z.array(z.string())], 'must be a string or a list of strings').nullish(),
});

/** Returns what is wrong with an account's document, or null. Never quotes a value. */
export function checkAccountFile(raw: JsonObject, google: boolean): string | null {
  const result = (google ? googleFile : oauthFile).safeParse(raw);
  if (result.success) return null;
  return result.error.issues.map(({ path, message }) => `"${path.join('.')}" ${message}`).join('; ');
}

const memorySchema = z.object({
  last: z.object({ kind: z.string(), at: z.number(), reason: z.string().nullable() }).nullable(),
  rejection: z.object({ stamp: z.string(), settings: z.string(), reason: z.string(), remedy: z.string() }).nullable(),
  copyOf: z.object({ name: z.string(), stamp: z.string() }).nullish(),
});

/** Memory of an account over a restart. Holds no secret, and nothing made of one. */
export type AccountMemory = z.infer<typeof memorySchema>;

/** Parses what was remembered, by account; what has another shape is dropped. */
export function parseMemories(section: unknown): ReadonlyMap<string, AccountMemory> {
  return new Map(
    Object.entries(toRecord(section)).flatMap(([name, value]): [string, AccountMemory][] => {
      const parsed = memorySchema.safeParse(value);
      return parsed.success ? [[name, parsed.data]] : [];
    }),
  );
}
