/**
 * The environment of a program that `aipassd exec` runs: addresses and a token of the gateway in the variables that
 * clients read, and no real key. Pure.
 */

import { basename } from 'node:path';
import type { GatewayRoutes } from '../protocol/gateway.ts';

/** Variables of a program; `undefined` stands for one that is not set. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** Gateway as a program reaches it. */
export interface GatewayAddress {
  /** Beginning of every base URL: `http://127.0.0.1:4000`. */
  readonly origin: string;
  readonly token: string;
  readonly routes: GatewayRoutes;
}

/** Variables that hold credentials, or lead past the gateway, besides `<PROVIDER>_API_KEY`. */
const REMOVED: ReadonlySet<string> = new Set([
  'ANTHROPIC_AUTH_TOKEN',
  'ANTHROPIC_UNIX_SOCKET',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'CODEX_API_KEY',
  'GEMINI_API_KEY',
  // The SDKs of Google prefer it to GEMINI_API_KEY.
  'GOOGLE_API_KEY',
]);

/** Programs that read a bearer token instead of a key: with ANTHROPIC_API_KEY, Claude Code asks its user first. */
const READS_AUTH_TOKEN: ReadonlySet<string> = new Set(['claude']);

const NOT_PROXIED = ['127.0.0.1', 'localhost'] as const;

/** Returns what changes in the environment of a program: variables to set, and those to remove as `undefined`. */
export function environmentChanges(env: Variables, program: string, gateway: GatewayAddress): Variables {
  const { routes } = gateway;
  const changes: Record<string, string | undefined> = {};
  for (const name of Object.keys(env)) if (holdsKey(name, routes.known)) changes[name] = undefined;
  for (const name of routes.providers) Object.assign(changes, providerVariables(name, gateway));
  Object.assign(changes, openaiVariables(gateway), anthropicVariables(program, gateway), geminiVariables(gateway));
  return { ...changes, ...proxyVariables(env) };
}

/** Returns the environment of a program. */
export function buildEnvironment(env: Variables, program: string, gateway: GatewayAddress): Record<string, string> {
  const whole = { ...env, ...environmentChanges(env, program, gateway) };
  return Object.fromEntries(
    Object.entries(whole).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/**
 * Returns the credentials file with which Google's libraries get the tokens of an account: workload identity federation
 * (google.aip.dev/auth/4117), both of whose addresses are the gateway's. It holds the token of the run, and nothing else.
 */
export function googleCredentials(account: string, { origin, token }: GatewayAddress): unknown {
  const base = `${origin}/api/v1/oauth/${encodeURIComponent(account)}`;
  return {
    type: 'external_account',
    audience: '//iam.googleapis.com/projects/0/locations/global/workloadIdentityPools/aipassd/providers/aipassd',
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    token_url: `${base}/token`,
    client_id: 'aipassd',
    client_secret: token,
    credential_source: {
      url: `${base}/subject`,
      headers: { Authorization: `Bearer ${token}` },
      format: { type: 'json', subject_token_field_name: 'id_token' },
    },
  };
}

/** Returns whether a variable is a key of a provider: `OPENAI_API_KEY`, `OPENAI_API_KEY_2`, `MY_LLM_API_KEY`. */
function holdsKey(name: string, known: readonly string[]): boolean {
  if (REMOVED.has(name)) return true;
  const [, prefix] = /^([A-Z0-9_]+)_API_KEY(?:_\d+)?$/.exec(name) ?? [];
  return prefix !== undefined && known.some((provider) => variablePrefix(provider) === prefix);
}

function variablePrefix(provider: string): string {
  return provider.toUpperCase().replaceAll('-', '_');
}

/** Names that SDKs of one provider and litellm read. The base URL has no version: clients add what theirs has. */
function providerVariables(provider: string, { origin, token }: GatewayAddress): Variables {
  const prefix = variablePrefix(provider);
  const baseUrl = `${origin}/${provider}`;
  return { [`${prefix}_API_KEY`]: token, [`${prefix}_BASE_URL`]: baseUrl, [`${prefix}_API_BASE`]: baseUrl };
}

function openaiVariables({ origin, token, routes }: GatewayAddress): Variables {
  if (routes.openai === null) return {};
  const baseUrl = `${origin}/${routes.openai}/v1`;
  return { OPENAI_BASE_URL: baseUrl, OPENAI_API_BASE: baseUrl, OPENAI_API_KEY: token, CODEX_API_KEY: token };
}

function anthropicVariables(program: string, { origin, token, routes }: GatewayAddress): Variables {
  if (routes.anthropic === null) return {};
  const baseUrl = `${origin}/${routes.anthropic}`;
  const readsToken = READS_AUTH_TOKEN.has(basename(program));
  return {
    ANTHROPIC_BASE_URL: baseUrl,
    ANTHROPIC_API_BASE: baseUrl,
    ANTHROPIC_API_KEY: readsToken ? undefined : token,
    ...(readsToken ? { ANTHROPIC_AUTH_TOKEN: token } : {}),
  };
}

function geminiVariables({ origin, token, routes }: GatewayAddress): Variables {
  if (routes.gemini === null) return {};
  return {
    GOOGLE_GEMINI_BASE_URL: `${origin}/${routes.gemini}`,
    GEMINI_API_KEY: token,
    GOOGLE_API_KEY: undefined,
  };
}

/** Adds loopback to the addresses that no proxy gets: openai for Python would send the token to it. */
function proxyVariables(env: Variables): Variables {
  const listed = (env['NO_PROXY'] ?? env['no_proxy'] ?? '').split(',').map((one) => one.trim());
  const value = [...new Set([...listed, ...NOT_PROXIED])].filter((one) => one !== '').join(',');
  return { NO_PROXY: value, no_proxy: value };
}
