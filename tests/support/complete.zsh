# Writes what zsh completes to FOLDER/found. Arguments: FOLDER, which holds _aipassd, and the line that somebody typed.
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "
PROMPT= RPROMPT=
fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -C -d ${(q)1}/zcompdump
compadd() {
  [[ \${(M)@:#-[OAD]*} == '' ]] && { local -a found; builtin compadd -A found \"\$@\"; print -rl -- \$found >>${(q)1}/found }
  builtin compadd \"\$@\"
}
completed() { print -r completed >>${(q)1}/found; print -r COMPLE'TED' }
comppostfuncs=(completed)
bindkey '^I' complete-word
print RE'ADY'"
zpty -r shell ready '*READY*'
zpty -w -n shell "$2"$'\t'
zpty -r shell done '*COMPLETED*'
zpty -d shell
