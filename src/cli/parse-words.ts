/**
 * From the words after a verb to its arguments. Node's own texts are replaced where they do not say what to write instead.
 */

import { parseArgs } from 'node:util';
import { systemErrorCode } from '../base/errors.ts';
import { plainText } from '../base/plain-text.ts';
import { UsageError } from './usage-error.ts';
import type { Arguments, Verb } from './verb.ts';

/** Reads the words of a verb. @throws UsageError for words that it does not take. */
export async function parseWords(verb: Verb | undefined, words: readonly string[]): Promise<Arguments> {
  const { values, positionals } = await parse(verb, words);
  if (verb && positionals.length > verb.maxPositionals) {
    throw new UsageError(
      `too many words after "${verb.name}": ${plainText(positionals.slice(verb.maxPositionals).join(' '), 80)}`,
      `usage: aipassd ${verb.name} ${verb.usage}`,
    );
  }
  return {
    positionals,
    text: (name) => {
      const value = values[name];
      return typeof value === 'string' ? value : undefined;
    },
    flag: (name) => values[name] === true,
  };
}

async function parse(
  verb: Verb | undefined,
  words: readonly string[],
): Promise<{ readonly values: Readonly<Record<string, unknown>>; readonly positionals: string[] }> {
  try {
    return parseArgs({ args: [...words], options: verb?.options ?? {}, allowPositionals: true, strict: true });
  } catch (error) {
    const help = `aipassd ${verb?.name ?? ''} --help`;
    const reason = error instanceof Error ? error.message : String(error);
    const [, unknown] = /^Unknown option '([^']+)'/.exec(reason) ?? [];
    if (systemErrorCode(error) !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION' || unknown === undefined) {
      throw new UsageError(reason, `see: ${help}`);
    }
    const { nearest } = await import('../base/nearest.ts');
    const near = unknown.startsWith('--') ? nearest(unknown.slice(2), Object.keys(verb?.options ?? {})) : undefined;
    throw new UsageError(
      `unknown option: ${plainText(unknown, 64)}`,
      near === undefined
        ? `see: ${help}; a word that begins with "-" goes after "--"`
        : `did you mean "--${near}"? See: ${help}`,
    );
  }
}
