#!/bin/bash
# The program's own surface: help on every level, unknown verbs and options, exits.
. "$(dirname "$0")/lib.sh"

run 0 "$proviso" --help
for verb in check test compile inspect eval explain key; do
  says out "  $verb "
done
cp out help
run 0 "$proviso" help
cmp -s help out || fail "help differs from --help"
run 2 "$proviso"
says err "Usage: proviso VERB"
run 0 "$proviso" --version
says out "proviso "

for verb in check test compile inspect eval explain key; do
  run 0 "$proviso" "$verb" --help
  says out "Usage: proviso $verb"
  run 2 "$proviso" "$verb"
  run 2 "$proviso" "$verb" --no-such-option
done

run 2 "$proviso" chekc
says err 'did you mean `check'
run 2 "$proviso" frobnicate
says err "there is no verb"
run 2 "$proviso" "$(printf 'a\033[31mb')"
says err 'a\u{1b}[31mb'

# Output that cannot be written is told, and is no success.
cat >p.policy <<'P'
policy p version 1 zone "UTC";
import "std/apt.policy";
allow user "alice" to list;
P
checks=$((checks + 1))
status=0
"$proviso" inspect p.policy >/dev/full 2>err || status=$?
[ "$status" = 2 ] || fail "a full disk gives exit $status"
says err "cannot write"
finish
