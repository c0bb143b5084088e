import { expect, test } from 'vitest';
import { apiKeysOf } from '../../../src/credentials/api-keys.ts';
import { parseEnvFile } from '../../../src/credentials/env-file.ts';
import { isPlaceholder } from '../../../src/credentials/placeholder.ts';
import { ENV_TEMPLATE } from '../../../src/credentials/template.ts';

const KNOWN = ['openrouter', 'openai', 'google', 'my-proxy'];

const read = (variables: Record<string, string>) => apiKeysOf(new Map(Object.entries(variables)), KNOWN);
const names = (variables: Record<string, string>): string[] =>
  read(variables).keys.map(({ provider, keyId }) => `${provider} ${keyId}`);

test('keys are sorted by provider and by the number of their variable, not by its letters', () => {
  expect(
    names({
      OPENROUTER_API_KEY_10: 'sk-j',
      OPENROUTER_API_KEY_2: 'sk-b',
      OPENAI_API_KEY: 'sk-x',
      OPENROUTER_API_KEY: 'sk-a',
      OPENROUTER_API_KEY_1: 'sk-1',
      SOMETHING_ELSE: 'no key',
      OPENROUTER_API_KEY_OLD: 'no key either',
    }),
  ).toEqual([
    'openai OPENAI_API_KEY',
    'openrouter OPENROUTER_API_KEY',
    'openrouter OPENROUTER_API_KEY_1',
    'openrouter OPENROUTER_API_KEY_2',
    'openrouter OPENROUTER_API_KEY_10',
  ]);
});

test('a prefix becomes the known provider of that name, a documented alias, or a provider of its own', () => {
  expect(
    names({ MY_PROXY_API_KEY: 'a-1', COINGECKO_API_KEY: 'CG-1', GEMINI_API_KEY: 'AIza-1', GOOGLE_API_KEY: 'AIza-2' }),
  ).toEqual([
    'coingecko COINGECKO_API_KEY',
    'google GOOGLE_API_KEY',
    'google GEMINI_API_KEY',
    'my-proxy MY_PROXY_API_KEY',
  ]);
  expect(apiKeysOf(new Map([['GEMINI_API_KEY', 'k']]), ['gemini']).keys[0]?.provider).toBe('gemini');
});

test('a placeholder is no key, but is reported', () => {
  expect(read({ OPENAI_API_KEY: 'sk-your-openai-key-here', COHERE_API_KEY: '' })).toEqual({
    keys: [],
    placeholders: [
      { provider: 'openai', keyId: 'OPENAI_API_KEY' },
      { provider: 'cohere', keyId: 'COHERE_API_KEY' },
    ],
    problems: [],
  });
});

test.each([
  '',
  '<your key>',
  'changeme',
  'CHANGE-ME',
  'xxx',
  'xxxxxxxx',
  'sk-xxxxxxxxxx',
  'sk-or-v1-xxxx…',
  'sk-...',
  'TODO',
  'sk-or-v1-your-key-here',
  'sk-your-openai-key-here',
  'your-key-here',
  'YOUR_API_KEY',
  'your-secret-token-here',
])('%j is a placeholder', (value) => {
  expect(isPlaceholder(value)).toBe(true);
});

test.each([
  'sk-or-v1-0a1b2c3d',
  'xx',
  'sk-proj-AbCxxxD',
  'gsk_yourself',
  'xai-abc',
  '0123456789abcdef',
  'hereyour-key',
])('%j is no placeholder', (value) => {
  expect(isPlaceholder(value)).toBe(false);
});

test('all that our own template sets are placeholders, and it has nothing malformed', () => {
  const { entries, problems } = parseEnvFile(ENV_TEMPLATE);
  expect(problems).toEqual([]);
  expect(apiKeysOf(entries, KNOWN)).toMatchObject({ keys: [], problems: [] });
  expect([...entries.keys()]).toEqual(['OPENROUTER_API_KEY', 'OPENAI_API_KEY']);
  const uncommented = ENV_TEMPLATE.replaceAll('# ', '')
    .split('\n')
    .filter((line) => /^\w+=</.test(line));
  expect(uncommented).toHaveLength(12);
  for (const line of uncommented) expect(isPlaceholder(line.slice(line.indexOf('=') + 1))).toBe(true);
});

test.each(['two words', 'line\nbreak', 'tab\there', 'bell\u0007', '“sk-quoted”', 'ключ', 'del\u007f'])(
  '%j is a problem that names the variable and not the value, and no key',
  (value) => {
    const { keys, problems } = read({ OPENAI_API_KEY: value });
    expect(keys).toEqual([]);
    expect(problems).toMatchObject([{ keyId: 'OPENAI_API_KEY', unusable: true }]);
    expect(JSON.stringify(problems)).not.toContain(value);
  },
);

test('white space around a quoted value does not count', () => {
  expect(read({ OPENAI_API_KEY: ' sk-1 ' }).keys[0]?.value.reveal()).toBe('sk-1');
});

test('a variable in small letters is reported', () => {
  expect(read({ openai_api_key: 'sk-1' }).problems).toMatchObject([
    { keyId: 'openai_api_key', hint: 'call it OPENAI_API_KEY', unusable: true },
  ]);
});

