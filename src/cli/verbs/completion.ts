/**
 * `aipassd completion <shell>`: a script that completes verbs and their options, made from the verbs themselves.
 */

import { UsageError } from '../usage-error.ts';
import type { Verb } from '../verb.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Prints a completion script. */
export const completion: Verb = {
  name: 'completion',
  usage: `<${SHELLS.join('|')}>`,
  summary: 'print a completion script for a shell',
  details: [
    'bash  aipassd completion bash > ~/.local/share/bash-completion/completions/aipassd',
    'zsh   aipassd completion zsh > a folder of $fpath, as _aipassd',
    'fish  aipassd completion fish > ~/.config/fish/completions/aipassd.fish',
  ],
  options: {},
  maxPositionals: 1,
  async run({ positionals: [name] }, { out, loadVerbs }) {
    const shell = SHELLS.find((one) => one === name);
    if (shell === undefined) throw new UsageError('name a shell', `aipassd completion ${SHELLS.join('|')}`);
    out.line(PRINTERS[shell](await loadVerbs()));
    return 0;
  },
};

const PRINTERS: Readonly<Record<Shell, (verbs: readonly Verb[]) => string>> = {
  bash: (verbs) => `_aipassd() {
  local word=\${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${verbs.map((verb) => verb.name).join(' ')} --help --version" -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${verbs.map((verb) => `    ${verb.name}) COMPREPLY=($(compgen -W "${optionsOf(verb).join(' ')}" -- "$word")) ;;`).join('\n')}
  esac
}
complete -F _aipassd aipassd`,

  zsh: (verbs) => `#compdef aipassd
if (( CURRENT == 2 )); then
  local -a verbs=(
${verbs.map((verb) => `    ${quote(`${verb.name}:${verb.summary}`)}`).join('\n')}
  )
  _describe verb verbs
  return
fi
case $words[2] in
${verbs.map((verb) => `  ${verb.name}) compadd -- ${optionsOf(verb).join(' ')} ;;`).join('\n')}
esac`,

  fish: (verbs) =>
    [
      'complete -c aipassd -f',
      ...verbs.map((verb) => `complete -c aipassd -n __fish_use_subcommand -a ${verb.name} -d ${quote(verb.summary)}`),
      ...verbs.flatMap((verb) =>
        optionsOf(verb).map(
          (option) => `complete -c aipassd -n '__fish_seen_subcommand_from ${verb.name}' -l ${option.slice(2)}`,
        ),
      ),
    ].join('\n'),
};

function optionsOf(verb: Verb): string[] {
  return [...Object.keys(verb.options), 'help'].map((name) => `--${name}`);
}

/** Quotes a text for zsh and fish; none of ours holds a backslash. */
function quote(text: string): string {
  return `"${text.replaceAll('"', '\\"').replaceAll('$', '\\$').replaceAll('`', '\\`')}"`;
}
