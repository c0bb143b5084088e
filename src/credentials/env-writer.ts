/**
 * Writes `.env`: one change at a time, whole, and never over what somebody else saved meanwhile.
 *
 * The file is read, edited and read again right before the rename. If it changed in between,
 * nothing is written and the caller gets CONFLICT. A change is done when the vault serves it. Only
 * this file and template.ts write `.env`.
 */

import { readFile } from 'node:fs/promises';
import { describeFailure } from '../base/system-failure.ts';
import { writeFileAtomic } from '../base/atomic-write.ts';
import { AipassError, systemErrorCode } from '../base/errors.ts';
import { readFileSignature } from '../base/file-signature.ts';
import { variableOf } from './api-keys.ts';
import { isPlaceholder } from './placeholder.ts';
import type { EnvEdit } from './env-edit.ts';
import { parseEnvFile } from './env-file.ts';
import { readSecretFile } from './secret-file.ts';

export interface EnvWriterDeps {
  readonly path: string;
  /** Reads the file into the vault; the change is served when it resolves. */
  readonly reload: () => Promise<void>;
}

/** An edit of the file, and what its caller gets. */
export interface EnvDecision<T> {
  readonly edit: EnvEdit;
  readonly result: T;
}

type DecideEdit<T> = (text: string) => Promise<EnvDecision<T>> | EnvDecision<T>;

export type ChangeEnv = <T>(decide: DecideEdit<T>) => Promise<T>;

/** Changes `.env`, one change after the other. */
export class EnvWriter {
  readonly #deps: EnvWriterDeps;
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: EnvWriterDeps) {
    this.#deps = deps;
  }

  /** Runs work during which no other change is made; `change` edits the file within it. */
  alone<T>(work: (change: ChangeEnv) => Promise<T>): Promise<T> {
    const done = this.#last.then(() => work((decide) => this.#change(decide)));
    this.#last = done.catch(() => {});
    return done;
  }

  /**
   * Changes the file and resolves when the vault serves the change.
   *
   * `decide` gets the text of the file ('' if there is none) and returns the edit. It runs under
   * the writer's lock. So it is the place to check what must hold while the change is made, and to
   * save what must be on disk before. It may throw to change nothing.
   *
   * @throws AipassError CONFLICT if somebody else saved the file meanwhile, or a line of it cannot
   * be edited; UNSAFE_PERMISSIONS if the file is one that others may write to.
   */
  change<T>(decide: DecideEdit<T>): Promise<T> {
    return this.alone((change) => change(decide));
  }

  async #change<T>(decide: DecideEdit<T>): Promise<T> {
    const { path, reload } = this.#deps;
    const before = await readFileSignature(path);
    const text = await readEnvText(path);
    const { edit, result } = await decide(text);
    if (edit.kind === 'refused') {
      const place = edit.line === null ? path : `line ${edit.line} of ${path}`;
      throw new AipassError('CONFLICT', `${place} ${edit.problem}`, {
        hint: `fix it, then try again: $EDITOR ${path}`,
      });
    }
    if (edit.text !== text) {
      if ((await readFileSignature(path)) !== before) {
        throw new AipassError('CONFLICT', `${path} was saved by another program at the same moment`, {
          hint: 'try again',
        });
      }
      try {
        await writeFileAtomic(path, edit.text);
      } catch (error) {
        throw describeFailure('cannot change the file for the keys', error, path);
      }
      await reload();
    }
    return result;
  }
}

/** Returns the text with its byte order mark and line ends, '' where there is no file. */
async function readEnvText(path: string): Promise<string> {
  const outcome = await readSecretFile(path);
  if (outcome.kind === 'missing') return '';
  if (outcome.kind !== 'read') {
    const [warning] = outcome.warnings;
    const code = outcome.kind === 'refused' ? 'UNSAFE_PERMISSIONS' : 'CONFLICT';
    throw new AipassError(code, `${path} ${warning?.problem ?? 'cannot be read'}`, { hint: warning?.hint });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(path));
  } catch (error) {
    const reason = systemErrorCode(error) ?? 'not UTF-8 text';
    throw new AipassError('CONFLICT', `${path} cannot be read (${reason})`, { hint: 'try again', cause: error });
  }
}

/** Maximum number of keys of one provider. */
const MAX_VARIABLES = 100_000;

/**
 * Returns the first variable of a provider's pool that holds no key in this text: unset, or set to
 * a placeholder. `reserved` are variables that belong to a credential whose key was removed.
 */
export function freeVariable(text: string, provider: string, reserved: ReadonlySet<string>): string {
  const { entries, problems } = parseEnvFile(text);
  const malformed = new Set(problems.flatMap(({ name }) => (name === undefined ? [] : [name])));
  const first = variableOf(provider);
  for (let number = 1; number <= MAX_VARIABLES; number += 1) {
    const name = number === 1 ? first : `${first}_${number}`;
    const value = entries.get(name);
    if ((value === undefined || isPlaceholder(value)) && !reserved.has(name) && !malformed.has(name)) return name;
  }
  throw new AipassError('CONFLICT', `${provider} already has ${MAX_VARIABLES} keys`, { hint: 'remove one first' });
}
