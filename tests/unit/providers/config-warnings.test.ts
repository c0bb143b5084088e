import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseConfig } from '../../../src/base/config.ts';
import { configWarnings } from '../../../src/providers/open.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'standing-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

function subjectsOf(providers: unknown, mode = 0o600): string[] {
  const path = join(folder, 'c.jsonc');
  const text = JSON.stringify({ providers });
  writeFileSync(path, text);
  chmodSync(path, mode);
  return configWarnings(parseConfig(text, path), { config: path }).map(({ subject }) => subject.replace(folder, ''));
}

test('every address that a key is sent to is reported where it is not encrypted', () => {
  const lab = {
    baseUrl: 'http://llm.example/v1',
    modelsUrl: 'https://llm.example/models',
    keyCheck: { url: 'http://llm.example/check' },
    dialects: { anthropic: { baseUrl: 'http://llm.example' }, gemini: { baseUrl: 'http://127.0.0.1:9' } },
  };
  expect(subjectsOf({ lab })).toEqual([
    'providers.lab.baseUrl',
    'providers.lab.keyCheck.url',
    'providers.lab.dialects.anthropic.baseUrl',
  ]);
});

test('a configuration that holds secrets and that others can read is reported', () => {
  const lab = { baseUrl: 'https://llm.example/v1', headers: { 'x-gateway-key': 'HDRCANARY12345678' } };
  expect(subjectsOf({ lab }, 0o644)).toEqual(['/c.jsonc']);
  expect(subjectsOf({ lab }, 0o600)).toEqual([]);
  expect(subjectsOf({ lab: { ...lab, headers: { 'x-title': 'my-program' } } }, 0o644)).toEqual([]);
});
