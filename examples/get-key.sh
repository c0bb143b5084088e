#!/bin/sh
# Runs one command with a key that only this command sees, and stops if there is no key.
# Usage: get-key.sh <provider> <VARIABLE> command [arguments]
#
# `aipassd exec -- command` is better where the command speaks an LLM API: then it gets no key at all.
set -eu

provider=$1
variable=$2
shift 2
key=$(aipassd get-key "$provider" --reveal)
exec env "$variable=$key" "$@"
