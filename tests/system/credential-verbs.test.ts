/**
 * The verbs of provider credentials and opaque secrets, with the built command line. Keys come
 * through standard input.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Credential, CredentialUsage } from '../../src/protocol/credential.ts';
import type { ProgramResult } from '../support/run-program.ts';
import { CLI_PATH } from '../support/run-cli.ts';
import { createTestDaemon, LOCAL_KEY, OPENROUTER_KEY, type TestDaemon } from '../support/test-daemon.ts';

const FIRST = 'lk-first-canary-0011223344556677';
const SECOND = 'lk-second-canary-8899aabbccddeeff';
const THIRD = 'lk-third-canary-zzyyxxwwvvuuttss';
const REFUSED = 'lk-refused-canary-qwertyuiopasdf';

let running: TestDaemon;
/** Everything that the command line printed. */
const printed: string[] = [];

async function cli(args: readonly string[], stdin?: string, columns?: number): Promise<ProgramResult> {
  const env = columns === undefined ? {} : { COLUMNS: String(columns) };
  const result = await running.cli(args, { ...(stdin === undefined ? {} : { stdin }), env });
  printed.push(result.stdout, result.stderr);
  return result;
}

async function list(): Promise<readonly Credential[]> {
  const credentials: readonly Credential[] = JSON.parse((await cli(['credential', 'list', '--json'])).stdout);
  return credentials;
}

function envFile(): string {
  return readFileSync(running.home.paths.envFile, 'utf8');
}

