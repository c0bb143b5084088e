/**
 * What `status` warns of that no part notices by itself: nothing to lend, and settings that are legal but unwise.
 */

import type { Config } from '../base/config-schema.ts';
import type { Paths } from '../base/paths.ts';
import type { Warning } from '../base/warning.ts';
import type { Vault } from '../credentials/vault.ts';

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
export function configWarnings(config: Config, paths: Paths): Warning[] {
  return Object.entries(config.providers).flatMap(([name, { baseUrl }]) => {
    if (baseUrl === undefined) return [];
    const { protocol, hostname } = new URL(baseUrl);
    if (protocol === 'https:' || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.'))
      return [];
    return [
      {
        subject: `providers.${name}.baseUrl`,
        problem: `keys and prompts go to ${hostname} unencrypted`,
        hint: `use https in ${paths.config}`,
      },
    ];
  });
}
