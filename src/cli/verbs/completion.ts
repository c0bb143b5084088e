/**
 * `aipassd completion`: a script that completes verbs, their options and the values that their
 * tables name. What only the daemon knows (providers, accounts, callers, secrets) the script asks
 * for with `aipassd completion names`.
 */

import { systemClock } from '../../base/clock.ts';
import { AipassError } from '../../base/errors.ts';
import { delay } from '../../base/timers.ts';
import type { Aipass } from '../../client/aipass.ts';
import {
  choiceWord,
  type Completion,
  defineVerb,
  NAME_KINDS,
  type NameKind,
  type Parameter,
  type Verb,
} from '../verb.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Longest wait for the daemon while somebody types, in milliseconds. */
const NAMES_LIMIT_MS = 2000;

export const completion = defineVerb({
  name: 'completion',
  summary: 'print a completion script for a shell',
  details: [
    'bash: aipassd completion bash > ~/.local/share/bash-completion/completions/aipassd',
    'zsh: aipassd completion zsh > _aipassd, in a folder of $fpath',
    'fish: aipassd completion fish > ~/.config/fish/completions/aipassd.fish',
  ],
  parameters: { shell: choiceWord(SHELLS, 'the shell') },
  async run({ shell }, { out, loadVerbs }) {
    out.line(PRINTERS[shell](groupVerbs(await loadVerbs())));
  },
});

const NAME_LISTERS: Readonly<Record<NameKind, (aipass: Aipass) => Promise<readonly string[]>>> = {
  providers: async (aipass) => (await aipass.request('provider.list', {})).providers.map((one) => one.name),
  accounts: async (aipass) => (await aipass.request('oauth.list', {})).accounts.map((one) => one.name),
  callers: async (aipass) => (await aipass.stats({ by: 'caller' })).groups.flatMap((one) => one.name ?? []),
  secrets: async (aipass) => (await aipass.request('secret.list', {})).secrets.map((one) => one.name),
};

/** Prints names that the daemon knows, one a line; nothing where it does not answer. */
export const completionNames = defineVerb({
  name: 'completion names',
  summary: 'print the names that a completion script offers',
  isHidden: true,
  parameters: { kind: choiceWord(NAME_KINDS, 'what to name') },
  async run({ kind }, { out, connect, signal }) {
    const late = delay(systemClock, NAMES_LIMIT_MS, signal).then(() => undefined);
    try {
      const names = await Promise.race([connect().then(NAME_LISTERS[kind]), late]);
      // The connection to a daemon that hangs would keep the shell waiting.
      if (names === undefined) process.exit(0);
      out.line(...names.filter((name) => /^[\w./@+-]+$/.test(name)));
    } catch (error) {
      // A shell has no use for the reason.
      if (!(error instanceof AipassError)) throw error;
    }
  },
});

/** Words and options that follow the first word of a command. */
interface Group {
  readonly name: string;
  readonly summary: string;
  /** Second words that make another verb, such as `explain` of `pool`. */
  readonly words: readonly string[];
  readonly options: readonly string[];
  /** Candidates for the words of the verb. */
  readonly operands: readonly Completion[];
  /** Candidates for the value of an option, by the option as it is written. */
  readonly values: ReadonlyMap<string, Completion>;
  /** Whether a command with its words follows `--`. */
  readonly takesCommand: boolean;
}

/** Joins the verbs that begin with the same word. */
function groupVerbs(verbs: readonly Verb[]): Group[] {
  const shown = verbs.filter((verb) => verb.isHidden !== true);
  const firstWords = new Set(shown.map((verb) => verb.name.split(' ')[0] ?? ''));
  return [...firstWords].map((first) => {
    const parts = shown.filter((one) => one.name === first || one.name.startsWith(`${first} `));
    const entries = parts.flatMap((one) => Object.entries(one.parameters));
    return {
      name: first,
      summary: parts.find((one) => one.name === first)?.summary ?? parts[0]?.summary ?? '',
      words: parts.flatMap((one) => one.name.split(' ').slice(1)),
      options: [...new Set([...entries.filter(isOption).map(([name]) => `--${name}`), '--help'])],
      operands: [
        ...new Set(entries.flatMap(([, parameter]) => (parameter.kind === 'word' ? completionOf(parameter) : []))),
      ],
      values: new Map(
        entries.flatMap(([name, parameter]) =>
          parameter.kind === 'value'
            ? [`--${name}`, ...(parameter.short === undefined ? [] : [`-${parameter.short}`])].map(
                (written) => [written, parameter.completion ?? []] as const,
              )
            : [],
        ),
      ),
      takesCommand: entries.some(([, { kind }]) => kind === 'rest'),
    };
  });
}

