# Sourced by the tests of the program `proviso`: a scratch directory, and checks that say what differs.
# shellcheck shell=bash
set -euo pipefail
: "${PV_BUILD:?}" "${PV_ROOT:?}"
proviso=$PV_BUILD/bin/proviso
export PROVISO_LIBRARY=$PV_ROOT/policies NO_COLOR=1 LC_ALL=C.UTF-8
unset PROVISO_PASSPHRASE
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
checks=0 failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# run STATUS COMMAND...: runs it, output to $tmp/out and $tmp/err, and checks its exit.
run() {
  local want=$1 got=0
  shift
  checks=$((checks + 1))
  "$@" >out 2>err </dev/null || got=$?
  [ "$got" = "$want" ] || { fail "exit $got, not $want: $*"; sed 's/^/  out: /' out; sed 's/^/  err: /' err; }
}

# says FILE TEXT: the file (out or err) holds the text.
says() {
  checks=$((checks + 1))
  grep -qF -- "$2" "$1" || { fail "$1 does not say: $2"; sed 's/^/  /' "$1"; }
}

# holds FILTER [FILE]: jq says true of each value in the file.
holds() {
  checks=$((checks + 1))
  jq -se "length > 0 and all(.[]; $1)" "${2:-out}" >/dev/null || { fail "does not hold: $1"; sed 's/^/  /' "${2:-out}"; }
}

finish() {
  echo "$checks checks, $failures failed"
  [ "$checks" -gt 0 ] && [ "$failures" = 0 ]
}
