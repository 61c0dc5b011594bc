#!/bin/bash
# Policies as people write them who come from sudoers, Cedar or a shell: what `proviso check` answers is read by people, so
# it is kept as text beside each, and every change of it is seen. With --write the answers are written anew.
set -euo pipefail
: "${PV_BUILD:?}" "${PV_ROOT:?}"
export PROVISO_LIBRARY=$PV_ROOT/policies NO_COLOR=1 LC_ALL=C.UTF-8
cd "$PV_ROOT/tests/lang/newcomer"
n=0 failed=0
for policy in *.policy; do
  answer=${policy%.policy}.answer status=0
  output=$("$PV_BUILD/bin/proviso" check --now 2026-11-21 "$policy") || status=$?
  n=$((n + 1))
  [ "$status" = 1 ] || { echo "$policy: exit $status, and it is wrong"; failed=1; }
  if [ "${1-}" = --write ]; then
    printf '%s\n' "$output" >"$answer"
  elif ! diff -u "$answer" - <<<"$output"; then
    failed=1
  fi
done
[ "$n" -ge 20 ] || { echo "only $n policies"; failed=1; }
echo "$n wrong policies"
exit $failed
