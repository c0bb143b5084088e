/**
 * Executes a plan step by step and reports each step. Stops at the first failure.
 */

import { chmod, mkdir, readFile, rm, stat } from 'node:fs/promises';
import { writeFileAtomic } from '../base/atomic-write.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { plainText } from '../base/plain-text.ts';
import type { Step } from './plan.ts';
import { runProgram, type RunProgram } from './run-program.ts';

/** Result of a step. */
export interface Done {
  readonly kind: 'did' | 'unchanged' | 'note';
  readonly text: string;
}

/**
 * Executes the steps in order and yields the result of each.
 *
 * @throws AipassError FORBIDDEN for missing rights, NOT_FOUND for a missing program or
 * prerequisite, INTERNAL if a program fails.
 */
export async function* executePlan(steps: readonly Step[], run: RunProgram = runProgram): AsyncGenerator<Done> {
  let changed = false;
  for (const step of steps) {
    const done = await executeStep(step, changed, run);
    if (done === null) continue;
    if (done.kind === 'did' && (step.kind === 'write' || step.kind === 'remove')) changed = true;
    yield done;
  }
}

/** Describes a step, as a shell command where there is one. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'folder':
      return `mkdir -p -m ${step.mode.toString(8)} ${step.path}`;
    case 'write':
      return `write ${step.path}${step.keep === true ? ' (unless it exists)' : ''}`;
    case 'remove':
      return `rm ${step.path}${step.text === undefined ? '' : ' (unless it was edited)'}`;
    case 'run':
      return `${step.argv.join(' ')}${step.when === undefined ? '' : ` (if a file was ${step.when})`}`;
    case 'require':
      return `${step.argv.join(' ')} (if it fails, nothing is done)`;
    case 'note':
      return step.text;
  }
}

async function executeStep(step: Step, changed: boolean, run: RunProgram): Promise<Done | null> {
  switch (step.kind) {
    case 'note':
      return { kind: 'note', text: step.text };
    case 'require':
      return assertRequirement(step, run);
    case 'folder':
      return withRights(step.path, () => makeFolder(step.path, step.mode));
    case 'write':
      return withRights(step.path, () => writeText(step));
    case 'remove':
      return withRights(step.path, () => removeText(step));
    case 'run':
      if (step.when !== undefined && (step.when === 'changed') !== changed) return null;
      return runStep(step.argv, step.tolerate ?? false, run);
  }
}

async function makeFolder(path: string, mode: number): Promise<Done> {
  const made = await mkdir(path, { recursive: true, mode });
  // This program's umask is strict, and the service's own user must be able to enter.
  if (made !== undefined) await chmod(path, mode);
  return made === undefined
    ? { kind: 'unchanged', text: `${path} is there` }
    : { kind: 'did', text: `made ${path}, mode ${mode.toString(8)}` };
}

async function writeText(step: Extract<Step, { kind: 'write' }>): Promise<Done> {
  const present = await readText(step.path);
  if (present === step.text || (present !== null && step.keep === true)) {
    return { kind: 'unchanged', text: `${step.path} is there${present === step.text ? ', as it should be' : ''}` };
  }
  // The mode holds whatever the umask is, as above: a service manager must be able to read its
  // files.
  await writeFileAtomic(step.path, step.text, { mode: step.mode });
  return { kind: 'did', text: `${present === null ? 'wrote' : 'changed'} ${step.path}` };
}

async function removeText(step: Extract<Step, { kind: 'remove' }>): Promise<Done> {
  const present = await readText(step.path);
  if (present === null) return { kind: 'unchanged', text: `${step.path} is not there` };
  if (step.text !== undefined && present !== step.text) {
    return { kind: 'unchanged', text: `kept ${step.path}, which was edited` };
  }
  await rm(step.path);
  return { kind: 'did', text: `removed ${step.path}` };
}

/** Messages of systemctl and launchctl about a unit or agent that is not there. */
const NOT_LOADED = /not loaded|does not exist|no such (?:file|process)|not be found|could not find service/i;

async function runStep(argv: readonly string[], tolerate: boolean, run: RunProgram): Promise<Done | null> {
  const ended = await run(argv);
  if (ended.code === 0) return { kind: 'did', text: `ran ${argv.join(' ')}` };
  const reason = reasonOf(ended);
  // Nothing was there to stop or to disable: that is no news.
  if (tolerate && NOT_LOADED.test(reason)) return null;
  if (tolerate) return { kind: 'unchanged', text: `${argv.join(' ')}: ${reason}` };
  throw new AipassError('INTERNAL', `${argv.join(' ')} failed: ${reason}`, {
    hint: `run it by hand; ${argv[0] === 'launchctl' ? 'launchctl print and the log' : 'systemctl status and journalctl'} show more`,
  });
}

async function assertRequirement(step: Extract<Step, { kind: 'require' }>, run: RunProgram): Promise<null> {
  const ended = await run(step.argv);
  if (ended.code === 0) return null;
  throw new AipassError('NOT_FOUND', `${step.problem}: ${reasonOf(ended)}`, { hint: step.hint });
}

/** Returns why a program failed: its error output or its exit status. */
function reasonOf({ code, stderr }: Awaited<ReturnType<RunProgram>>): string {
  return plainText(stderr, 300) || `exit status ${code ?? 'none'}`;
}

/**
 * Reads a file, or returns null if it is missing. A symbolic link is followed for reading and
 * replaced by writing.
 */
async function readText(path: string): Promise<string | null> {
  try {
    const { size } = await stat(path);
    // A file larger than any of ours is different in any case.
    return size > 1024 * 1024 ? '' : await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function withRights(path: string, act: () => Promise<Done>): Promise<Done> {
  try {
    return await act();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error;
    throw new AipassError('FORBIDDEN', `may not change ${path}: ${code}`, {
      hint: 'a service for the whole machine is installed by root: sudo aipassd install --system',
      cause: error,
    });
  }
}
