/**
 * Environment of a program that `aipassd exec` runs: addresses and a token of the gateway in the
 * variables that clients read, and no real key. For programs that do not read them, there are lines
 * for their configuration files. These are printed and never written. Pure.
 */

import { basename } from 'node:path';
import { shellQuote } from '../base/shell-quote.ts';
import { GATEWAY_VARIABLE, type GatewayRoutes } from '../protocol/gateway.ts';

/** Variables of a program; `undefined` stands for one that is not set. */
export type Variables = Readonly<Record<string, string | undefined>>;

export interface GatewayAddress {
  /** Beginning of every base URL: `http://127.0.0.1:4000`. */
  readonly origin: string;
  readonly token: string;
  readonly routes: GatewayRoutes;
}

/** Variables that hold credentials under names of their own. */
const REMOVED_KEYS: ReadonlySet<string> = new Set(['CLAUDE_CODE_OAUTH_TOKEN', 'CODEX_API_KEY']);

/** Variables that are not credentials and belong to one that is removed. */
const REMOVED_SETTINGS: ReadonlySet<string> = new Set([
  // LangChain and OpenAI's agents prefer these two to the addresses that are set here.
  'ANTHROPIC_API_URL',
  'OPENAI_WEBSOCKET_BASE_URL',
  'ANTHROPIC_UNIX_SOCKET',
  // OpenAI refuses a key of another organization or project than the one that its SDK names by
  // these.
  'OPENAI_ORG_ID',
  'OPENAI_ORGANIZATION',
  'OPENAI_PROJECT',
  'OPENAI_PROJECT_ID',
]);

/** Other names of providers in variables that hold their keys. */
const OTHER_PREFIXES = [
  'ANTHROPIC_ADMIN',
  'ANTHROPIC_AUTH',
  'CLAUDE',
  'CO',
  'DEEP_SEEK',
  'FIREWORKS_AI',
  'FIREWORKSAI',
  'GEMINI',
  'GOOGLE_AI',
  'GOOGLE_AI_STUDIO',
  'GOOGLE_GEMINI',
  'GOOGLE_GENAI',
  'GOOGLE_GENERATIVE_AI',
  'GROK',
  'KIMI',
  'MISTRAL_AI',
  'MISTRALAI',
  'AZURE_OPENAI',
  'OPEN_AI',
  'OPEN_ROUTER',
  'OPENAI_ADMIN',
  'PERPLEXITYAI',
  'PPLX',
  'TOGETHER_AI',
  'TOGETHERAI',
  'X_AI',
] as const;

/** `OPENAI_API_KEY`, `OPENAI_API_KEY_2`, and the other endings that `aipassd import` knows. */
const KEY_VARIABLE = /^([A-Z0-9_]+?)_(?:API_?KEYS?|KEY|TOKEN|API_TOKEN|SECRET_KEY)(?:_\d+)?$/;

/**
 * Values that only an API key of a language model has, whatever their variable is called. Narrower
 * than what is masked in logs: keys of other services belong to the program.
 */
const KEY_VALUE =
  /^(?:sk-(?:ant|or|proj|svcacct|admin)-[\w-]{16,}|sk-[A-Za-z0-9]{32,}|(?:gsk_|xai-|pplx-|csk-)[A-Za-z0-9]{16,}|tgp_v1_[\w-]{16,})$/;

/** Programs that read a bearer token: with a key, Claude Code asks its user first. */
const READS_AUTH_TOKEN: ReadonlySet<string> = new Set(['claude']);

/** Programs that speak one dialect only, and the provider whose key serves it at the latest. */
const NEEDS: Readonly<
  Record<string, { readonly dialect: 'openai' | 'anthropic' | 'gemini'; readonly provider: string }>
> = {
  claude: { dialect: 'anthropic', provider: 'anthropic' },
  codex: { dialect: 'openai', provider: 'openai' },
  gemini: { dialect: 'gemini', provider: 'google' },
};

