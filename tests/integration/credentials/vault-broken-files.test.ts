/**
 * What is broken, refused or unreadable on disk never takes away what the vault held, and is named
 * with what to do.
 */

import { existsSync } from 'node:fs';
import { chmod, mkdir, rename, symlink, unlink, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { until } from '../../support/until.ts';
import { startVault, type WatchedVault } from './watched-vault.ts';

const TWO_KEYS = 'OPENROUTER_API_KEY=sk-or-v1-first\nOPENAI_API_KEY=sk-second\n';

async function startWithSecrets(): Promise<WatchedVault> {
  return startVault(async ({ root, folder, envFile }) => {
    await mkdir(join(folder, 'telegram'), { recursive: true });
    for (const path of [root, folder, join(folder, 'telegram')]) await chmod(path, 0o700);
    await writeFile(envFile, TWO_KEYS, { mode: 0o600 });
    await writeFile(join(folder, 'telegram', 'bot.json'), '{"bot_token":"123:first-token"}', { mode: 0o600 });
    await writeFile(join(folder, 'telegram', 'raw'), ' raw-secret\n', { mode: 0o600 });
  });
}

async function warns(it: WatchedVault, part: string): Promise<void> {
  await until(`a warning says ${part}`, () =>
    it.vault.warnings().some((warning) => `${warning.subject}: ${warning.problem}: ${warning.hint}`.includes(part)),
  );
}

async function isQuiet(it: WatchedVault): Promise<void> {
  await until('nothing is wrong any more', () => it.vault.warnings().length === 0);
}

test('a folder within the folder of a provider is named, because nothing in it is read', async () => {
  await using it = await startVault(async ({ root, folder }) => {
    await mkdir(join(folder, 'telegram', 'old'), { recursive: true });
    for (const path of [root, folder, join(folder, 'telegram')]) await chmod(path, 0o700);
  });
  await warns(it, 'telegram/old');
});

describe('a broken .env', () => {
  test('with a malformed line gives its good lines, and keeps what its bad lines may hide until it is fixed', async () => {
    await using it = await startWithSecrets();
    await it.write('.env', 'OPENROUTER_API_KEY="sk-or-v1-cut\nGROQ_API_KEY=gsk_new\n');
    await it.serves('groq', ['gsk_new']);
    await warns(it, 'line 1 opens a quote');
    await it.serves('openrouter', ['sk-or-v1-first']);
    await it.serves('openai', ['sk-second']);
    await warns(it, 'OPENROUTER_API_KEY from before');
    const kept = it.vault.keys().filter((key) => it.vault.isFromBefore(key.keyId));
    expect(kept.map((key) => key.keyId)).toEqual(['OPENAI_API_KEY', 'OPENROUTER_API_KEY']);

    await it.write('.env', 'GROQ_API_KEY=gsk_new\n');
    await isQuiet(it);
    expect(it.vault.keys().map((key) => key.keyId)).toEqual(['GROQ_API_KEY']);
  });

  test.each([
    ['bytes that are no text', Buffer.from([0x4f, 0xff, 0xfe]), 'is not UTF-8'],
    ['a comment in Latin-1', Buffer.from('A=1\n# caf\xe9\n', 'latin1'), 'line 2'],
    ['a NUL', Buffer.from('OPENAI_API_KEY=sk\0x\n'), 'NUL character in line 1'],
    ['more than a mebibyte', Buffer.alloc(1024 * 1024 + 1, 'A=1\n'), 'is larger than'],
  ])('with %s is named, and its last good keys stay', async (_what, bytes, problem) => {
    await using it = await startWithSecrets();
    await writeFile(it.envFile, bytes);
    await warns(it, problem);
    await warns(it, 'from before');
    expect(it.vault.keys().map((key) => key.value.reveal())).toEqual(['sk-second', 'sk-or-v1-first']);
    expect(it.vault.keys().every((key) => it.vault.isFromBefore(key.keyId))).toBe(true);
    await it.write('.env', TWO_KEYS);
    await isQuiet(it);
    expect(it.vault.keys().some((key) => it.vault.isFromBefore(key.keyId))).toBe(false);
  });

  test('with a value that no header carries keeps the last good one', async () => {
    await using it = await startWithSecrets();
    await it.write('.env', 'OPENROUTER_API_KEY=“sk-or-v1-first”\nOPENAI_API_KEY=sk-newer\n');
    await warns(it, 'OPENROUTER_API_KEY holds');
    await it.serves('openai', ['sk-newer']);
    await it.serves('openrouter', ['sk-or-v1-first']);
  });

  test('that became a FIFO is named and does not hold up anything', async () => {
    await using it = await startWithSecrets();
    await unlink(it.envFile);
    execFileSync('sh', ['-c', 'mkfifo "$0"', it.envFile]);
    await warns(it, 'is not a regular file');
    await it.write('telegram/later', 'served-all-the-same');
    await until('a later secret is served', () => it.vault.secretNames('telegram').length === 3);
  });

  test('with a value that never was a key has none from before, however often it is read', async () => {
    await using it = await startWithSecrets();
    for (const round of ['first', 'second', 'third']) {
      await it.write('.env', `${TWO_KEYS}GOOGLE_API_KEY=\${BASE}\n# ${round}\nROUND_API_KEY=${round}-round\n`);
      await it.serves('round', [`${round}-round`]);
      const warning = it.vault.warnings().find(({ problem }) => problem.startsWith('GOOGLE_API_KEY'));
      expect(warning?.problem).toMatch(/is not resolved here$/);
      expect(it.vault.unusable()).toMatchObject([{ provider: 'google', keyId: 'GOOGLE_API_KEY' }]);
    }
  });

  test('that others may write is refused, named with its chmod, and its last good keys stay', async () => {
    await using it = await startWithSecrets();
    await writeFile(it.envFile, 'OPENROUTER_API_KEY=sk-or-v1-planted\n');
    await chmod(it.envFile, 0o622);
    await warns(it, `chmod 600 ${it.envFile}`);
    await chmod(it.envFile, 0o600);
    await it.serves('openrouter', ['sk-or-v1-planted']);
  });
});

describe('links within the secrets folder', () => {
  test('that lead back are not followed, and are named with the command that deletes them', async () => {
    await using it = await startWithSecrets();
    await mkdir(join(it.folder, 'oauth'), { mode: 0o700 });
    const links: readonly (readonly [string, string])[] = [
      ['self', '.'],
      ['tokens', 'oauth'],
      ['telegram/loop', '..'],
      ['telegram/token.json', '../oauth/github.json'],
      ['telegram/google.json', '../google_creds.json'],
    ];
    for (const file of ['oauth/github.json', 'google_creds.json']) await it.write(file, '{"refresh_token":"r-1"}');
    for (const [link, target] of links) await symlink(target, join(it.folder, link));
    it.vault.changed();
    for (const [link] of links) await warns(it, `rm ${join(it.folder, link)}`);
    expect(it.vault.secretNames().map(({ name }) => name)).toEqual(['telegram/bot', 'telegram/raw']);
  });

  test('that lead to another provider or out of the folder are read', async () => {
    await using it = await startWithSecrets();
    const outside = join(it.root, 'elsewhere');
    await writeFile(outside, 'from-outside', { mode: 0o600 });
    await symlink('telegram', join(it.folder, 'tg'));
    await symlink(outside, join(it.folder, 'telegram', 'linked'));
    it.vault.changed();
    await until('the linked secret is served', () => it.vault.secretNames('tg').length === 3);
    expect(it.vault.readSecret('tg/linked', false)).toBe('from-outside');
    await isQuiet(it);
  });
});

test('a file in place of the secrets folder is reported as one, without a chmod', async () => {
  await using it = await startWithSecrets();
  await rename(it.root, `${it.root}-aside`);
  await writeFile(it.root, '', { mode: 0o644 });
  it.vault.changed();
  await warns(it, `${it.root}: is not a folder`);
  expect(it.vault.warnings().some(({ hint }) => hint.includes('chmod'))).toBe(false);
  await unlink(it.root);
  await rename(`${it.root}-aside`, it.root);
});

test('a name that cannot be used is reported', async () => {
  await using it = await startWithSecrets();
  await it.write('telegram/two\nlines', 'x');
  await it.write('telegram/.DS_Store', 'x');
  await warns(it, 'two lines');
  expect(it.vault.warnings()).toHaveLength(1);
});

test.runIf(existsSync('/proc/self/mem'))(
  'a .env that is a link to what cannot be read is reported as a link',
  async () => {
    await using it = await startWithSecrets();
    await unlink(it.envFile);
    await symlink('/proc/self/mem', it.envFile);
    await warns(it, '/mem, which cannot be read');
  },
);

describe('permissions', () => {
  test('what others can read is served, and named with the chmod that fixes it', async () => {
    await using it = await startWithSecrets();
    const secret = join(it.folder, 'telegram', 'bot.json');
    const google = join(it.folder, 'google_creds.json');
    await writeFile(google, '{}');
    for (const path of [it.envFile, secret, google]) await chmod(path, 0o644);
    await chmod(it.root, 0o755);
    for (const path of [it.envFile, secret, google]) await warns(it, `chmod 600 ${path}`);
    await warns(it, `chmod 700 ${it.root}`);
    await it.serves('openai', ['sk-second']);
    expect(it.vault.readSecret('telegram/bot', false)).toBe('123:first-token');
  });

  test('a folder that others can write to is reported once, with one command', async () => {
    await using it = await startWithSecrets();
    for (const path of [it.folder, it.root]) {
      await chmod(path, 0o777);
      it.vault.changed();
      await warns(it, `chmod 700 ${path}`);
      expect(it.vault.warnings()).toMatchObject([{ subject: path }]);
      expect(it.vault.keys().map((key) => key.value.reveal())).toEqual(['sk-second', 'sk-or-v1-first']);
      await chmod(path, 0o700);
      it.vault.changed();
      await isQuiet(it);
    }
  });
});

describe('opaque secrets', () => {
  test('are followed, and a deleted one is gone', async () => {
    await using it = await startWithSecrets();
    expect(it.vault.secretNames()).toEqual([
      { name: 'telegram/bot', format: 'json', chars: 15 },
      { name: 'telegram/raw', format: 'text', chars: 10 },
    ]);
    await it.write('telegram/bot.json', '{"bot_token":"123:second-token"}');
    await until('the new token', () => it.vault.readSecret('telegram/bot', false) === '123:second-token');
    await unlink(join(it.folder, 'telegram', 'bot.json'));
    await until('the token is gone', () => it.vault.secretNames('telegram').length === 1);
    expect(() => it.vault.readSecret('telegram/bot', false)).toThrow(AipassError);
  });

  test('keep their last good content while their JSON is broken', async () => {
    await using it = await startWithSecrets();
    await it.write('telegram/bot.json', '{"bot_token": "123:cu');
    await warns(it, 'is not valid JSON');
    expect(it.vault.readSecret('telegram/bot', true)).toEqual({ bot_token: '123:first-token' });
  });

  test('are not the OAuth accounts, and not what lies beside the folders', async () => {
    await using it = await startWithSecrets();
    await it.write('oauth/google.json', '{"refresh_token":"1//never-served"}');
    await it.write('google_client_secret.json', '{}');
    await it.write('telegram/.hidden', 'x');
    await it.write('telegram/__pycache__/x', 'x');
    await it.write('telegram/last', 'read after the others');
    await until('the last one is read', () => it.vault.secretNames().length === 3);
    expect(it.vault.secretNames().map(({ name }) => name)).toEqual(['telegram/bot', 'telegram/last', 'telegram/raw']);
  });
});

test('no value shows up in the log, in a warning or in the vault itself, and the redactor knows every one', async () => {
  await using it = await startWithSecrets();
  const canaries = ['sk-or-v1-first', 'sk-second', '123:first-token', 'raw-secret', 'canary-with-a-bad-quote'];
  await it.write('.env', `${TWO_KEYS}GROQ_API_KEY='canary-with-a-bad-quote\n`);
  await warns(it, 'line 3');
  await it.write('telegram/bot.json', '{"bot_token": 123:first-token');
  await warns(it, 'is not valid JSON');
  const shown = [it.log.join('\n'), JSON.stringify(it.vault.warnings()), inspect(it.vault, { depth: 9 })].join('\n');
  for (const canary of canaries) expect(shown).not.toContain(canary);
  for (const canary of canaries.slice(0, 4)) expect(it.redactor.redact(`said ${canary}!`)).toBe('said [secret]!');
});
