import { mkdir, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Redactor } from '../../../src/base/redactor.ts';
import { Vault } from '../../../src/credentials/vault.ts';
import { makeTempHome, type TempHome } from '../../support/temp-home.ts';
import { until } from '../../support/until.ts';
import { ManualClock } from '../../support/manual-clock.ts';

interface Setting extends AsyncDisposable {
  readonly home: TempHome;
  readonly vault: Vault;
  readonly clock: ManualClock;
  readonly redactor: Redactor;
  readonly log: string[];
}

function makeSetting(): Setting {
  const home = makeTempHome();
  const clock = new ManualClock();
  const redactor = new Redactor();
  const log: string[] = [];
  const note = (message: string, fields?: unknown): void => {
    log.push(`${message} ${JSON.stringify(fields)}`);
  };
  const vault = new Vault({
    paths: home.paths,
    knownProviders: () => ['openrouter', 'openai'],
    redactor,
    clock,
    logger: { info: note, warn: note },
  });
  return { home, vault, clock, redactor, log, [Symbol.asyncDispose]: () => home.remove() };
}

test('a vault without a folder holds nothing, and nothing is wrong', async () => {
  await using it = makeSetting();
  await it.vault.load();
  expect(it.vault.keys()).toEqual([]);
  expect(it.vault.keys('openrouter')).toEqual([]);
  expect(it.vault.placeholders()).toEqual([]);
  expect(it.vault.secretNames()).toEqual([]);
  expect(it.vault.warnings()).toEqual([]);
});

test('keys are given by provider, and placeholders apart', async () => {
  await using it = makeSetting();
  await it.home.writeKeys({
    OPENROUTER_API_KEY_2: 'sk-or-v1-b',
    OPENROUTER_API_KEY: 'sk-or-v1-a',
    OPENAI_API_KEY: 'sk-your-openai-key-here',
    COINGECKO_API_KEY: 'CG-1',
  });
  await it.vault.load();
  expect(it.vault.keys('openrouter').map((key) => key.value.reveal())).toEqual(['sk-or-v1-a', 'sk-or-v1-b']);
  expect(it.vault.keys().map((key) => key.provider)).toEqual(['coingecko', 'openrouter', 'openrouter']);
  expect(it.vault.placeholders()).toEqual([{ provider: 'openai', keyId: 'OPENAI_API_KEY' }]);
});

test('a provider that becomes known during a read has its keys after it', async () => {
  await using home = makeTempHome();
  await home.writeKeys({ OPEN_AI_API_KEY: 'sk-1' });
  let known: readonly string[] = [];
  const vault = new Vault({
    paths: home.paths,
    knownProviders: () => {
      const before = known;
      known = ['open-ai'];
      return before;
    },
    redactor: new Redactor(),
    clock: new ManualClock(),
    logger: { info: () => {}, warn: () => {} },
  });
  await vault.load();
  expect(vault.keys().map((key) => key.provider)).toEqual(['open-ai']);
});

test('an explicit load believes at once what it sees', async () => {
  await using it = makeSetting();
  await it.home.writeKeys({ OPENAI_API_KEY: 'sk-1' });
  await it.vault.load();
  await unlink(it.home.paths.envFile);
  await it.vault.load();
  expect(it.vault.keys()).toEqual([]);
});

test('changes are logged by name, once, and a warning when it is new', async () => {
  await using it = makeSetting();
  await it.home.writeKeys({ OPENAI_API_KEY: 'sk-secret-one', GROQ_API_KEY: 'gsk-secret', 'no assignment': '' });
  await it.vault.load();
  await it.vault.load();
  await it.home.writeKeys({ OPENAI_API_KEY: 'sk-secret-two', XAI_API_KEY: 'xai-secret' });
  await it.vault.load();
  await it.vault.load();
  expect(it.log).toEqual([
    'the secrets changed {"added":["OPENAI_API_KEY","GROQ_API_KEY"],"changed":[],"removed":[]}',
    expect.stringContaining('line 3 is neither an assignment'),
    'the secrets changed {"added":["XAI_API_KEY"],"changed":["OPENAI_API_KEY"],"removed":["GROQ_API_KEY"]}',
  ]);
});

