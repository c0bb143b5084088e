/**
 * What is fuzzed: everything that reads text that strangers, editors or crashes may have written. A
 * target takes any text, and throws when a promise about it is broken.
 */

import assert from 'node:assert/strict';
import { parseLine } from '../../src/audit/record.ts';
import { verifyAudit } from '../../src/audit/verify.ts';
import { parseConfig } from '../../src/base/config.ts';
import { AipassError } from '../../src/base/errors.ts';
import { parseJsonObject, isDeeperThan } from '../../src/base/json.ts';
import { Secret } from '../../src/base/secret.ts';
import { createProviders } from '../../src/providers/registry.ts';
import { resolveAccess } from '../../src/callers/access.ts';
import { configSchema } from '../../src/base/config-schema.ts';
import { apiKeysOf } from '../../src/credentials/api-keys.ts';
import { parseEnvFile } from '../../src/credentials/env-file.ts';
import { leavesOf, parseDocument, textOf } from '../../src/credentials/opaque-store.ts';
import { accountBasis, formatWithTokens, parseAccountFile, parseClient } from '../../src/refreshers/account-file.ts';
import { checkAccountFile } from '../../src/refreshers/account-schema.ts';
import { dialectOf, parseTarget } from '../../src/gateway/target.ts';
import { FrameError, parseEnvelope, printFrame, readFrames, type PartialFrame } from '../../src/protocol/frames.ts';

/** One reader and its promises. */
export interface FuzzTarget {
  readonly name: string;
  /** Lists pieces from which this reader's hard cases are made. */
  readonly pieces: readonly string[];
  run(text: string): Promise<void> | void;
}

const JSON_PIECES = [
  '{',
  '}',
  '[',
  ']',
  '"',
  '\\',
  '\\"',
  ':',
  ',',
  'null',
  '1e999',
  '-0',
  '{"a":',
  '"__proto__":',
  '[[[[',
  ']]]]',
];
const MAX_FRAME_BYTES = 256;

/** Cuts a stream of chunks; returns the frames, and null last where it was refused. */
function cut(chunks: readonly string[]): (string | null)[] {
  const frames: (string | null)[] = [];
  let partial: PartialFrame | undefined;
  try {
    for (const chunk of chunks) partial = readFrames(partial, chunk, MAX_FRAME_BYTES, (frame) => frames.push(frame));
  } catch (error) {
    assert.ok(error instanceof FrameError, `readFrames threw ${String(error)}`);
    frames.push(null);
  }
  return frames;
}

const ACCOUNT_FIELDS = [
  '"token":"',
  '"access_token":"',
  '"refresh_token":"',
  '"client_id":"',
  '"client_secret":"',
  '"expiry":"2026-01-01T00:00:00Z"',
  '"expiry_date":1e15',
  '"expires_at":',
  '"scopes":["a"]',
  '"scope":"a b"',
  '"type":"service_account"',
  '"type":"authorized_user"',
  '"private_key":"-----BEGIN',
  '"token_endpoint":"https://a/"',
  '"token_uri":"http://a/"',
  '"installed":{',
  '"web":{',
  'ya29.secret-canary',
];

/**
 * Checks a file of an account: a problem quotes nothing of it, and it can be written again with new
 * tokens.
 */
function checkAccount(text: string, google: boolean): void {
  const raw = parseJsonObject(text);
  if (raw === undefined) return;
  assert.ok(!(checkAccountFile(raw, google) ?? '').includes('canary'), 'the problem must not quote a value');
  const account = parseAccountFile(raw, google, 0);
  assert.equal(typeof accountBasis(account), 'string');
  // A service account has no tokens of its own in its file.
  if (account.form === 'service-account') return;
  const tokens = {
    accessToken: new Secret('new-access'),
    refreshToken: new Secret('new-refresh'),
    tokenType: 'Bearer',
    expiresIn: 3600,
  };
  const written = parseJsonObject(formatWithTokens(account, tokens, 1_700_000_000_000));
  assert.ok(written !== undefined);
  const again = parseAccountFile(written, google, 0);
  assert.equal(again.accessToken?.reveal(), 'new-access');
  assert.equal(again.refreshToken?.reveal(), 'new-refresh');
  for (const name of Object.keys(raw)) assert.ok(Object.hasOwn(again.raw, name), `${name} was lost`);
}

const PROVIDERS = createProviders(configSchema.parse({}));

/**
 * Checks a target of an HTTP request: what it leads to stays below a provider's base URL, and holds
 * no key.
 */
function checkTarget(url: string, headers: Readonly<Record<string, string>>): void {
  dialectOf(url, headers);
  const options = { dialectsOf: (name: string) => PROVIDERS.find(name)?.dialects, defaultProvider: 'openrouter' };
  const target = parseTarget(url, headers, options);
  if (target.kind !== 'forward') return;
  const sent = new URL(`https://provider.example/base${target.path}${target.query}`);
  assert.equal(sent.host, 'provider.example');
  assert.ok(sent.pathname.startsWith('/base/'), `${sent.pathname} left the base URL`);
  assert.ok(!sent.searchParams.has('key'), 'a key was passed on');
  assert.ok(PROVIDERS.find(target.provider)?.dialects[target.dialect] !== undefined);
}