/** Returns the provider that a program needs and that no route leads to, or undefined. */
export function missingProvider(program: string, routes: GatewayRoutes): string | undefined {
  const name = basename(program);
  const need = Object.hasOwn(NEEDS, name) ? NEEDS[name] : undefined;
  return need === undefined || routes[need.dialect] !== null ? undefined : need.provider;
}

/** Shortest value that is taken for a key: shorter ones (`test`) are values of much else. */
const MIN_KEY_LENGTH = 8;

const NOT_PROXIED = ['127.0.0.1', 'localhost'] as const;

/** Returns what changes in the environment of a program; `undefined` removes a variable. */
export function environmentChanges(env: Variables, program: string, gateway: GatewayAddress): Variables {
  const { routes } = gateway;
  const changes: Record<string, string | undefined> = {};
  const prefixes = new Set([...OTHER_PREFIXES, ...routes.known.map(variablePrefix)]);
  const removedKeys = new Set<string>();
  for (const [name, value = ''] of Object.entries(env)) {
    if (!holdsKey(name, value, prefixes)) continue;
    changes[name] = undefined;
    for (const key of keysIn(value)) removedKeys.add(key);
  }
  for (const [name, value = ''] of Object.entries(env)) {
    if (removedKeys.has(value.trim())) changes[name] = undefined;
    else if (REMOVED_SETTINGS.has(name.toUpperCase())) changes[name] = undefined;
  }
  for (const name of routes.providers) Object.assign(changes, providerVariables(name, gateway));
  Object.assign(changes, openaiVariables(gateway), anthropicVariables(program, gateway), geminiVariables(gateway));
  return { ...changes, ...proxyVariables(env), [GATEWAY_VARIABLE]: gateway.origin };
}

export function buildEnvironment(env: Variables, program: string, gateway: GatewayAddress): Record<string, string> {
  const whole = { ...env, ...environmentChanges(env, program, gateway) };
  return Object.fromEntries(
    Object.entries(whole).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/**
 * Returns the credentials file with which Google's libraries get the tokens of an account: workload
 * identity federation (google.aip.dev/auth/4117), both of whose addresses are the gateway's. It
 * holds the token of the run, and nothing else.
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

/** Returns whether a variable holds a key of a provider, by its name or by its value. */
function holdsKey(name: string, value: string, prefixes: ReadonlySet<string>): boolean {
  const upper = name.toUpperCase();
  if (REMOVED_KEYS.has(upper) || KEY_VALUE.test(value.trim())) return true;
  const [, prefix] = KEY_VARIABLE.exec(upper) ?? [];
  // Plugins of llm read LLM_GEMINI_KEY and the like.
  return prefix !== undefined && (prefixes.has(prefix) || prefixes.has(prefix.replace(/^LLM_/, '')));
}

/** Lists the keys in a variable: its value, or each of a list (`OPENAI_API_KEYS=a,b`). */
function keysIn(value: string): string[] {
  return [value, ...value.split(/[\s,;]+/)].map((one) => one.trim()).filter((one) => one.length >= MIN_KEY_LENGTH);
}

function variablePrefix(provider: string): string {
  return provider.toUpperCase().replaceAll('-', '_');
}

/** Variables that SDKs and litellm read. Clients add the version to the base URL. */
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
    // Each of them would send Claude Code elsewhere, with credentials of its own.
    CLAUDE_CODE_USE_BEDROCK: undefined,
    CLAUDE_CODE_USE_FOUNDRY: undefined,
    CLAUDE_CODE_USE_VERTEX: undefined,
  };
}

