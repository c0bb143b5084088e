/**
 * The registry of providers: the catalogue with the configuration laid over it.
 *
 * A name that only has a key in the vault is not in it: where to send that key is not known.
 */

import type { Config, ProviderConfig } from '../base/config-schema.ts';
import { AipassError } from '../base/errors.ts';
import { nearest, nearestProvider } from '../base/nearest.ts';
import { plainText } from '../base/plain-text.ts';
import { CATALOGUE, type CatalogueEntry, type KeyCheckEntry } from './catalogue.ts';
import {
  DEFAULT_TIMEOUT_MS,
  type Dialect,
  type DialectEndpoint,
  type KeyCheck,
  type KeyShape,
  type Provider,
} from './provider.ts';

export interface Providers {
  /**
   * Returns the provider of that name.
   *
   * @throws AipassError NOT_FOUND that names the nearest known one.
   */
  get(name: string): Provider;
  find(name: string): Provider | undefined;
  /** Returns the names, built-in ones first. */
  names(): readonly string[];
  list(): readonly Provider[];
  /**
   * Puts another configuration to use. Throws as createProviders does, and keeps the one in use
   * then.
   */
  replace(config: Pick<Config, 'providers'>): void;
}

/**
 * Header fields that belong to the connection (RFC 9110, 7.6.1) or to how a body is encoded: set by
 * hand they break the request.
 */