/** Lists every reader that is fuzzed. */
export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'frame-reader',
    pieces: ['\f', '\f\f', ...JSON_PIECES, 'x'.repeat(250), 'é'.repeat(130), '\u{1f511}'],
    run: (text) => {
      const whole = cut([text]);
      const pieces = text.match(/[^]{1,7}/gu) ?? [];
      assert.deepEqual(cut(pieces), whole, 'where a stream is cut into chunks must not matter');
      for (const frame of whole) assert.ok(frame === null || Buffer.byteLength(frame) <= MAX_FRAME_BYTES);
    },
  },
  {
    name: 'envelope-reader',
    pieces: [...JSON_PIECES, '{"type":', '"type"', '"data":', '"request"', '{"type":"hello","data":{}}'],
    run: (text) => {
      try {
        assert.equal(typeof parseEnvelope(text).type, 'string');
      } catch (error) {
        assert.ok(error instanceof FrameError, `parseEnvelope threw ${String(error)}`);
        assert.ok(text.length < 8 || !error.message.includes(text), 'the message must not quote the frame');
      }
      assert.equal(Reflect.get({}, 'polluted'), undefined);
    },
  },
  {
    name: 'codec',
    pieces: ['\f', '\n', '\u2028', '"', '\\', '\0', '\ud800', '{"a":1}'],
    run: (text) => {
      const data = { [text]: text, list: [text, { text }] };
      const frames: string[] = [];
      assert.equal(
        readFrames(undefined, printFrame('request', data), 2 ** 20, (frame) => frames.push(frame)),
        undefined,
      );
      assert.equal(frames.length, 1);
      assert.deepEqual(parseEnvelope(frames[0] ?? ''), { type: 'request', data: JSON.parse(JSON.stringify(data)) });
    },
  },
  {
    name: 'json-depth',
    pieces: JSON_PIECES,
    run: (text) => {
      const depthOf = (value: unknown): number =>
        typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        isDeeperThan(text, 3);
        return;
      }
      // Objects may hide a deep value behind a later one of the same name: the text is then deeper
      // than what it means.
      if (depthOf(value) > 3) assert.ok(isDeeperThan(text, 3));
    },
  },
  {
    name: 'env-file',
    pieces: [
      'A',
      'export ',
      '=',
      "'",
      '"',
      '`',
      '\\',
      '#',
      '\n',
      '\r\n',
      '\uFEFF',
      'OPENROUTER_API_KEY=',
      'sk-or-v1-abc',
      ' ',
    ],
    run: (text) => {
      const { entries, problems } = parseEnvFile(text);
      for (const value of entries.values()) assert.equal(typeof value, 'string');
      for (const { line } of problems) assert.ok(line >= 1);
      apiKeysOf(entries, ['openrouter', 'my-llm']);
    },
  },
  {
    name: 'opaque-secret',
    pieces: [...JSON_PIECES, '{"private_key":"', '-----BEGIN'],
    run: (text) => {
      const document = parseDocument(text);
      if (!document) return;
      assert.equal(typeof textOf(document.value), 'string');
      leavesOf(document.value);
    },
  },
  {
    name: 'google-account',
    pieces: [...JSON_PIECES, ...ACCOUNT_FIELDS],
    run: (text) => checkAccount(text, true),
  },
  {
    name: 'oauth-account',
    pieces: [...JSON_PIECES, ...ACCOUNT_FIELDS],
    run: (text) => checkAccount(text, false),
  },
  {
    name: 'client-file',
    pieces: [...JSON_PIECES, ...ACCOUNT_FIELDS],
    run: (text) => {
      assert.match(typeof parseClient(text)?.clientId, /string|undefined/);
    },
  },
  {
    name: 'gateway-target',
    pieces: [
      '/',
      '//',
      '/..',
      '/.',
      '%2e',
      '%252e',
      '%2f',
      '%5c',
      '\\',
      '/v1',
      '/v1beta',
      '/openai',
      '/google',
      '/anthropic',
      '/messages',
      '/models',
      ':generateContent',
      '?',
      'key=',
      '%6bey=x',
      '&',
      '#',
      '@',
      'http://evil.example',
      '\0',
      '\r\n',
    ],
    run: (text) => {
      for (const url of [text, `/${text}`, `/openai/${text}`]) {
        for (const headers of [{}, { 'anthropic-version': '2023-06-01' }, { 'x-goog-api-key': 'x' }]) {
          checkTarget(url, headers);
        }
      }
    },
  },
  {
    name: 'configuration',
    pieces: [...JSON_PIECES, '//', '/*', '*/', '"limits"', '"providers"', '"access"', '"inFlight"', '8', '"https://a"'],
    run: (text) => {
      try {
        parseConfig(text, 'config.jsonc');
      } catch (error) {
        assert.ok(error instanceof AipassError && error.code === 'BAD_REQUEST', `parseConfig threw ${String(error)}`);
      }
    },
  },
  {
    name: 'audit',
    pieces: [
      '\n',
      '{"anchor":{"seq":1,"hash":"x"}}',
      '{"seq":1,"at":1,"caller":null,"operation":"a","credential":null,"outcome":"released","previous":"',
      '0'.repeat(64),
      '"}',
      ...JSON_PIECES,
    ],
    run: async (text) => {
      const lines = text.split('\n');
      for (const line of lines) parseLine(line);
      assert.ok(
        ['intact', 'broken'].includes((await verifyAudit(lines.map((line) => ({ text: line, ended: true })))).kind),
      );
    },
  },
  {
    name: 'account-files',
    pieces: ['alice', ':x:', ':', '\n', '1001', '-1', '99999999999', 'aipassd:x:990:'],
    run: (text) => {
      const config = configSchema.parse({ access: { use: { users: ['alice'], groups: ['aipassd'] } } });
      const { grants: policy } = resolveAccess(config, { passwd: text, group: text }, 5);
      for (const { uids } of policy.grants) for (const uid of uids) assert.ok(uid >= 0);
    },
  },
];
