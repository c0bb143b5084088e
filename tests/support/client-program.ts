/**
 * A small program of its own that uses the client library: for what can only be seen from outside a
 * process.
 */

import { Program, type ProgramOptions } from './run-program.ts';

const CLIENT = new URL('../../src/client/index.ts', import.meta.url).href;

/**
 * Starts a program in which `connect` is imported and `socket` is the path given; `code` is
 * JavaScript.
 */
export function startClientProgram(socket: string, code: string, options: ProgramOptions = {}): Program {
  const prelude = `import { connect } from ${JSON.stringify(CLIENT)};\nconst socket = ${JSON.stringify(socket)};\n`;
  return new Program(process.execPath, ['--input-type=module', '--eval', prelude + code], options);
}
