import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { parseConfig } from '../../../src/base/config.ts';
import { Redactor } from '../../../src/base/redactor.ts';
import type { Warning } from '../../../src/base/warning.ts';
import { Vault } from '../../../src/credentials/vault.ts';
import { KeyLookup } from '../../../src/operations/key-lookup.ts';
import { referenceWarnings } from '../../../src/operations/config-warnings.ts';
import { createProviders } from '../../../src/providers/registry.ts';
import { recordingLogger } from '../../support/recording-logger.ts';
import { makeTempHome } from '../../support/temp-home.ts';

const KEY = `sk-or-v1-${'0123456789abcdef'.repeat(4)}`;

/**
 * Judges a configuration beside a `.env` with these variables; returns the warnings and what a
 * look-up throws.
 */
async function judge(config: unknown, keys: Readonly<Record<string, string>> = { OPENROUTER_API_KEY: KEY }) {
  await using home = makeTempHome();
  await home.writeKeys(keys);
  const { paths } = home;
  const parsed = parseConfig(JSON.stringify(config), paths.config);
  const providers = createProviders(parsed);
  const logger = recordingLogger();
  const knownProviders = () => providers.names();
  const vault = new Vault({ paths, knownProviders, redactor: new Redactor(), clock: systemClock, logger });
  await vault.load();
  const lookup = new KeyLookup({ vault, providers, paths, defaultProvider: parsed.defaultProvider });
  const warnings: Warning[] = referenceWarnings(parsed, { vault, providers, lookup, paths });
  return { warnings, lookup, paths };
}

describe('a name in the configuration', () => {
  it('that leads somewhere is no warning', async () => {
    const { warnings } = await judge({
      defaultProvider: 'mine',
      providers: {
        mine: { baseUrl: 'https://llm.example/v1', needsKey: false },
        openrouter: { keys: { OPENROUTER_API_KEY: { weight: 2 } } },
      },
      fallbacks: [{ model: 'm-3' }, { provider: 'openrouter', model: 'm' }, { provider: 'mine' }],
    });
    expect(warnings).toEqual([]);
    expect((await judge({})).warnings).toEqual([]);
  });

  it('of a default provider that nobody knows is a warning, and look-ups say where the name comes from', async () => {
    const { warnings, lookup, paths } = await judge({ defaultProvider: 'openruter' });
    expect(warnings).toEqual([
      {
        subject: 'defaultProvider',
        problem: 'there is no provider "openruter"',
        hint: `did you mean "openrouter"? correct it in ${paths.config}`,
      },
    ]);
    const said = 'unknown provider "openruter"';
    expect(() => lookup.resolve(undefined)).toThrow(said);
    // The command line asks for the default one by its name.
    expect(() => lookup.key('openruter')).toThrow(said);
    expect(() => lookup.resolve('grok')).toThrow(/^unknown provider "grok"$/);
  });

  it('of a fallback that nobody knows, or that has no key, is a warning, once for each provider', async () => {
    const { warnings, paths } = await judge({
      fallbacks: [
        { provider: 'nosuch2', model: 'a' },
        { provider: 'groq', model: 'b' },
        { provider: 'groq', model: 'c' },
      ],
    });
    expect(warnings).toMatchObject([
      { subject: 'fallbacks.0.provider', problem: expect.stringContaining('no provider "nosuch2"') },
      {
        subject: 'fallbacks.1.provider',
        problem: expect.stringContaining('groq'),
        hint: expect.stringContaining(`add GROQ_API_KEY=… to ${paths.envFile}`),
      },
    ]);
  });

  it('of a fallback that has a key and no address is a warning that says what it lacks', async () => {
    const { warnings } = await judge(
      { fallbacks: [{ provider: 'mystery', model: 'a' }] },
      { MYSTERY_API_KEY: 'mystery-0123456789' },
    );
    expect(warnings).toMatchObject([{ hint: expect.stringContaining('describe it as "providers.mystery"') }]);
  });

  it('of a variable that .env has not, or that belongs to another provider, is a warning', async () => {
    const settings = { weight: 2 };
    const { warnings, paths } = await judge(
      {
        providers: {
          openrouter: { keys: { OPENROUTER_API_KEY_22: settings, GROQ_API_KEY: settings, NOSUCH: settings } },
        },
      },
      { OPENROUTER_API_KEY_2: KEY, GROQ_API_KEY: `gsk_${'0123456789abcdef'.repeat(3)}` },
    );
    expect(warnings).toEqual([
      {
        subject: 'providers.openrouter.keys.OPENROUTER_API_KEY_22',
        problem: `${paths.envFile} has no such key`,
        hint: expect.stringContaining('did you mean "OPENROUTER_API_KEY_2"?'),
      },
      {
        subject: 'providers.openrouter.keys.GROQ_API_KEY',
        problem: 'this is a key of groq',
        hint: `move it to "providers.groq.keys" in ${paths.config}`,
      },
      {
        subject: 'providers.openrouter.keys.NOSUCH',
        problem: expect.stringContaining('they are called OPENROUTER_API_KEY, OPENROUTER_API_KEY_2, …'),
        hint: `correct it in ${paths.config}`,
      },
    ]);
  });

  it('of a variable that still holds a placeholder is no warning', async () => {
    const { warnings } = await judge(
      { providers: { openrouter: { keys: { OPENROUTER_API_KEY: { weight: 2 } } } } },
      { OPENROUTER_API_KEY: 'your-key-here' },
    );
    expect(warnings).toEqual([]);
  });
});
