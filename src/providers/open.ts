/**
 * Opens the registry of providers, which follows the configuration, and has the secrets of the
 * configuration masked. Checks a configuration as a whole: its text, its schedules, and the
 * providers that are made from it. The start, a reload and `doctor` accept the same ones.
 */

import { statSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { readConfig } from '../base/config.ts';
import { assertSchedule } from '../base/schedule.ts';
import { defer } from '../base/dispose.ts';
import type { Config } from '../base/config-schema.ts';
import { isLoopbackHost } from '../base/loopback.ts';
import type { Paths } from '../base/paths.ts';
import type { Runtime } from '../base/runtime.ts';
import { OTHERS_READ } from '../base/file-trust.ts';
import { shellQuote } from '../base/shell-quote.ts';
import type { Warning } from '../base/warning.ts';
import { createProviders, type Providers } from './registry.ts';

/**
 * Reads a configuration that a daemon can run with; a file that does not exist is an empty one.
 *
 * @throws AipassError BAD_REQUEST naming what is wrong, or the system's reason why the file cannot
 * be read.
 */
export function readUsableConfig(path: string, clock: Pick<Clock, 'now'>): Config {
  const config = readConfig(path);
  for (const [name, pattern] of Object.entries(config.schedules)) {
    assertSchedule(pattern, `"schedules.${name}" in ${path}`, clock.now());
  }
  createProviders(config);
  return config;
}

/** Opens the registry; a reload replaces what it holds. Throws as createProviders does. */
export function openProviders({ config, paths, redactor, warnings }: Runtime, stack: AsyncDisposableStack): Providers {
  const providers = createProviders(config.current);
  redactor.learn(configuredSecrets(config.current), 'configuration');
  warnings.register(() => configWarnings(config.current, paths));
  defer(
    stack,
    'the registry of providers',
    config.onChange((next, before) => {
      providers.replace(next);
      // An answer may still quote the values of requests that are under way.
      redactor.learn([...configuredSecrets(next), ...configuredSecrets(before)], 'configuration');
    }),
  );
  return providers;
}

/**
 * Header fields and query parameters whose values are not secrets, and are ordinary words in other
 * texts.
 */
const PUBLIC_NAMES = new Set([
  'accept',
  'accept-language',
  'anthropic-beta',
  'anthropic-version',
  'api-version',
  'content-type',
  'endpoint',
  'http-referer',
  'limit',
  'openai-beta',
  'page_size',
  'pagesize',
  'referer',
  'user-agent',
  'x-title',
]);

/** Matches a value with an authentication scheme before it. */
const SCHEME = /^(?:Bearer|Basic|Token|Key|ApiKey) +(\S+)$/i;

/**
 * Lists the values in the configuration that may be secrets: those of header fields, and of the
 * queries of addresses.
 */
export function configuredSecrets({ providers }: Pick<Config, 'providers'>): string[] {
  return Object.values(providers).flatMap((provider) => {
    const { dialects = {} } = provider;
    const headers = [provider.headers, ...Object.values(dialects).map((dialect) => dialect?.headers)];
    const queries = [provider.modelsUrl, provider.keyCheck?.url].flatMap((url) =>
      typeof url === 'string' ? [...new URL(url).searchParams] : [],
    );
    return [...headers.flatMap((fields) => Object.entries(fields ?? {})), ...queries].flatMap(([name, value]) =>
      PUBLIC_NAMES.has(name.toLowerCase()) ? [] : [value, ...(SCHEME.exec(value)?.slice(1) ?? [])],
    );
  });
}

/** Lists settings that are legal but unwise. */
export function configWarnings(config: Config, paths: Pick<Paths, 'config'>): Warning[] {
  return [...unencrypted(config, paths), ...readableSecrets(config, paths)];
}

/** Lists the addresses elsewhere that keys and prompts are sent to without encryption. */
function unencrypted(config: Config, paths: Pick<Paths, 'config'>): Warning[] {
  return Object.entries(config.providers).flatMap(([name, provider]) => {
    const addresses: readonly (readonly [string, string | null | undefined])[] = [
      ['baseUrl', provider.baseUrl],
      ['modelsUrl', provider.modelsUrl],
      ['keyCheck.url', provider.keyCheck?.url],
      ...Object.entries(provider.dialects ?? {}).map(
        ([dialect, endpoint]) => [`dialects.${dialect}.baseUrl`, endpoint?.baseUrl] as const,
      ),
    ];
    return addresses.flatMap(([setting, address]) => {
      if (address === undefined || address === null) return [];
      const { protocol, hostname } = new URL(address);
      if (protocol === 'https:' || isLoopbackHost(hostname)) return [];
      return [
        {
          subject: `providers.${name}.${setting}`,
          problem: `keys and prompts go to ${hostname} unencrypted`,
          hint: `use https in ${paths.config}`,
        },
      ];
    });
  });
}

/** Lists a warning where the configuration holds secrets and other users can read it. */
function readableSecrets(config: Config, paths: Pick<Paths, 'config'>): Warning[] {
  if (configuredSecrets(config).length === 0 || !isReadableByOthers(paths.config)) return [];
  return [
    {
      subject: paths.config,
      problem: 'holds values of headers or of queries, which may be secrets, and other users can read it',
      hint: `chmod 600 ${shellQuote(paths.config)}`,
    },
  ];
}

function isReadableByOthers(path: string): boolean {
  try {
    return (statSync(path).mode & OTHERS_READ) !== 0;
  } catch {
    return false;
  }
}