const TRANSPORT_HEADERS = new Set([
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Defaults of a provider that only the configuration describes. */
const UNKNOWN_ENTRY: Omit<CatalogueEntry, 'baseUrl'> = { keyShape: { minLength: 10 }, keyCheck: null };

/**
 * Makes a registry.
 *
 * @throws AipassError BAD_REQUEST for a provider without a base URL, a base URL with a query, or a
 * header that would break the request.
 */
export function createProviders(config: Pick<Config, 'providers'>): Providers {
  let providers = buildProviders(config);
  return {
    get(name) {
      const provider = providers.get(name);
      if (provider) return provider;
      throw unknownProvider(name, providers.keys());
    },
    find: (name) => providers.get(name),
    names: () => [...providers.keys()],
    list: () => [...providers.values()],
    replace: (next) => {
      providers = buildProviders(next);
    },
  };
}

function buildProviders(config: Pick<Config, 'providers'>): ReadonlyMap<string, Provider> {
  const providers = new Map<string, Provider>();
  for (const [name, entry] of Object.entries(CATALOGUE)) {
    const changes = Object.hasOwn(config.providers, name) ? config.providers[name] : undefined;
    providers.set(name, buildProvider(name, entry, changes, changes ? 'overridden' : 'built-in'));
  }
  for (const [name, changes] of Object.entries(config.providers)) {
    if (providers.has(name)) continue;
    if (changes.baseUrl === undefined) throw withoutBaseUrl(name);
    const entry = { ...UNKNOWN_ENTRY, baseUrl: changes.baseUrl };
    providers.set(name, buildProvider(name, entry, changes, 'configured'));
  }
  return providers;
}

function buildProvider(
  name: string,
  entry: CatalogueEntry,
  changes: ProviderConfig | undefined,
  source: Provider['source'],
): Provider {
  const baseUrl = checkBaseUrl(name, 'baseUrl', changes?.baseUrl ?? entry.baseUrl);
  const { modelsPath = './models' } = entry;
  const modelsUrl = modelsPath === null ? null : new URL(modelsPath, `${baseUrl}/`).href;
  const authHeader = (changes?.authHeader ?? entry.authHeader ?? 'authorization').toLowerCase();
  return {
    name,
    source,
    baseUrl,
    headers: { ...entry.headers, ...readHeaders(name, 'headers', changes?.headers) },
    builtInHeaders: entry.headers ?? {},
    dialects: buildDialects(name, baseUrl, authHeader, entry, changes),
    needsKey: changes?.needsKey ?? entry.needsKey ?? true,
    keyShape: readKeyShape(entry, changes),
    modelsUrl: changes?.modelsUrl === undefined ? modelsUrl : changes.modelsUrl,
    modelsArePublic: entry.modelsArePublic ?? false,
    models: changes?.models ?? entry.models ?? [],
    keyCheck: buildKeyCheck(baseUrl, entry.keyCheck, changes?.keyCheck),
    streamUsageOption: changes?.streamUsageOption ?? entry.streamUsageOption ?? true,
    timeoutMs: changes?.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    onAbort: changes?.onAbort ?? 'cancel',
  };
}

/** Header that clients of a dialect put the key into. */
const AUTH_HEADERS: Readonly<Record<Dialect, string>> = {
  openai: 'authorization',
  anthropic: 'x-api-key',
  gemini: 'x-goog-api-key',
};

function buildDialects(
  name: string,
  baseUrl: string,
  authHeader: string,
  entry: CatalogueEntry,
  changes: ProviderConfig | undefined,
): Provider['dialects'] {
  const build = (dialect: Dialect): DialectEndpoint | undefined => {
    const set = changes?.dialects?.[dialect];
    const builtIn = dialect === 'openai' ? { path: '.', authHeader } : entry.dialects?.[dialect];
    const url = set?.baseUrl ?? (builtIn && new URL(builtIn.path, `${baseUrl}/`).href);
    if (url === undefined) return undefined;
    return {
      baseUrl: checkBaseUrl(name, `dialects.${dialect}.baseUrl`, url),
      authHeader: (set?.authHeader ?? builtIn?.authHeader ?? AUTH_HEADERS[dialect]).toLowerCase(),
      headers: readHeaders(name, `dialects.${dialect}.headers`, set?.headers),
    };
  };
  const [openai, anthropic, gemini] = [build('openai'), build('anthropic'), build('gemini')];
  return {
    openai: openai ?? { baseUrl, authHeader, headers: {} },
    ...(anthropic ? { anthropic } : {}),
    ...(gemini ? { gemini } : {}),
  };
}

function checkBaseUrl(name: string, setting: string, baseUrl: string): string {
  const { search, hash } = new URL(baseUrl);
  if (search !== '' || hash !== '') {
    throw new AipassError('BAD_REQUEST', `the base URL of provider "${name}" has a query or a fragment`, {
      hint: `in the configuration, cut "providers.${name}.${setting}" before the "?" or "#"; a fixed value goes into "headers"`,
    });
  }
  return baseUrl.replace(/\/+$/, '');
}

function readHeaders(name: string, setting: string, headers: ProviderConfig['headers']): Record<string, string> {
  const lower: Record<string, string> = {};
  for (const [header, value] of Object.entries(headers ?? {})) {
    if (TRANSPORT_HEADERS.has(header.toLowerCase())) {
      throw new AipassError('BAD_REQUEST', `the header "${header}" of provider "${name}" belongs to the connection`, {
        hint: `remove it from "providers.${name}.${setting}" in the configuration`,
      });
    }
    lower[header.toLowerCase()] = value;
  }
  return lower;
}

function readKeyShape(entry: CatalogueEntry, changes: ProviderConfig | undefined): KeyShape {
  const shape = changes?.keyShape;
  if (!shape) return entry.keyShape ?? {};
  const { prefix, minLength } = shape;
  return { prefixes: typeof prefix === 'string' ? [prefix] : prefix, minLength };
}

function buildKeyCheck(
  baseUrl: string,
  entry: KeyCheckEntry | null,
  configured: ProviderConfig['keyCheck'],
): KeyCheck | null {
  const usual = { method: 'GET', invalidStatuses: [401], mustBeTrue: [], mustNotBeTrue: [] } as const;
  if (configured) return { ...usual, invalidStatuses: [401, 403], ...configured };
  if (configured === null || entry === null) return null;
  const { path, ...check } = entry;
  return { ...usual, ...check, url: new URL(path, `${baseUrl}/`).href };
}

function withoutBaseUrl(name: string): AipassError {
  const near = nearest(name, Object.keys(CATALOGUE));
  return new AipassError('BAD_REQUEST', `the configured provider "${name}" has no baseUrl`, {
    hint:
      near === undefined
        ? `add "providers.${name}.baseUrl" to the configuration: where its OpenAI-compatible endpoints begin`
        : `did you mean "${near}"? A new provider needs "providers.${name}.baseUrl"`,
  });
}

/**
 * Returns the error for an unknown provider; `known` are the names that may have been meant.
 * `defaultProvider` is that of the configuration, of which the message differs. `give` is the
 * instruction for giving this name a key, where that is possible.
 */
export function unknownProvider(
  name: string,
  known: Iterable<string>,
  defaultProvider?: string,
  give?: string,
): AipassError {
  const shown = plainText(name, 64);
  const near = nearestProvider(shown, known);
  if (name === defaultProvider) {
    const meant = near === undefined ? '' : `did you mean "${near}"? `;
    return new AipassError(
      'NOT_FOUND',
      `unknown provider "${shown}", which is "defaultProvider" in the configuration`,
      {
        hint: `${meant}correct it there and restart the daemon, or name a provider; see: aipassd list-providers`,
      },
    );
  }
  const unheardOf =
    give === undefined
      ? 'see: aipassd list-providers, or describe it under "providers" in the configuration'
      : `any name may have a key: ${give}; for those that are built in see: aipassd list-providers`;
  const mistyped = `did you mean "${near}"?${give === undefined ? '' : ` Else ${give}`}`;
  return new AipassError('NOT_FOUND', `unknown provider "${shown}"`, {
    hint: near === undefined ? unheardOf : mistyped,
  });
}
