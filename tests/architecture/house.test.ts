import { z } from 'zod';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/base/config-schema.ts';
import { listSettings, printReference, type SettingSchema } from '../../scripts/config-reference.ts';
import { readSources, readText } from './sources.ts';

describe('the house rules', () => {
  const sources = readSources('src');

  it('every source file begins by saying what it owns', () => {
    for (const { path, text } of sources) expect(text.replace(/^#!.*\n/, ''), path).toMatch(/^\/\*\*/);
  });

  it('no source file hides behind a name that says nothing', () => {
    const vague = sources
      .filter(({ path }) => /\/(utils?|helpers?|types|common|manager|service)\.ts$/.test(path))
      .map(({ path }) => path);
    expect(vague).toEqual([]);
  });

  it("nothing calls Node's own fetch: providers are asked by http-exchange.ts, and fetch loads a client of 8 MB", () => {
    const calls = sources
      .filter(({ text }) => /(?<![\w.#])fetch\(|globalThis\.fetch/.test(text))
      .map(({ path }) => path);
    expect(calls).toEqual([]);
  });

  it('no check is switched off in the sources', () => {
    const off = sources
      .filter(({ text }) => /@ts-(ignore|nocheck|expect-error)|oxlint-disable|\bas any\b/.test(text))
      .map(({ path }) => path);
    expect(off).toEqual([]);
  });

  it('config.schema.json is the schema of the configuration (npm run schema writes it anew)', () => {
    const document: Record<string, unknown> = JSON.parse(readText('config.schema.json'));
    const { title, ...schema } = document;
    expect(title).toBe('aipassd configuration');
    expect(schema).toEqual(JSON.parse(JSON.stringify(z.toJSONSchema(configSchema, { io: 'input' }))));
  });

  it('docs/configuration.md describes every setting (npm run schema writes it anew)', () => {
    const schema: SettingSchema = JSON.parse(JSON.stringify(z.toJSONSchema(configSchema, { io: 'input' })));
    const settings = listSettings(schema);
    expect(settings.length).toBeGreaterThan(50);
    for (const { path, schema: setting } of settings) expect(setting.description, path).toMatch(/^[A-Z].*[.]$/s);
    expect(collapse(readText('docs/configuration.md'))).toContain(collapse(printReference(schema)));
  });
});

/** Removes what Prettier adds when it aligns tables. */
function collapse(markdown: string): string {
  return markdown.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---').replaceAll('\\', '');
}
