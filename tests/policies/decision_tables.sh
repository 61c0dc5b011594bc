#!/bin/bash
# Decision tables: tests/policies/*.table, each the expected decisions of one policy, written by hand from its text.
#
# The first line is `policy FILE` (from policies/, or beside the table). Every other line that is not empty or a comment is
#   USER GROUPS COMMAND PACKAGE SOURCE TIME MORE -> DECISION IDS
# GROUPS and IDS are comma lists, `-` is none. MORE is a list of PATH=JSON with `;` between, without spaces. IDS are the declared and built-in ids among
# the rules of the decision, in order; `default` where nothing allowed it. Each table is also run against the compiled,
# signed bundle, which must say the same to the letter.
set -euo pipefail
: "${PV_BUILD:?}" "${PV_ROOT:?}"
proviso=$PV_BUILD/bin/proviso
export PROVISO_LIBRARY=$PV_ROOT/policies
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
total=0 failed=0

# shellcheck disable=SC2016
to_json='
  split("->") as [$left, $right]
  | ($left | gsub("\\s+"; " ") | ltrimstr(" ") | rtrimstr(" ") | split(" ")) as $f
  | {user: {name: $f[0], groups: (if $f[1] == "-" then [] else $f[1] | split(",") end)}, command: $f[2], time: $f[5]}
  + (if $f[3] == "-" then {} else {package: {name: $f[3]}} end)
  + (if $f[4] == "-" then {} else {source: $f[4]} end)
  | reduce ($f[6] // "-" | if . == "-" then [] else split(";") end | .[]) as $m
      (.; ($m | split("=")) as $kv | setpath($kv[0] | split("."); $kv[1:] | join("=") | fromjson))'
# shellcheck disable=SC2016
decision='[.decision, (if .default then "default" else ([.rules[].id | select(startswith("builtin:") or (contains(":") | not))] | if length == 0 then "-" else join(",") end) end)] | join(" ")'

for table in "$PV_ROOT"/tests/policies/*.table; do
  policy=$(sed -n '1s/^policy //p' "$table")
  file=$PV_ROOT/policies/$policy
  [ -e "$file" ] || file=$PV_ROOT/tests/policies/$policy
  grep -nE -- '->' "$table" | grep -v '^[0-9]*:#' >"$tmp/rows"
  sed 's/^[0-9]*://' "$tmp/rows" | jq -R -c "$to_json" >"$tmp/requests.jsonl"
  "$proviso" eval "$file" --requests "$tmp/requests.jsonl" >"$tmp/decisions.jsonl" || { echo "$table: eval failed"; cat "$tmp/decisions.jsonl" | grep error; exit 1; }
  jq -r "$decision" "$tmp/decisions.jsonl" >"$tmp/got"
  sed 's/.*->[[:space:]]*//; s/[[:space:]]\+/ /g; s/ $//' "$tmp/rows" >"$tmp/want"
  rows=$(wc -l <"$tmp/rows")
  [ "$(wc -l <"$tmp/got")" = "$rows" ] || { echo "$table: $rows rows, $(wc -l <"$tmp/got") decisions"; exit 1; }
  total=$((total + rows))
  paste -d '\t' "$tmp/rows" "$tmp/got" "$tmp/want" | awk -F '\t' '$2 != $3 { print "row " $1 "\n  decided: " $2; bad = 1 } END { exit bad }' >"$tmp/differences" || {
    echo "$table:"; cat "$tmp/differences"; failed=1; }
  if grep -q '^policy [^ ]*$' "$table" && grep -q '^policy ' "$file"; then
    [ -e "$tmp/key.sec" ] || "$proviso" key new "$tmp/key" --no-password >/dev/null
    "$proviso" compile "$file" -o "$tmp/policy.bundle" --key "$tmp/key.sec" >/dev/null 2>"$tmp/compile.log" || { cat "$tmp/compile.log"; exit 1; }
    "$proviso" eval "$tmp/policy.bundle" --pubkey "$tmp/key.pub" --requests "$tmp/requests.jsonl" >"$tmp/bundle.jsonl" || { echo "$table: eval of the bundle failed"; exit 1; }
    cmp "$tmp/decisions.jsonl" "$tmp/bundle.jsonl" || failed=1
  fi
done
[ "$total" -ge 400 ] || { echo "only $total requests in the tables"; exit 1; }
echo "$total requests in tables"
exit $failed
