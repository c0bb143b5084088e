/**
 * Warnings that no part finds by itself: no key at all, and settings that are legal but unwise.
 */

import { statSync } from 'node:fs';
import type { Config } from '../base/config-schema.ts';
import type { Paths } from '../base/paths.ts';
import { shellQuote } from '../base/shell-quote.ts';
import type { Warning } from '../base/warning.ts';
import type { Vault } from '../credentials/vault.ts';
import { configuredSecrets } from '../providers/open.ts';

/** Lists a warning where there is no key at all. */
export function keyWarnings(vault: Pick<Vault, 'keys'>, paths: Paths): Warning[] {
  if (vault.keys().length > 0) return [];
  return [
    {
      subject: paths.envFile,
      problem: 'no API key is set',
      hint: `put one into the file, as OPENROUTER_API_KEY=…; it is picked up at once`,
    },
  ];
}

/** Lists settings that are legal but unwise. */
export function configWarnings(config: Config, paths: Pick<Paths, 'config'>): Warning[] {
  return [...unencrypted(config, paths), ...readableSecrets(config, paths)];
}

/** Lists the addresses that keys and prompts are sent to without encryption, but for this machine's own. */
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
      if (protocol === 'https:' || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.'))
        return [];
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
    return (statSync(path).mode & 0o044) !== 0;
  } catch {
    return false;
  }
}
