import { expect, test } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { Secret } from '../../../src/base/secret.ts';
import {
  BinarySecret,
  isSegment,
  listSecrets,
  parseDocument,
  parseSecretName,
  readStored,
  readStoredBytes,
  textOf,
} from '../../../src/credentials/opaque-store.ts';

const store = (files: Record<string, string>): Map<string, Secret> =>
  new Map(Object.entries(files).map(([file, content]) => [file, new Secret(content)]));

const FILES = store({
  'telegram/bot.json': '{"bot_token":"123:abc","chat":"x"}',
  'telegram/bot': 'hidden by the JSON file',
  'telegram/raw': '\n raw text \n',
  'telegram/list.json': '[1, 2]',
  'tele/x': 'of another provider',
});

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof AipassError) return error.code;
    throw error;
  }
  return 'none';
}

test('a JSON file comes before the raw one, which is trimmed', () => {
  expect(readStored(FILES, 'telegram/bot', false)).toBe('123:abc');
  expect(readStored(FILES, 'telegram/bot', true)).toEqual({ bot_token: '123:abc', chat: 'x' });
  expect(readStored(FILES, 'telegram/raw', false)).toBe('raw text');
  expect(readStored(FILES, 'telegram/raw', true)).toBe('raw text');
  expect(readStored(FILES, 'telegram/list.json', false)).toBe('[1, 2]');
});

test('a document that a caller changes is not the one that the next caller gets', () => {
  const first = readStored(FILES, 'telegram/bot', true);
  if (typeof first === 'object' && first !== null) Object.assign(first, { bot_token: 'changed' });
  expect(readStored(FILES, 'telegram/bot', true)).toMatchObject({ bot_token: '123:abc' });
});

test('the list names each secret once, by provider, without values', () => {
  expect(listSecrets(FILES)).toEqual([
    { name: 'tele/x', format: 'text', chars: 19 },
    { name: 'telegram/bot', format: 'json', chars: 7 },
    { name: 'telegram/list', format: 'json', chars: 5 },
    { name: 'telegram/raw', format: 'text', chars: 8 },
  ]);
  expect(listSecrets(FILES, 'tele').map(({ name }) => name)).toEqual(['tele/x']);
  expect(listSecrets(FILES, '../telegram')).toEqual([]);
});

test('what is not there is not found', () => {
  for (const name of [
    'telegram/none',
    'none/bot',
    'telegram/constructor',
    'oauth/google',
    'organizations/acme',
    'Organizations/acme',
  ]) {
    expect(codeOf(() => readStored(FILES, name, false))).toBe('NOT_FOUND');
  }
  expect(() => parseSecretName('oauth/google')).toThrow(
    expect.objectContaining({ hint: expect.stringContaining('token') }),
  );
});

test.each([
  '',
  'telegram',
  '/bot',
  'telegram/',
  '../x',
  'telegram/../x',
  'telegram/..',
  'a/b/c',
  '/etc/passwd',
  './bot',
  'telegram/.hidden',
  '.env/x',
  'telegram\\bot',
  'telegram/a\\b',
  'telegram/a\0b',
  'telegram/a\nb',
  '__pycache__/x',
  'telegram/a\u202eb',
  'telegram/\ud800',
  `telegram/${'x'.repeat(256)}`,
  'google_creds.json',
  '.env',
])('%j is no name of a secret', (name) => {
  expect(codeOf(() => readStored(FILES, name, false))).toBe('BAD_REQUEST');
});

test.each(['bot', 'my bot', 'bot.json', 'ünï', 'a-b_c@d'])('%j is one segment', (text) => {
  expect(isSegment(text)).toBe(true);
});

test('the text of an object is its first important field, and of anything else the value itself', () => {
  expect(textOf({ key: 'k', password: 'p', token: 't' })).toBe('t');
  expect(textOf({ api_key: null, secret: 's' })).toBe('s');
  expect(textOf({ token: 12 })).toBe('12');
  expect(textOf({ token: { inner: 1 } })).toBe('{"inner":1}');
  expect(textOf({ other: 'x' })).toBe('{"other":"x"}');
  expect(textOf('a string')).toBe('a string');
  expect(textOf([1])).toBe('[1]');
  expect(textOf(null)).toBe('null');
});

test('JSON that is cut off, or nested too deeply to print, is broken', () => {
  expect(parseDocument('{"a":')).toBeUndefined();
  expect(parseDocument('')).toBeUndefined();
  expect(parseDocument(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)).toBeUndefined();
  expect(parseDocument(`${'['.repeat(100)}${']'.repeat(100)}`)).toBeDefined();
});

test('bytes come out as the file has them, and binary content as bytes only', () => {
  const pem = '-----BEGIN KEY-----\r\nAAAA\r\n-----END KEY-----\r\n';
  const binary = Buffer.from([0x30, 0x82, 0, 1, 0xff, 0xfe]);
  const files = store({
    'ssh/key': pem,
    'ssh/bom': '\uFEFF a \n',
    'json/big.json': '{"token":"abc","id":12345678901234567890}',
  });
  files.set('bin/cert.p12', new BinarySecret(binary));
  expect(readStoredBytes(files, 'ssh/key', false).toString()).toBe(pem);
  expect(readStored(files, 'ssh/key', false)).toBe(pem.trim());
  expect(readStoredBytes(files, 'ssh/bom', false).toString()).toBe('\uFEFF a \n');
  expect(readStored(files, 'ssh/bom', false)).toBe('a');
  expect(readStoredBytes(files, 'json/big', false).toString()).toBe('abc');
  expect(readStoredBytes(files, 'json/big', true).toString()).toContain('12345678901234567890');
  expect(readStoredBytes(files, 'bin/cert.p12', false)).toEqual(binary);
  expect(codeOf(() => readStored(files, 'bin/cert.p12', false))).toBe('BAD_REQUEST');
  expect(codeOf(() => readStoredBytes(files, 'bin/none', false))).toBe('NOT_FOUND');
  expect(listSecrets(files, 'bin')).toEqual([{ name: 'bin/cert.p12', format: 'binary', chars: 6 }]);
});