function geminiVariables({ origin, token, routes }: GatewayAddress): Variables {
  if (routes.gemini === null) return {};
  return {
    GOOGLE_GEMINI_BASE_URL: `${origin}/${routes.gemini}`,
    GEMINI_API_BASE: `${origin}/${routes.gemini}`,
    GEMINI_API_KEY: token,
    // Google's SDKs prefer it to GEMINI_API_KEY, and the others lead to Vertex AI.
    GOOGLE_API_KEY: undefined,
    GOOGLE_GENAI_USE_GCA: undefined,
    GOOGLE_GENAI_USE_VERTEXAI: undefined,
  };
}

/**
 * Returns the variables that have git ask `command` for its credentials, and nobody else: the empty
 * value resets the list of helpers (git-config(1), `credential.helper`). What the environment
 * configures already stays before it.
 */
export function gitVariables(env: Variables, command: readonly string[]): Readonly<Record<string, string>> {
  const given = Number(env['GIT_CONFIG_COUNT'] ?? 0);
  const count = Number.isInteger(given) && given >= 0 ? given : 0;
  return {
    GIT_CONFIG_COUNT: String(count + 2),
    [`GIT_CONFIG_KEY_${count}`]: 'credential.helper',
    [`GIT_CONFIG_VALUE_${count}`]: '',
    [`GIT_CONFIG_KEY_${count + 1}`]: 'credential.helper',
    [`GIT_CONFIG_VALUE_${count + 1}`]: `!${command.map(shellQuote).join(' ')}`,
  };
}

/** openai for Python would send the token to a proxy, even on loopback. */
function proxyVariables(env: Variables): Variables {
  // Programs differ in which of the two they read.
  const listed = [env['NO_PROXY'], env['no_proxy']].flatMap((list = '') => list.split(',').map((one) => one.trim()));
  const value = [...new Set([...listed, ...NOT_PROXIED])].filter((one) => one !== '').join(',');
  return { NO_PROXY: value, no_proxy: value };
}

export interface FileLines {
  readonly file: string;
  readonly lines: readonly string[];
}

export const PROGRAMS_WITH_FILES = ['codex', 'gemini', 'opencode', 'cn', 'cline'] as const;

/** Returns the lines for a program, or undefined for one that the variables suffice for. */
export function fileLines(program: string, origin: string, routes: GatewayRoutes): FileLines | undefined {
  const openai = `${origin}/${routes.openai ?? 'openai'}/v1`;
  switch (basename(program)) {
    case 'codex':
      return {
        file: '~/.codex/config.toml',
        lines: [
          'model_provider = "aipassd"',
          '',
          '[model_providers.aipassd]',
          'name = "aipassd"',
          `base_url = "${openai}"`,
          'env_key = "OPENAI_API_KEY"',
          'wire_api = "responses"',
        ],
      };
    case 'gemini':
      return {
        file: '~/.gemini/settings.json',
        lines: ['{ "security": { "auth": { "selectedType": "gemini-api-key" } } }'],
      };
    case 'opencode':
      return {
        file: '~/.config/opencode/opencode.json',
        lines: [
          JSON.stringify(
            { provider: { openai: { options: { baseURL: '{env:OPENAI_BASE_URL}', apiKey: '{env:OPENAI_API_KEY}' } } } },
            null,
            2,
          ),
        ],
      };
    case 'cn':
    case 'continue':
      return {
        file: '~/.continue/config.yaml',
        lines: [
          'name: aipassd',
          'version: 1.0.0',
          'schema: v1',
          'models:',
          '  - name: aipassd',
          '    provider: openai',
          '    model: gpt-5-mini',
          // Secrets of the environment, as continue names them.
          '    apiBase: ${{ secrets.OPENAI_BASE_URL }}',
          '    apiKey: ${{ secrets.OPENAI_API_KEY }}',
        ],
      };
    case 'cline':
      return {
        file: '~/.cline, by its own command within the run',
        lines: [
          'cline auth -p openai-compatible -k "$OPENAI_API_KEY" -b "$OPENAI_BASE_URL" -m gpt-5-mini',
          'cline -P openai-compatible "…"',
        ],
      };
    default:
      return undefined;
  }
}