test('two variables with the same value are named, and both are keys', () => {
  const { keys, problems } = read({
    OPENAI_API_KEY: 'sk-same',
    OPENAI_API_KEY_2: 'sk-same',
    OPENAI_API_KEY_3: 'sk-other',
  });
  expect(keys).toHaveLength(3);
  expect(problems).toEqual([
    {
      keyId: 'OPENAI_API_KEY',
      problem: 'holds the same key as OPENAI_API_KEY_2',
      hint: 'keep one of OPENAI_API_KEY, OPENAI_API_KEY_2',
      unusable: false,
    },
  ]);
});

test.each([
  ['$BASE', true],
  ['${BASE}', true],
  ['$(pass)', true],
  ['$env:BASE', true],
  ['%BASE%', true],
  ['{{BASE}}', true],
  ['op://Private/openai/credential', true],
  ['keychain://openai', true],
  ['file:///run/secrets/openai', true],
  ['vault:secret/data/openai', true],
  ['arn:aws:secretsmanager:us-east-1:1:secret:openai', true],
  ['projects/1/secrets/openai/versions/latest', true],
  ['ENC[AES256_GCM,data:x,iv:y]', true],
  ['encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3', true],
  ['OPENAI_API_KEY=sk-proj-0123456789', true],
  ['sk-...789', true],
  ['sk-proj-******', true],
  ['"sk-quoted-twice-0123456789"', true],
  ['sk-proj-0123456789;', false],
  ['sk-proj-0123456789,', false],
  ['sk-proj-0123456789"', false],
  ['sk-proj-0123456789\\', false],
])('a value that is almost certainly not meant is reported: %s', (value, unusable) => {
  const { keys, problems } = read({ OPENAI_API_KEY: value });
  expect(problems).toMatchObject([{ keyId: 'OPENAI_API_KEY', unusable }]);
  expect(keys).toHaveLength(unusable ? 0 : 1);
});

test.each(['sk-proj-0123456789', 'https://eth.example.org/v3/0123', 'abc=def%41', 'a.b..c', 'projects/x'])(
  'a value that may be what a service calls its key is served as it is: %s',
  (value) => {
    const { keys, problems } = read({ OPENAI_API_KEY: value });
    expect(problems).toEqual([]);
    expect(keys[0]?.value.reveal()).toBe(value);
  },
);

test('the name of the variable is a placeholder for its value', () => {
  expect(read({ OPENAI_API_KEY: 'OPENAI_API_KEY' }).placeholders).toHaveLength(1);
});

test.each([
  ['OPENROUTER_KEY', 'OPENROUTER_API_KEY'],
  ['OPENROUTER-API-KEY', 'OPENROUTER_API_KEY'],
  ['OPENROUTER_APIKEY', 'OPENROUTER_API_KEY'],
  ['OPENAI_API_TOKEN', 'OPENAI_API_KEY'],
  ['OPEN_ROUTER_API_KEY', 'OPENROUTER_API_KEY'],
  ['CHATGPT_API_KEY', 'OPENAI_API_KEY'],
  ['MYPROXY_API_KEY', 'MY_PROXY_API_KEY'],
  ['OPENAI_API_KEY2', 'OPENAI_API_KEY_2'],
  ['OPENAI_API_KEYS', 'OPENAI_API_KEY'],
  ['OPENAI_API_KEY_PROD', 'OPENAI_API_KEY'],
  ['OPENAI_API_KYE', 'OPENAI_API_KEY'],
  ['OPENAI_SECRET_KEY', 'OPENAI_API_KEY'],
  ['OPENAI_API', 'OPENAI_API_KEY'],
  ['OPENIA_API_KEY', 'OPENAI_API_KEY'],
  ['OPENROUTR_API_KEY', 'OPENROUTER_API_KEY'],
  ['VITE_OPENAI_API_KEY', 'OPENAI_API_KEY'],
  ['GOOGLE_GENERATIVE_AI_API_KEY', 'GOOGLE_API_KEY'],
])('a near miss of a name is reported: %s', (name, meant) => {
  expect(read({ [name]: 'sk-0123456789' }).problems).toMatchObject([{ keyId: name, hint: `did you mean ${meant}?` }]);
  expect(read({ [name]: 'sk-0123456789', [meant]: 'sk-another' }).problems).toEqual([]);
  // As in the template, which has the right name with a placeholder.
  expect(read({ [name]: 'sk-0123456789', [meant]: 'sk-your-key-here' }).problems).toMatchObject([{ keyId: name }]);
});

test('names that have nothing to do with a known provider are left alone', () => {
  expect(
    read({ GITHUB_TOKEN: 'x1', DATABASE_KEY: 'x2', COINGECKO_API_KEY: 'x3', GEMINI_API_KEY: 'x4' }).problems,
  ).toEqual([]);
});

test.each([
  'OPENAI_API_KEY_OLD',
  'OPENAI_TOKEN_LIMIT',
  'OPENAI_BASE_URL',
  'PENAI_API_KEY',
  'OPENER_API_KEY',
  'API_KEY',
])('a name that is meant as it is, is not reported: %s', (name) => {
  expect(read({ [name]: 'sk-0123456789' }).problems).toEqual([]);
});

test.each(['~/.openai', '/run/secrets/openai', '@/home/me/key', './key', 'env:OPENAI', '@@OPENAI@@', '=sk-0123456789'])(
  'a value that names where the key is, or is cut wrongly, is not a key: %s',
  (value) => {
    const { keys, problems } = read({ OPENAI_API_KEY: value });
    expect(keys).toEqual([]);
    expect(problems).toMatchObject([{ keyId: 'OPENAI_API_KEY', unusable: true }]);
  },
);