function isOption([, { kind }]: readonly [string, Parameter]): boolean {
  return kind === 'flag' || kind === 'value';
}

function completionOf(parameter: Parameter): Completion[] {
  return 'completion' in parameter && parameter.completion !== undefined ? [parameter.completion] : [];
}

const PRINTERS: Readonly<Record<Shell, (groups: readonly Group[]) => string>> = {
  bash: (groups) => `_aipassd_words() { COMPREPLY+=($(compgen -W "$1" -- "$word")); }
_aipassd_names() { COMPREPLY+=($(compgen -W "$(aipassd completion names "$1" 2>/dev/null)" -- "$word")); }
_aipassd_files() { COMPREPLY+=($(compgen -f -- "$word")); }
_aipassd_command() { COMPREPLY+=($(compgen -c -- "$word")); _aipassd_files; }
_aipassd() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    _aipassd_words "${groups.map((group) => group.name).join(' ')} --help --version"
    return
  fi
  case "\${COMP_WORDS[1]} \${COMP_WORDS[*]:2:COMP_CWORD-2} " in
${groups
  .filter((group) => group.takesCommand)
  .map((group) => `    "${group.name}"*" -- "*) _aipassd_command; return ;;`)
  .join('\n')}
  esac
  case "\${COMP_WORDS[1]} $before" in
${groups.flatMap((group) => [...group.values].map(([option, what]) => `    "${group.name} ${option}") ${bashCall(what)}; return ;;`)).join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${groups.map((group) => `    ${group.name}) ${[bashCall([...group.words, ...group.options]), ...group.operands.map(bashCall)].join('; ')} ;;`).join('\n')}
  esac
}
complete -F _aipassd aipassd`,

  zsh: (groups) => `#compdef aipassd
_aipassd_names() { compadd -- \${(f)"$(aipassd completion names $1 2>/dev/null)"} }
if (( CURRENT == 2 )); then
  local -a verbs=(
${groups.map((group) => `    ${quote(`${group.name}:${group.summary}`)}`).join('\n')}
  )
  _describe verb verbs
  return
fi
case $words[2] in
${groups
  .filter((group) => group.takesCommand)
  .map((group) => `  ${group.name}) compset -N -- && { _normal; return } ;;`)
  .join('\n')}
esac
case "$words[2] $words[CURRENT-1]" in
${groups.flatMap((group) => [...group.values].map(([option, what]) => `  ${quote(`${group.name} ${option}`)}) ${zshCall(what)}; return ;;`)).join('\n')}
esac
case $words[2] in
${groups.map((group) => `  ${group.name}) ${[zshCall([...group.words, ...group.options]), ...group.operands.map(zshCall)].join('; ')} ;;`).join('\n')}
esac`,

  fish: (groups) =>
    [
      'complete -c aipassd -f',
      ...groups.map(
        (group) => `complete -c aipassd -n __fish_use_subcommand -a ${group.name} -d ${quote(group.summary)}`,
      ),
      ...groups.flatMap((group) => {
        const after = `complete -c aipassd -n '__fish_seen_subcommand_from ${group.name}'`;
        return [
          ...group.options
            .filter((option) => !group.values.has(option))
            .map((option) => `${after} -l ${option.slice(2)}`),
          ...[...group.values].map(([option, what]) => {
            const name = option.startsWith('--') ? `-l ${option.slice(2)}` : `-s ${option.slice(1)}`;
            return `${after} ${name}${what === 'files' ? ' -r' : ' -x'}${fishValue(what)}`;
          }),
          ...group.words.map((word) => `${after} -a ${word}`),
          ...group.operands.map((what) => `${after}${fishValue(what)}`),
          ...(group.takesCommand
            ? [`${after.slice(0, -1)}; and contains -- -- (commandline -opc)' -F -a '(__fish_complete_command)'`]
            : []),
        ];
      }),
    ].join('\n'),
};

function bashCall(what: Completion): string {
  if (what === 'files') return '_aipassd_files';
  return typeof what === 'string' ? `_aipassd_names ${what}` : `_aipassd_words "${what.join(' ')}"`;
}

function zshCall(what: Completion): string {
  if (what === 'files') return '_files';
  return typeof what === 'string' ? `_aipassd_names ${what}` : `compadd -- ${what.join(' ')}`;
}

function fishValue(what: Completion): string {
  if (what === 'files') return ' -F';
  if (typeof what === 'string') return ` -a '(aipassd completion names ${what} 2>/dev/null)'`;
  return what.length === 0 ? '' : ` -a '${what.join(' ')}'`;
}

/** Quotes a text for zsh and fish; none of ours holds a backslash. */
function quote(text: string): string {
  return `"${text.replaceAll('"', '\\"').replaceAll('$', '\\$').replaceAll('`', '\\`')}"`;
}
