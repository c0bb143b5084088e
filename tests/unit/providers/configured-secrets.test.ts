import { expect, test } from 'vitest';
import { parseConfig } from '../../../src/base/config.ts';
import { configuredSecrets } from '../../../src/providers/open.ts';

test('values of headers and of queries in the configuration are secrets, public ones are not', () => {
  const provider = {
    baseUrl: 'https://llm.example/v1',
    headers: {
      'X-Gateway-Key': 'HDRCANARY12345678',
      Authorization: 'Bearer AUTHCANARY1234',
      'User-Agent': 'my-program',
    },
    dialects: { anthropic: { baseUrl: 'https://llm.example', headers: { 'x-team-token': 'DIALECTCANARY1' } } },
    modelsUrl: 'https://llm.example/v1/models?key=MODCANARY%2B1234&limit=1000',
    keyCheck: { url: 'https://llm.example/check?token=CHECKCANARY99' },
  };
  const config = parseConfig(JSON.stringify({ providers: { az: provider } }), 'config.jsonc');
  expect(configuredSecrets(config).toSorted()).toEqual([
    'AUTHCANARY1234',
    'Bearer AUTHCANARY1234',
    'CHECKCANARY99',
    'DIALECTCANARY1',
    'HDRCANARY12345678',
    'MODCANARY+1234',
  ]);
});
