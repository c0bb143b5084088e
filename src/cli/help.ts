/**
 * What `--help` says, made from the verbs themselves.
 */

import type { Output } from './output.ts';
import type { Verb } from './verb.ts';

/** Is more than any summary has. */
const MAX_SUMMARY = 200;

/** Explains the program. */
export function printGeneralHelp(verbs: readonly Verb[], out: Output): void {
  out.line('aipassd: holds your API keys and tokens, and lends them and LLM completions to local programs.', '');
  out.line('usage: aipassd [verb] [words] [options]', '');
  out.table(
    [['(nothing)', 'tell what is there'], ...verbs.map((verb) => [verb.name, verb.summary])],
    '  ',
    MAX_SUMMARY,
  );
  out.line('', 'aipassd <verb> --help explains a verb. --version prints the version.');
  out.line('exit codes: 0 done, 1 not understood, 2 refused or failed, 3 the daemon is not running');
}

/** Explains one verb. */
export function printVerbHelp(verb: Verb, out: Output): void {
  out.line(`usage: aipassd ${verb.name} ${verb.usage}`.trimEnd(), '', verb.summary);
  if (verb.details) out.line('', ...verb.details.map((line) => `  ${line}`));
}
