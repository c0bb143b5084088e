import { describe, expect, it } from 'vitest';
import { unwrapKey } from '../../../src/cli/prompt.ts';

const KEY = 'sk-proj-Zm9v_bar-0123456789==';

describe('a pasted key', () => {
  it.each([
    KEY,
    `"${KEY}"`,
    `'${KEY}'`,
    `OPENAI_API_KEY=${KEY}`,
    `OPENAI_API_KEY = "${KEY}"`,
    `openai_api_key: ${KEY}`,
    `export OPENAI_API_KEY='${KEY}';`,
    `set OPENAI_API_KEY=${KEY}`,
    `$env:OPENAI_API_KEY="${KEY}"`,
    `Bearer ${KEY}`,
    `Authorization: Bearer ${KEY}`,
    `"Authorization: Bearer ${KEY}"`,
    `x-api-key: ${KEY}`,
    `HF_TOKEN=${KEY}`,
  ])('is taken out of what was copied with it: %s', (text) => {
    expect(unwrapKey(text)).toBe(KEY);
  });

  it.each(['abc=def', 'KEY=', '"half', 'sk-a:b', 'a"b"', ''])('is left alone otherwise: %j', (text) => {
    expect(unwrapKey(text)).toBe(text);
  });
});
