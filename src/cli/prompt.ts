/**
 * Input from people: answers to questions at the terminal, keys, and files that they name.
 * Questions go to stderr, so that stdout has nothing but the result.
 */

import { readFile } from 'node:fs/promises';
import { AipassError, systemErrorCode } from '../base/errors.ts';

/** Longest answer to a hidden prompt, in characters. */
const MAX_HIDDEN = 16_384;

/** Returns whether somebody can answer questions. */
export function canAsk(): boolean {
  return process.stdin.isTTY;
}

/**
 * Asks for a `yes`.
 *
 * @throws AipassError the refusal, for any other answer and where there is no terminal.
 */
export async function confirm(question: string, refusal: AipassError, signal: AbortSignal): Promise<void> {
  if (!canAsk()) throw refusal;
  const terminal = process
    .getBuiltinModule('node:readline/promises')
    .createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} Type yes: `, { signal });
    if (answer.trim().toLowerCase() !== 'yes') throw refusal;
  } finally {
    terminal.close();
  }
}

/**
 * Reads one line from the terminal without showing it.
 *
 * @throws AipassError CANCELLED for Ctrl-C and Ctrl-D, and when the signal aborts.
 */
export function readHidden(question: string, signal: AbortSignal): Promise<string> {
  const { stdin, stderr } = process;
  // Before the question: what is typed at it is not shown.
  stdin.setRawMode(true);
  stderr.write(question);
  return new Promise<string>((resolve, reject) => {
    let typed = '';
    const leave = (): void => {
      stdin.off('data', onData);
      signal.removeEventListener('abort', cancel);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
    };
    const cancel = (): void => {
      leave();
      reject(new AipassError('CANCELLED', 'nothing was entered'));
    };
    const onData = (chunk: Buffer): void => {
      for (const character of chunk.toString()) {
        if (character === '\r' || character === '\n') {
          leave();
          resolve(typed);
          return;
        }
        if (character === '\x03' || character === '\x04') {
          cancel();
          return;
        }
        if (character === '\x7f' || character === '\b') typed = typed.slice(0, -1);
        else if (character === '\x15') typed = '';
        else if (typed.length < MAX_HIDDEN) typed += character;
      }
    };
    signal.addEventListener('abort', cancel, { once: true });
    stdin.on('data', onData);
    stdin.resume();
  });
}

/** Matches what is copied together with a key: the name of its variable or header. */
const WRAPPING =
  /^(?:(?:export\s+|set\s+|\$env:)?[A-Z][A-Z0-9_]*_(?:KEY|TOKEN)\s*[=:]|(?:x-)?api-key\s*:|authorization\s*:)\s*/i;

/** Returns a key without the name of its variable or header, `Bearer`, and the quotes around it. */
export function unwrapKey(text: string): string {
  const value = text.replace(WRAPPING, '').replace(/^bearer\s+/i, '');
  const [, , quoted] = /^(["'`])(.*)\1[;,]?$/.exec(value) ?? [];
  return quoted === undefined ? value : unwrapKey(quoted.trim());
}

/**
 * Reads a key: from a hidden prompt on a terminal, else from standard input.
 *
 * @throws AipassError BAD_REQUEST for nothing and for more than one line.
 */
export async function readKey(
  question: string,
  { readStdin, signal }: { readonly readStdin: () => Promise<string>; readonly signal: AbortSignal },
): Promise<string> {
  const text = canAsk() ? await readHidden(`${question}: `, signal) : await readStdin();
  const key = unwrapKey(text.trim());
  if (key !== '' && !/[\r\n]/.test(key)) return key;
  throw new AipassError('BAD_REQUEST', key === '' ? 'the key is missing' : 'the key has more than one line', {
    hint: 'paste the key when asked, or send it alone on standard input',
  });
}

/** Reads a file that was named on the command line. @throws AipassError NOT_FOUND with the hint. */
export async function readNamedFile(path: string, hint: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const reason = systemErrorCode(error) ?? 'unknown reason';
    throw new AipassError('NOT_FOUND', `cannot read ${path} (${reason})`, { hint });
  }
}
