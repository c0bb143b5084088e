/**
 * Derives from the table of a verb the values of the words after it, and the text of `--help`.
 */

import { parseArgs } from 'node:util';
import { plainText } from '../base/plain-text.ts';
import type { Output } from './output.ts';
import { type Completion, type Parameter, UsageError, type Verb } from './verb.ts';

type Tokens = NonNullable<ReturnType<typeof parseArgs>['tokens']>;
type OptionToken = Extract<Tokens[number], { kind: 'option' }>;

/** Returns a value for each entry of a verb's table. Throws UsageError for other words. */
export async function parseWords(verb: Verb, words: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const { positionals, tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      Object.entries(verb.parameters).flatMap(([name, parameter]) => optionConfig(name, parameter)),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const values: Record<string, unknown> = {};
  for (const [name, parameter] of Object.entries(verb.parameters)) {
    if (parameter.kind === 'flag') values[name] = false;
    if (parameter.kind === 'rest') values[name] = [];
  }
  for (const token of tokens) {
    if (token.kind === 'option') values[token.name] = await readOption(verb, token, values[token.name]);
  }
  refuseExcluded(verb, values);
  readPositionals(verb, positionals, values);
  return values;
}

function optionConfig(name: string, parameter: Parameter): [string, { type: 'boolean' | 'string'; short?: string }][] {
  if (parameter.kind === 'flag') return [[name, { type: 'boolean' }]];
  if (parameter.kind !== 'value') return [];
  return [[name, { type: 'string', ...(parameter.short === undefined ? {} : { short: parameter.short }) }]];
}

async function readOption(verb: Verb, token: OptionToken, earlier: unknown): Promise<unknown> {
  const parameter = Object.hasOwn(verb.parameters, token.name) ? verb.parameters[token.name] : undefined;
  const help = ['see: aipassd', verb.name, '--help'].filter(Boolean).join(' ');
  if (parameter?.kind === 'flag') {
    if (token.value === undefined) return true;
    throw new UsageError(`--${token.name}: takes no value (got "${plainText(token.value, 64)}")`, help);
  }
  if (parameter?.kind !== 'value') throw await unknownOption(verb, token.rawName);
  const { value } = token;
  if (value === undefined) throw new UsageError(`--${token.name}: the value is missing`, `usage: ${usageLine(verb)}`);
  if (!token.inlineValue && /^-./.test(value)) {
    throw new UsageError(
      `--${token.name}: the value is missing`,
      `write --${token.name}=${plainText(value, 64)} if that is meant`,
    );
  }
  return parameter.parse(value, `--${token.name}`, earlier);
}

async function unknownOption(verb: Verb, rawName: string): Promise<UsageError> {
  const { nearest } = await import('../base/nearest.ts');
  const options = Object.entries(verb.parameters).filter(([, { kind }]) => kind === 'flag' || kind === 'value');
  const near = rawName.startsWith('--')
    ? nearest(
        rawName.slice(2),
        options.map(([name]) => name),
      )
    : undefined;
  const help = ['aipassd', verb.name, '--help'].filter(Boolean).join(' ');
  const words = Object.entries(verb.parameters).filter(([, { kind }]) => kind === 'word' || kind === 'rest');
  const isWord = words.some(([name]) => rawName === `--${name}`);
  const dash = words.length === 0 ? '' : '; a word that begins with "-" goes after "--"';
  const usual = isWord ? `write it without "${rawName}": ${usageLine(verb)}` : `see: ${help}${dash}`;
  return new UsageError(
    `unknown option: ${plainText(rawName, 64)}`,
    near === undefined ? usual : `did you mean "--${near}"? See: ${help}`,
  );
}

/** Returns where the names are listed that may stand for a word, as the end of a hint. */
function lister(completion: Completion | undefined): string {
  switch (completion) {
    case 'providers':
      return '; see: aipassd list-providers';
    case 'accounts':
      return '; see: aipassd status';
    case 'secrets':
      return '; see: aipassd get-secret --list';
    case 'callers':
      return '; see: aipassd stats --by caller';
    default:
      return '';
  }
}

function refuseExcluded(verb: Verb, values: Readonly<Record<string, unknown>>): void {
  for (const [name, parameter] of Object.entries(verb.parameters)) {
    if (parameter.kind !== 'flag' || values[name] !== true) continue;
    const other = parameter.excludes?.find((one) => values[one] === true);
    if (other !== undefined) {
      throw new UsageError(`--${name} and --${other} exclude each other`, 'leave one of them out');
    }
  }
}

function readPositionals(verb: Verb, positionals: readonly string[], values: Record<string, unknown>): void {
  let next = 0;
  for (const [name, parameter] of Object.entries(verb.parameters)) {
    if (parameter.kind !== 'word' && parameter.kind !== 'rest') continue;
    const given = positionals[next];
    if (given === undefined) {
      if (!parameter.isRequired) continue;
      throw new UsageError(
        `${verb.name}: <${name}> is missing`,
        `usage: ${usageLine(verb)}${parameter.kind === 'word' ? lister(parameter.completion) : ''}`,
      );
    }
    values[name] = parameter.kind === 'rest' ? positionals.slice(next) : parameter.parse(given, `<${name}>`);
    next = parameter.kind === 'rest' ? positionals.length : next + 1;
  }
  if (next >= positionals.length) return;
  if (verb.secretFrom !== undefined) {
    throw new UsageError(
      `too many words after "${verb.name}": a secret on the command line is seen by every program of this machine`,
      `${verb.secretFrom}; replace it where it was real. usage: ${usageLine(verb)}`,
    );
  }
  throw new UsageError(
    `too many words after "${verb.name}": ${plainText(positionals.slice(next).join(' '), 80)}`,
    `usage: ${usageLine(verb)}`,
  );
}

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

/** Prints usage, words and options of a verb, and the other verbs that begin with its name. */
export function printVerbHelp(verb: Verb, out: Output, others: readonly Verb[] = []): void {
  // An option stays on one line with its value.
  const usage = usageLine(verb).replaceAll(/\[[^\]]*\]/g, (part) => part.replaceAll(' ', '\u00a0'));
  out.paragraph(`usage: ${usage}`, 7);
  out.line('');
  out.paragraph(verb.summary);
  const rows = Object.entries(verb.parameters).map(([name, parameter]) => {
    const short = 'short' in parameter ? `-${parameter.short}, ` : '';
    return [`${short}${synopsis(name, parameter)}`, parameter.help];
  });
  if (rows.length > 0) {
    out.line('');
    out.table(rows, { indent: 2, wrapLast: true });
  }
  if (verb.details) {
    out.line('');
    for (const line of verb.details) out.paragraph(line);
  }
  if (others.length > 0) {
    out.line('');
    out.table(
      others.map(({ name, summary }) => [name, summary]),
      { indent: 2, wrapLast: true },
    );
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
