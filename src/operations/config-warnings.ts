/**
 * Warnings about the configuration that no part finds by itself: no key at all, and names that lead
 * nowhere.
 *
 * None of it keeps a daemon from starting: a key may be put in later, and is taken up at once.
 */

import { existsSync } from 'node:fs';
import type { Config } from '../base/config-schema.ts';
import type { Paths } from '../base/paths.ts';
import type { Warning } from '../base/warning.ts';
import type { Vault } from '../credentials/vault.ts';
import { variableOf, apiKeysOf } from '../credentials/api-keys.ts';
import { nearest } from '../base/nearest.ts';
import type { Providers } from '../providers/registry.ts';
import type { KeyLookup } from './key-lookup.ts';

export function keyWarnings(vault: Pick<Vault, 'keys'>, paths: Paths): Warning[] {
  if (vault.keys().length > 0) return [];
  return [
    {
      subject: paths.envFile,
      problem: existsSync(paths.envFile) ? 'no API key is set' : 'the file does not exist, so no API key is set',
      hint: 'run: aipassd add openrouter, or another provider; or put OPENROUTER_API_KEY=… into the file',
    },
  ];
}

export interface KnownNames {
  readonly vault: Pick<Vault, 'keys' | 'placeholders'>;
  readonly providers: Pick<Providers, 'find' | 'names'>;
  readonly lookup: Pick<KeyLookup, 'isKnown' | 'whyNone'>;
  readonly paths: Pick<Paths, 'config' | 'envFile'>;
}

/** Lists the names in a configuration that lead nowhere. */
export function referenceWarnings(config: Config, known: KnownNames): Warning[] {
  return [...defaultWarnings(config, known), ...fallbackWarnings(config, known), ...variableWarnings(config, known)];
}

function* defaultWarnings({ defaultProvider }: Config, { lookup, providers, paths }: KnownNames): Generator<Warning> {
  if (lookup.isKnown(defaultProvider)) return;
  yield {
    subject: 'defaultProvider',
    problem: `there is no provider "${defaultProvider}"`,
    hint: `${meant(defaultProvider, providers.names())}correct it in ${paths.config}`,
  };
}

function* fallbackWarnings({ fallbacks }: Config, known: KnownNames): Generator<Warning> {
  const { vault, providers, lookup, paths } = known;
  const seen = new Set<string>();
  for (const [index, { provider: name }] of fallbacks.entries()) {
    if (name === undefined || seen.has(name)) continue;
    seen.add(name);
    const subject = `fallbacks.${index}.provider`;
    const provider = providers.find(name);
    if (!provider) {
      const describe = `describe it as "providers.${name}" in ${paths.config}`;
      const hint =
        vault.keys(name).length > 0 ? describe : `${meant(name, providers.names())}correct it in ${paths.config}`;
      yield { subject, problem: `there is no provider "${name}" to send a completion to`, hint };
    } else if (provider.needsKey && vault.keys(name).length === 0) {
      yield {
        subject,
        problem: `${name} needs a key and has none, so nothing falls back to it`,
        hint: lookup.whyNone(name).hint ?? `add one to ${paths.envFile}`,
      };
    }
  }
}

function* variableWarnings(config: Config, { vault, providers, paths }: KnownNames): Generator<Warning> {
  const placeholders = new Set(vault.placeholders().map(({ keyId }) => keyId));
  for (const [name, { keys = {} }] of Object.entries(config.providers)) {
    const held = vault.keys(name).map(({ keyId }) => keyId);
    for (const variable of Object.keys(keys)) {
      // One that waits for its value is there.
      if (held.includes(variable) || placeholders.has(variable)) continue;
      const subject = `providers.${name}.keys.${variable}`;
      const correct = `${meant(variable, held)}correct it in ${paths.config}`;
      const owner = providerOf(variable, providers.names());
      if (owner === name) {
        const hint = `${correct}, or add ${variable}=… to ${paths.envFile}`;
        yield { subject, problem: `${paths.envFile} has no such key`, hint };
      } else if (owner === undefined) {
        const problem = `no key of ${name} has such a name: they are called ${variableOf(name)}, ${variableOf(name)}_2, …`;
        yield { subject, problem, hint: correct };
      } else {
        const hint = `move it to "providers.${owner}.keys" in ${paths.config}`;
        yield { subject, problem: `this is a key of ${owner}`, hint };
      }
    }
  }
}

/** Returns the provider that a variable of that name would be a key of, if any. */
function providerOf(variable: string, known: readonly string[]): string | undefined {
  return apiKeysOf(new Map([[variable, '']]), known).placeholders[0]?.provider;
}

function meant(name: string, known: Iterable<string>): string {
  const near = nearest(name, known);
  return near === undefined ? '' : `did you mean "${near}"? `;
}