test("the template's placeholders are not logged as added keys", async () => {
  await using it = makeSetting();
  await it.home.writeKeys({ OPENAI_API_KEY: 'sk-your-openai-key-here' });
  await it.vault.load();
  expect(it.vault.placeholders()).toEqual([{ provider: 'openai', keyId: 'OPENAI_API_KEY' }]);
  expect(it.log).toEqual([]);
  await it.home.writeKeys({ OPENAI_API_KEY: 'sk-real-one', GROQ_API_KEY: 'your-key-here' });
  await it.vault.load();
  expect(it.log).toEqual(['the secrets changed {"added":[],"changed":["OPENAI_API_KEY"],"removed":[]}']);
});

test('the redactor learns keys, leaves of documents, lines of raw secrets, and what was just replaced', async () => {
  await using it = makeSetting();
  const folder = it.home.paths.secrets;
  await it.home.writeKeys({ OPENAI_API_KEY: 'old-key-value', OTHER: 'openrouter' });
  await mkdir(join(folder, 'a'));
  await writeFile(join(folder, 'a', 'doc.json'), '{"list":[{"deep":"deep-leaf"}]}', { mode: 0o600 });
  await writeFile(join(folder, 'a', 'raw'), 'first-line\n  second-line\n', { mode: 0o600 });
  await it.vault.load();
  await it.home.writeKeys({ OPENAI_API_KEY: 'new-key-value', OTHER: 'openrouter' });
  await it.vault.load();
  expect(it.redactor.redact('old-key-value new-key-value deep-leaf first-line, second-line; openrouter')).toBe(
    '[secret] [secret] [secret] [secret], [secret]; openrouter',
  );
});

test('a change that no watcher reports is seen within 30 seconds', async () => {
  await using it = makeSetting();
  const { secretsRoot } = it.home.paths;
  for (const name of ['one', 'two']) {
    await mkdir(join(it.home.path, name, 'aipass', 'a'), { recursive: true });
    await writeFile(join(it.home.path, name, 'aipass', '.env'), `OPENAI_API_KEY=sk-${name}`, { mode: 0o600 });
  }
  await symlink('one', secretsRoot);
  const release = await it.vault.start();
  try {
    await writeFile(join(it.home.path, 'one', 'aipass', 'a', 'seen'), 'x');
    it.clock.advance(50);
    await until('the watcher is ready', () => it.clock.waits.length === 2);
    it.clock.advance(40);
    await until('the read after that is over', () => it.vault.secretNames().length === 1);

    // Nobody watches the folder in which ~/.secrets itself is a link.
    await symlink('two', join(it.home.path, 'turned'));
    await rename(join(it.home.path, 'turned'), secretsRoot);
    it.clock.advance(29_900);
    expect(it.vault.keys()[0]?.value.reveal()).toBe('sk-one');
    it.clock.advance(100);
    await until('the other key', () => it.vault.keys()[0]?.value.reveal() === 'sk-two');
  } finally {
    await release();
  }
});

test('a vanished file is believed at the second look, 200 ms after the first', async () => {
  await using it = makeSetting();
  await it.home.writeKeys({ OPENAI_API_KEY: 'sk-1' });
  await mkdir(join(it.home.paths.secrets, 'a'), { mode: 0o700 });
  const release = await it.vault.start();
  let reads = 0;
  it.vault.onChange(() => {
    reads += 1;
  });
  const readNow = async (): Promise<void> => {
    // A new secret shows that the read is over.
    const name = `secret-${reads}`;
    await writeFile(join(it.home.paths.secrets, 'a', name), 'x', { mode: 0o600 });
    it.vault.changed();
    it.clock.advance(40);
    await until('the read', () => it.vault.secretNames().some((secret) => secret.name === `a/${name}`));
  };
  try {
    await rm(it.home.paths.envFile);
    await readNow();
    expect(it.vault.keys()).toHaveLength(1);
    it.clock.advance(100);
    await readNow();
    expect(it.vault.keys()).toHaveLength(1);
    it.clock.advance(200);
    await until('the key is gone', () => it.vault.keys().length === 0);
  } finally {
    await release();
  }
});

test('a released vault reads nothing any more', async () => {
  await using it = makeSetting();
  const release = await it.vault.start();
  await release();
  await it.home.writeKeys({ OPENAI_API_KEY: 'sk-1' });
  it.vault.changed();
  it.clock.advance(60_000);
  await it.vault.load();
  expect(it.log).toHaveLength(1);
});
