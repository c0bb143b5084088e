import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLI_PATH } from '../support/run-cli.ts';
import { runProgram } from '../support/run-program.ts';
import { createTestDaemon, type TestDaemon } from '../support/test-daemon.ts';

const COMPLETE_ZSH = fileURLToPath(new URL('../support/complete.zsh', import.meta.url));

type Shell = 'bash' | 'zsh' | 'fish';

let running: TestDaemon;
let env: Record<string, string>;
let folder: string;
beforeAll(async () => {
  running = await createTestDaemon();
  folder = join(running.home.path, 'shells');
  await mkdir(join(folder, 'bin'), { recursive: true });
  const program = join(folder, 'bin', 'aipassd');
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${CLI_PATH}' "$@"\n`);
  await chmod(program, 0o755);
  env = {
    ...running.home.env,
    PATH: [join(folder, 'bin'), running.home.env['PATH'] ?? ''].join(delimiter),
    TERM: 'dumb',
    LC_ALL: 'C.UTF-8',
  };
  await writeFile(join(folder, 'a-file'), '');
});
afterAll(() => running[Symbol.asyncDispose]());

/** Returns whether a shell is installed; `.ci/run` installs all three where it may. */
function isInstalled(shell: Shell): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((one) => existsSync(join(one, shell)));
}

/** Returns what a shell offers for a line, of which the last word is completed. */
async function complete(shell: Shell, line: string): Promise<string[]> {
  const file = join(folder, shell === 'zsh' ? '_aipassd' : `aipassd.${shell}`);
  if (!existsSync(file)) await writeFile(file, (await running.cli(['completion', shell])).stdout);
  if (shell === 'zsh') {
    const found = join(folder, 'found');
    await rm(found, { force: true });
    await runShell('zsh', ['-f', COMPLETE_ZSH, folder, line]);
    return wordsOf(await readFile(found, 'utf8')).filter((word) => word !== 'completed');
  }
  if (shell === 'fish') {
    const stdout = await runShell('fish', ['--no-config', '-c', `source ${file}; complete -C "$argv"`, line]);
    return wordsOf(stdout.replaceAll(/\t.*$/gm, ''));
  }
  const stdout = await runShell('bash', [
    '--norc',
    '-c',
    `source "$1"; read -ra COMP_WORDS <<<"$2"; [[ $2 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _aipassd; printf '%s\\n' "\${COMPREPLY[@]}"`,
    'bash',
    file,
    line,
  ]);
  return wordsOf(stdout);
}

/** Runs a shell and returns its output. @throws Error for one that complains. */
async function runShell(shell: Shell, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(shell, args, { env, cwd: folder });
  if (code !== 0 || stderr !== '') throw new Error(`${shell} ended with ${code}: ${stderr}`);
  return stdout;
}

function wordsOf(text: string): string[] {
  return [...new Set(text.split('\n').filter(Boolean))].toSorted();
}

describe.each((['bash', 'zsh', 'fish'] as const).filter(isInstalled))('completion in %s', (shell) => {
  it('offers verbs, their second words, and their options', async () => {
    expect(await complete(shell, 'aipassd st')).toEqual(['stats', 'status']);
    expect(await complete(shell, 'aipassd pool ex')).toEqual(['explain']);
    expect(await complete(shell, 'aipassd get-key --rev')).toEqual(['--reveal']);
  });

  it('offers values in the place of a value and nothing else', async () => {
    expect(await complete(shell, 'aipassd completion ')).toEqual(
      [...(shell === 'fish' ? [] : ['--help']), 'bash', 'fish', 'zsh'].toSorted(),
    );
    expect(await complete(shell, 'aipassd stats --by ')).toEqual(
      ['caller', 'day', 'hour', 'key', 'model', 'organization', 'provider', 'session', 'status'].toSorted(),
    );
    expect(await complete(shell, 'aipassd call --model ')).toEqual([]);
    expect(await complete(shell, 'aipassd call -m ')).toEqual([]);
  });

  it('offers names that only the daemon knows, and files', async () => {
    expect(await complete(shell, 'aipassd get-key loc')).toEqual(['local']);
    expect(await complete(shell, 'aipassd call hi --provider loc')).toEqual(['local']);
    expect(await complete(shell, 'aipassd set-secret x/y --from a-f')).toEqual(['a-file']);
  });

  it('completes the program of exec as a program, also after its options', async () => {
    expect(await complete(shell, 'aipassd exec -- aipa')).toContain('aipassd');
    expect(await complete(shell, 'aipassd exec --provider local -- cat a-f')).toContain('a-file');
  });
});

it('at least one shell was there to be tried', () => {
  expect((['bash', 'zsh', 'fish'] as const).filter(isInstalled)).not.toEqual([]);
});
