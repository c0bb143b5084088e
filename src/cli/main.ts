/**
 * From words to a verb to an exit code. The codes are 0 done (also with warnings), 1 not
 * understood, 2 understood but refused or failed, 3 the daemon is not running. A help flag anywhere
 * only explains. Options without a value may stand before the verb.
 */

import { AipassError, systemErrorCode } from '../base/errors.ts';
import { findSocket } from '../base/find-socket.ts';
import { resolvePaths } from '../base/paths.ts';
import { plainText } from '../base/plain-text.ts';
import { describeFailure } from '../base/system-failure.ts';
import { VERSION } from '../base/version.ts';
import type { Aipass } from '../client/aipass.ts';
import { connect } from '../client/index.ts';
import { Output } from './output.ts';
import { UsageError, type Verb, type VerbContext } from './verb.ts';
import { loadVerb, loadVerbs, VERB_NAMES } from './verbs/index.ts';

/** Exit code of a program that Ctrl-C ended, as shells give it. */
const EXIT_INTERRUPTED = 130;

/** First words of all commands. */
const VERB_WORDS = [...new Set(VERB_NAMES.map((name) => name.split(' ')[0] ?? ''))].filter((word) => word !== '');

const HELP_FLAGS: ReadonlySet<string> = new Set(['--help', '-h']);
const VERSION_FLAGS: ReadonlySet<string> = new Set(['--version', '-V', '-v']);

export async function main(
  argv: readonly string[],
  usersUmask: number,
  runDaemon: () => Promise<number>,
): Promise<number> {
  const out = new Output(process.stdout, process.stderr, process.env, VERB_WORDS);
  // A reader that has read enough (`| head`) is not an error.
  process.stdout.on('error', (error) => {
    const code = systemErrorCode(error);
    if (code === 'EPIPE') process.exit(0);
    out.error(new AipassError('INTERNAL', `cannot write the output: ${code ?? 'unknown reason'}`));
    process.exit(2);
  });
  // An error that cannot be written has nowhere else to go.
  process.stderr.on('error', () => {});

  const { words, options } = splitOptions(argv);
  const asJson = options.includes('--json');
  try {
    const command = await findCommand(words);
    if (options.some((one) => HELP_FLAGS.has(one)) || words[0] === 'help') {
      return await explain(words, out);
    }
    if (command.kind === 'version' || (words.length === 0 && options.some((one) => VERSION_FLAGS.has(one)))) {
      out.line(`aipassd ${VERSION}`);
      return 0;
    }
    if (command.kind === 'unknown') throw await unknownCommand(command.word);
    const { parseWords } = await import('./words.ts');
    const verb = command.kind === 'none' && asJson ? await loadVerb('status') : command.verb;
    const used = verb ?? (await import('./verbs/status.ts')).introspect;
    const given = [...command.before, ...argvWithout(argv, command.taken)];
    return await runVerb(used, await parseWords(used, given), { out, asJson, usersUmask, runDaemon });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    out.error(error, asJson);
    return 1;
  }
}

/** Splits the words from the options before `--`; the value of an option counts as a word here. */
function splitOptions(argv: readonly string[]): { readonly words: string[]; readonly options: string[] } {
  const separator = argv.indexOf('--');
  const before = separator === -1 ? argv : argv.slice(0, separator);
  return { words: before.filter((one) => !isOption(one)), options: before.filter(isOption) };
}

function isOption(one: string): boolean {
  return one.startsWith('-') && one !== '-';
}

/** `taken` words are the name of the command; `before` goes in front of what follows. */
type Command =
  | { readonly kind: 'verb'; readonly verb: Verb; readonly taken: number; readonly before: readonly string[] }
  | { readonly kind: 'none'; readonly verb: undefined; readonly taken: number; readonly before: readonly string[] }
  | { readonly kind: 'version' }
  | { readonly kind: 'unknown'; readonly word: string };

async function findCommand(words: readonly string[]): Promise<Command> {
  const [first, second] = words;
  if (first === undefined) return { kind: 'none', verb: undefined, taken: 0, before: [] };
  const pair = second === undefined ? undefined : await loadVerb(`${first} ${second}`);
  if (pair) return { kind: 'verb', verb: pair, taken: 2, before: [] };
  const verb = await loadVerb(first);
  if (verb) return { kind: 'verb', verb, taken: 1, before: [] };
  const { aliasOf } = await import('./aliases.ts');
  const meant = aliasOf(first);
  if (meant === undefined) return { kind: 'unknown', word: first };
  if (meant[0] === '--version') return { kind: 'version' };
  if (meant.length === 0) return { kind: 'none', verb: undefined, taken: 1, before: [] };
  const found = await findCommand(meant.filter((one) => !one.startsWith('-')));
  return found.kind === 'verb' ? { ...found, taken: 1, before: meant.filter((one) => one.startsWith('-')) } : found;
}

