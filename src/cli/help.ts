/**
 * The text of `--help`, made from the verbs and their tables.
 */

import type { Parameter } from './options.ts';
import type { Output } from './output.ts';
import type { Verb } from './verb.ts';

/** Prints what the program is for and lists the verbs. */
export function printGeneralHelp(verbs: readonly Verb[], out: Output): void {
  out.paragraph(
    'aipassd stores your API keys and OAuth tokens, and gives local programs keys, tokens and LLM completions.',
  );
  out.line('', 'usage: aipassd [verb] [words] [options]', '');
  const rows = verbs.filter((verb) => verb.isHidden !== true).map((verb) => [verb.name, verb.summary] as const);
  out.table([['(nothing)', 'show version, sockets, daemon and providers'], ...rows], { indent: 2, wrapLast: true });
  out.line('');
  out.paragraph('aipassd <verb> --help explains a verb. --version prints the version.');
  out.paragraph('Exit codes: 0 done, 1 not understood, 2 refused or failed, 3 the daemon is not running.');
}

/** Prints the usage, the words and the options of a verb. */
export function printVerbHelp(verb: Verb, out: Output): void {
  // An option stays on one line with its value.
  const usage = usageLine(verb).replaceAll(/\[[^\]]*\]/g, (part) => part.replaceAll(' ', '\u00a0'));
  out.paragraph(`usage: ${usage}`, 7);
  out.line('');
  out.paragraph(verb.summary);
  const rows = Object.entries(verb.parameters).map(([name, parameter]) => [
    `${shortOf(parameter)}${synopsis(name, parameter)}`,
    parameter.help,
  ]);
  if (rows.length > 0) {
    out.line('');
    out.table(rows, { indent: 2, wrapLast: true });
  }
  if (verb.details) {
    out.line('');
    for (const line of verb.details) out.paragraph(line);
  }
}

/** Returns the line that shows how a verb is written, without `usage:`. */
export function usageLine(verb: Verb): string {
  const entries = Object.entries(verb.parameters);
  const isWord = ([, { kind }]: (typeof entries)[number]): boolean => kind === 'word' || kind === 'rest';
  const words = entries.filter(isWord).map(([name, parameter]) => synopsis(name, parameter));
  const options = entries.filter((entry) => !isWord(entry)).map(([name, option]) => `[${synopsis(name, option)}]`);
  const rest = entries.some(([, { kind }]) => kind === 'rest');
  const parts = rest ? [...options, '--', ...words] : [...words, ...options];
  return ['aipassd', verb.name, ...parts].filter(Boolean).join(' ');
}

function shortOf(parameter: Parameter): string {
  return parameter.kind === 'value' && parameter.short !== undefined ? `-${parameter.short}, ` : '';
}

function synopsis(name: string, parameter: Parameter): string {
  switch (parameter.kind) {
    case 'flag':
      return `--${name}`;
    case 'value':
      return `--${name} ${parameter.placeholder}`;
    case 'word':
      return parameter.isRequired ? `<${name}>` : `[${name}]`;
    case 'rest':
      return parameter.isRequired ? `<${name} …>` : `[${name} …]`;
  }
}