describe('the verbs of credentials', () => {
  beforeAll(async () => {
    running = await createTestDaemon();
    running.provider.route('/v1/models', { kind: 'json', body: { data: [{ id: 'm' }, { id: 'n' }] } });
    running.provider.acceptKeys([LOCAL_KEY, FIRST, SECOND, THIRD]);
  });
  afterAll(() => running[Symbol.asyncDispose]());

  it('add saves a key from standard input in the next variable, and prints what the provider answered', async () => {
    const { stdout, code } = await cli(['add', 'local', '--name', 'team'], `${FIRST}\n`);
    expect(stdout).toBe('Added LOCAL_API_KEY_2  lk-fir****6677\nlocal accepts it, 2 models\n');
    expect(code).toBe(0);
    expect(envFile()).toContain(`LOCAL_API_KEY_2=${FIRST}\n`);
    expect((await cli(['add', 'local'], FIRST)).stderr).toMatch(/LOCAL_API_KEY_2 .*\[CONFLICT\]/);
  });

  it('add saves no key that the provider refuses, unless it is forced', async () => {
    const before = envFile();
    const refused = await cli(['add', 'local', '--json'], REFUSED);
    expect(refused.code).toBe(2);
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'PROVIDER_REJECTED' } });
    expect(envFile()).toBe(before);
    expect((await cli(['add', 'local', '--name', 'bad', '--force'], REFUSED)).code).toBe(0);
    expect((await cli(['credential', 'usage', 'local/bad'])).code).toBe(2);
    expect((await cli(['credential', 'rm', 'local/bad', '--yes'])).code).toBe(0);
    expect(envFile()).toBe(before);
  });

  it('take no key on the command line, and do not repeat one that is there', async () => {
    const surplus = await cli(['add', 'local', SECOND], '');
    expect(surplus.code).toBe(1);
    const inPlace = await cli(['credential', 'test', SECOND], '');
    expect(inPlace.code).toBe(1);
    expect((await cli(['add', 'local'], '')).code).toBe(2);
    expect((await cli(['add', 'local'], `${SECOND}\n${THIRD}\n`)).code).toBe(2);
  });

  it('list, show and switch a credential that is named by the beginning of its id', async () => {
    const table = await cli(['credential', 'list'], undefined, 60);
    for (const line of table.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(60);
    const team = (await list()).find((one) => one.account_key === 'team');
    const short = team?.id.slice(0, 8) ?? '';
    expect(table.stdout).toMatch(new RegExp(`^${short} +local +team +…6677 +on$`, 'm'));
    expect((await cli(['credential', 'off', short])).code).toBe(0);
    expect(JSON.parse((await cli(['credential', 'show', short, '--json'])).stdout)).toMatchObject({ active: false });
    expect((await cli(['credential', 'on', 'LOCAL_API_KEY_2'])).stdout).toMatch(/^state +on$/m);
    expect((await cli(['credential', 'show', 'nowhere-1'])).stderr).toContain('NOT_FOUND');
  });

  it('set changes fields, and asks for the key where the base URL changes', async () => {
    expect((await cli(['credential', 'set', 'local/team', '--display-name', 'Team key'])).code).toBe(0);
    const moved = await cli(
      ['credential', 'set', 'local/team', '--base-url', running.provider.baseUrl, '--json'],
      FIRST,
    );
    expect(JSON.parse(moved.stdout)).toMatchObject({ display_name: 'Team key', base_url: running.provider.baseUrl });
    expect((await cli(['credential', 'set', 'local/team'])).code).toBe(1);
    const audit = readFileSync(running.home.paths.audit, 'utf8');
    expect(audit).toContain('"outcome":"changed","detail":"display_name"');
    expect(audit).toContain('"outcome":"changed","detail":"api_key base_url"');
  });

  it('rotate keeps the old key unless the provider accepts the new one', async () => {
    expect((await cli(['credential', 'rotate', 'local/team'], REFUSED)).code).toBe(2);
    expect(envFile()).toContain(FIRST);
    expect((await cli(['credential', 'rotate', 'local/team'], SECOND)).code).toBe(0);
    expect(envFile()).toContain(`LOCAL_API_KEY_2=${SECOND}\n`);
    expect(envFile()).not.toContain(FIRST);
  });

  it('test saves nothing, and ends with 2 for a key that is not accepted', async () => {
    const before = envFile();
    expect((await cli(['credential', 'test', 'local'], THIRD)).code).toBe(0);
    expect((await cli(['credential', 'test', 'local'], REFUSED)).code).toBe(2);
    expect(envFile()).toBe(before);
  });

  it('usage draws a bar for each window', async () => {
    running.provider.route('/v1/models', {
      kind: 'json',
      body: { data: [{ id: 'm' }] },
      headers: {
        'x-ratelimit-limit-requests': '200',
        'x-ratelimit-remaining-requests': '50',
        'x-ratelimit-reset-requests': '90s',
      },
    });
    const { stdout, code } = await cli(['credential', 'usage', 'local/team', '--refresh'], undefined, 60);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\[#{9}\.{3}\] +50\/200 left, anew in 1 min/);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(60);
    const usage: CredentialUsage = JSON.parse((await cli(['credential', 'usage', 'local/team', '--json'])).stdout);
    expect(usage).toMatchObject({ reachable: true, requests: { limit: 200, remaining: 50 } });
  });

  it('import shows the keys of a .env, takes them with --yes, and leaves the file alone', async () => {
    const file = join(running.home.path, 'other.env');
    const text = `# mine\nLOCAL_KEY="${THIRD}"\nOPENROUTER_API_KEY=${OPENROUTER_KEY}\nDEBUG=1\nOPENAI_API_KEY=your-key-here\n`;
    await writeFile(file, text);
    const before = envFile();
    const shown = await cli(['import', file, '--dry-run']);
    expect(shown.stdout).toMatch(/^local +LOCAL_KEY +lk-thi\*{4}ttss +new$/m);
    expect(shown.stdout).toMatch(/^openrouter +OPENROUTER_API_KEY +\S+ +there as OPENROUTER_API_KEY$/m);
    expect(shown.stdout).toMatch(/OPENAI_API_KEY +skipped: is a placeholder$/m);
    const asked = await cli(['import', file]);
    expect([asked.code, envFile()]).toEqual([2, before]);
    const taken = await cli(['import', file, '--yes']);
    expect(taken.stdout).toContain('Imported 1 key: LOCAL_API_KEY_3\n');
    expect(envFile()).toBe(`${before}LOCAL_API_KEY_3=${THIRD}\n`);
    expect((await cli(['import', file, '--yes'])).stdout).toContain('Nothing to import');
    const client = await running.connect();
    await client.credentials.import({ text });
    expect(readFileSync(running.home.paths.audit, 'utf8').split('"credential.import"')).toHaveLength(2);
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('set-secret stores bytes as they are, asks before it replaces, and remove-secret asks, too', async () => {
    const bytes = Buffer.from([0, 255, 10, 13, 10, 128]);
    const [from, out] = [join(running.home.path, 'secret.bin'), join(running.home.path, 'out.bin')];
    await writeFile(from, bytes);
    expect((await cli(['set-secret', 'acme/blob', '--from', from])).stdout).toBe('Stored acme/blob (6 bytes)\n');
    expect((await cli(['get-secret', 'acme/blob', '--out', out])).code).toBe(0);
    expect(readFileSync(out).equals(bytes)).toBe(true);
    const again = await cli(['set-secret', 'acme/blob'], 'secret-canary-text\n');
    expect([again.code, again.stderr.includes('CONFLICT')]).toEqual([2, true]);
    expect((await cli(['set-secret', 'acme/blob', '--force'], 'secret-canary-text\n')).code).toBe(0);
    expect((await cli(['get-secret', 'acme/blob', '--out', out, '--force'])).code).toBe(0);
    expect(readFileSync(out, 'utf8')).toBe('secret-canary-text\n');
    expect((await cli(['remove-secret', 'acme/blob'])).code).toBe(2);
    expect((await cli(['remove-secret', 'acme/blob', '--yes'])).code).toBe(0);
    expect((await cli(['get-secret', '--list', 'acme'])).stdout).toBe('');
  });

  it('set-secret reports the path that the disk does not take, and what to do', async () => {
    const inTheWay = join(running.home.paths.secrets, 'taken');
    await writeFile(inTheWay, 'x', { mode: 0o600 });
    const { code, stderr } = await cli(['set-secret', 'taken/bot'], 'secret-canary-text\n');
    expect(code).toBe(2);
    expect(stderr).toContain(`the secret taken/bot: ${inTheWay}`);
    expect(stderr).toContain('move it away');
    expect((await cli(['remove-secret', 'taken/bot', '--yes'])).code).toBe(2);
    await rm(inTheWay);
  });

  it.runIf(process.platform === 'linux')('read a key from a terminal without showing it', async () => {
    // A terminal of its own, which `script` gives the program.
    const command = [process.execPath, CLI_PATH, 'credential', 'test', 'local'].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['-qec', command, '/dev/null'], { env: running.home.env, stdio: 'pipe' });
    let shown = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const wasAsked = shown.includes('API key of local: ');
      shown += text;
      if (!wasAsked && shown.includes('API key of local: '))
        child.stdin.write(`${THIRD.slice(0, -1)}x\x7f${THIRD.slice(-1)}\r`);
    });
    const [code]: unknown[] = await once(child, 'close');
    printed.push(shown);
    expect(code).toBe(0);
    expect(shown).toContain('local/test');
  });

  it('print no key anywhere, nor does the log or the audit hold one', () => {
    const { paths } = running.home;
    const texts = [...printed, readFileSync(paths.log, 'utf8'), readFileSync(paths.audit, 'utf8')];
    expect(texts.length).toBeGreaterThan(40);
    for (const key of [FIRST, SECOND, THIRD, REFUSED, 'secret-canary-text']) {
      for (let at = 6; at + 8 < key.length; at += 1) {
        expect(texts.filter((text) => text.includes(key.slice(at, at + 8)))).toEqual([]);
      }
    }
  });
});
