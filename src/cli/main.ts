/**
 * From words to a verb to an exit code: 0 done (also with warnings), 1 not understood, 2 understood but refused or
 * failed, 3 the daemon is not running. A help flag anywhere only explains.
 */

import { AipassError, systemErrorCode } from '../base/errors.ts';
import { plainText } from '../base/plain-text.ts';
import { resolvePaths } from '../base/paths.ts';
import { describeFailure } from '../base/system-failure.ts';
import { readVersion } from '../base/version.ts';
import type { Aipass } from '../client/aipass.ts';
import { connect } from '../client/index.ts';
import { Output } from './output.ts';
import { parseWords } from './parse-words.ts';
import { UsageError } from './usage-error.ts';
import type { Arguments, Verb, VerbContext } from './verb.ts';
import { loadVerb, loadVerbs, VERB_NAMES } from './verbs/index.ts';

/** Is the exit code of a program that Ctrl-C ended, as shells give it. */
const EXIT_INTERRUPTED = 130;

/** Runs one command and returns the exit code. */
export async function main(argv: readonly string[], runDaemon: () => Promise<number>): Promise<number> {
  const out = new Output(process.stdout, process.stderr, process.env);
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on('error', (error) => {
    const code = systemErrorCode(error);
    if (code === 'EPIPE') process.exit(0);
    out.error(new AipassError('INTERNAL', `cannot write the output: ${code ?? 'unknown reason'}`));
    process.exit(2);
  });
  // Nobody is left to tell.
  process.stderr.on('error', () => {});

  // Bare, with the option of every verb that reads, asks for the same as a document.
  const [word, ...rest] = argv[0] === '--json' ? ['status', ...argv] : argv;
  const verb = await loadVerb(word);
  if (word === 'help' || beforeSeparator(argv).some((one) => one === '--help' || one === '-h')) {
    const { printGeneralHelp, printVerbHelp } = await import('./help.ts');
    const [wanted] = rest;
    const topic = verb ?? (await loadVerb(wanted));
    if (word === 'help' && wanted !== undefined && !wanted.startsWith('-') && !topic) return refuseWord(wanted, out);
    if (topic) printVerbHelp(topic, out);
    else printGeneralHelp(await loadVerbs(), out);
    return 0;
  }
  if (word === '--version' || word === '-V') {
    out.line(`aipassd ${readVersion()}`);
    return 0;
  }
  if (word !== undefined && !verb) return refuseWord(word, out);

  let args: Arguments;
  try {
    args = await parseWords(verb, rest);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    out.error(error);
    return 1;
  }
  return runVerb(verb, args, out, runDaemon);
}

async function runVerb(
  verb: Verb | undefined,
  args: Arguments,
  out: Output,
  runDaemon: () => Promise<number>,
): Promise<number> {
  const interrupt = new AbortController();
  const onInterrupt = (): void => interrupt.abort();
  if (verb?.name !== 'run') process.once('SIGINT', onInterrupt);
  let connected: Aipass | undefined;
  try {
    const paths = resolvePaths();
    const context: VerbContext = {
      out,
      paths,
      version: readVersion(),
      signal: interrupt.signal,
      runDaemon,
      readStdin: () => readStdin(interrupt.signal),
      loadVerbs,
      connect: async (socket = paths.socket) => {
        connected = await connect({ caller: 'cli', socket });
        return connected;
      },
    };
    if (verb) return await verb.run(args, context);
    const { introspect } = await import('./verbs/introspect.ts');
    return await introspect(context);
  } catch (error) {
    if (interrupt.signal.aborted) return EXIT_INTERRUPTED;
    const failure = describeFailure(`aipassd ${verb?.name ?? ''}`.trimEnd(), error);
    out.error(failure);
    return failure.code === 'DAEMON_UNREACHABLE' ? 3 : failure instanceof UsageError ? 1 : 2;
  } finally {
    process.off('SIGINT', onInterrupt);
    await connected?.close();
  }
}

async function refuseWord(word: string, out: Output): Promise<number> {
  const { nearest } = await import('../base/nearest.ts');
  const near = nearest(word, VERB_NAMES);
  out.error(
    new AipassError('BAD_REQUEST', `unknown command: ${plainText(word, 64)}`, {
      hint: near === undefined ? 'see: aipassd --help' : `did you mean "aipassd ${near}"? See: aipassd --help`,
    }),
  );
  return 1;
}

function beforeSeparator(argv: readonly string[]): readonly string[] {
  const separator = argv.indexOf('--');
  return separator === -1 ? argv : argv.slice(0, separator);
}

/** Reads until the end of the input, or until Ctrl-C, with which it rejects. */
async function readStdin(signal: AbortSignal): Promise<string> {
  const [{ text }, { addAbortSignal }] = await Promise.all([import('node:stream/consumers'), import('node:stream')]);
  return text(addAbortSignal(signal, process.stdin));
}