/** Returns the arguments without the first words, which are the name of the command. */
function argvWithout(argv: readonly string[], count: number): string[] {
  let left = count;
  return argv.filter((one) => {
    if (left === 0 || isOption(one)) return true;
    left--;
    return false;
  });
}

/** Explains the command of some words, which may stand after `help`. */
async function explain(typed: readonly string[], out: Output): Promise<number> {
  const { printGeneralHelp, printVerbHelp } = await import('./words.ts');
  const isHelp = typed[0] === 'help';
  const words = isHelp ? typed.slice(1) : typed;
  const command = await findCommand(words);
  if (command.kind === 'verb') {
    // `credential` alone lists; its help names the other verbs of two words.
    const others = words.length === 1 ? (await loadVerbs()).filter(({ name }) => name.startsWith(`${words[0]} `)) : [];
    printVerbHelp(command.verb, out, others);
  } else if (command.kind === 'unknown' && isHelp) throw await unknownCommand(command.word);
  else printGeneralHelp(await loadVerbs(), out);
  return 0;
}

interface VerbRun extends Pick<VerbContext, 'out' | 'runDaemon'> {
  readonly asJson: boolean;
  /** File mode creation mask that this process was started with. */
  readonly usersUmask: number;
}

async function runVerb(
  verb: Verb,
  values: Readonly<Record<string, unknown>>,
  { out, asJson, usersUmask, runDaemon }: VerbRun,
): Promise<number> {
  const interrupt = new AbortController();
  const onInterrupt = (): void => interrupt.abort();
  if (verb.name !== 'run') process.once('SIGINT', onInterrupt);
  let connected: Aipass | undefined;
  try {
    const paths = resolvePaths();
    const context: VerbContext = {
      out,
      paths,
      signal: interrupt.signal,
      runDaemon,
      withUsersUmask: (work) => {
        const ours = process.umask(usersUmask);
        try {
          return work();
        } finally {
          process.umask(ours);
        }
      },
      readStdin: async () => (await readStdin(interrupt.signal)).toString(),
      readStdinBytes: () => readStdin(interrupt.signal),
      loadVerbs,
      connect: async (socket = findSocket(paths)) => {
        connected = await connect({ caller: 'cli', socket });
        return connected;
      },
    };
    return (await verb.run(values, context)) ?? 0;
  } catch (error) {
    if (interrupt.signal.aborted) return EXIT_INTERRUPTED;
    const failure = inWordsOfVerb(verb, describeFailure(`aipassd ${verb.name}`.trimEnd(), error));
    out.error(failure, asJson);
    return failure.code === 'DAEMON_UNREACHABLE' ? 3 : failure instanceof UsageError ? 1 : 2;
  } finally {
    process.off('SIGINT', onInterrupt);
    await connected?.close();
  }
}

/** Puts the verb in place of the operation, which nobody typed, where parameters are rejected. */
function inWordsOfVerb({ name }: Verb, error: AipassError): AipassError {
  const [, operation = ''] = /^correct the parameters of ([\w.]+)$/.exec(error.hint ?? '') ?? [];
  if (operation === '' || !error.message.startsWith(`${operation}: `)) return error;
  return new AipassError(error.code, `${name}${error.message.slice(operation.length)}`, {
    hint: `see: aipassd ${name} --help`,
    cause: error,
  });
}

async function unknownCommand(word: string): Promise<UsageError> {
  const [{ nearest }, { ALIAS_NAMES, aliasOf, pointerOf }] = await Promise.all([
    import('../base/nearest.ts'),
    import('./aliases.ts'),
  ]);
  const meant = nearest(word, [...VERB_NAMES, ...ALIAS_NAMES]);
  const near = meant === undefined || VERB_NAMES.includes(meant) ? meant : (aliasOf(meant) ?? []).join(' ');
  const hint =
    pointerOf(word, resolvePaths()) ??
    (!near ? 'see: aipassd --help' : `did you mean "aipassd ${near}"? See: aipassd --help`);
  return new UsageError(`unknown command: ${plainText(word, 64)}`, hint);
}

/** Reads until the end of the input, or until Ctrl-C, with which it rejects. */
async function readStdin(signal: AbortSignal): Promise<Buffer> {
  const [{ buffer }, { addAbortSignal }] = await Promise.all([import('node:stream/consumers'), import('node:stream')]);
  return buffer(addAbortSignal(signal, process.stdin));
}
