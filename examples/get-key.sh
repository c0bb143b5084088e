#!/bin/sh
# Runs one command with a key that only this command sees, and stops if there is no key.
# Usage: get-key.sh <provider> <VARIABLE> command [arguments]
#
# `aipassd exec -- command` is better where the command speaks an LLM API: then it gets no key at all.
set -eu

if [ $# -lt 3 ]; then
  echo "usage: $0 <provider> <VARIABLE> command [arguments]" >&2
  exit 64
fi
provider=$1
variable=$2
shift 2
key=$(aipassd get-key "$provider" --reveal)
# Not through env(1): its arguments are public, and the environment of a process is not.
export "$variable=$key"
exec "$@"
