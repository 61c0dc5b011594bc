#!/bin/bash
# Runs the snippets of one page: snippets.sh PAGE.md
#
# Each page gets a directory of its own. A fenced block's first word is its language, the words after it are for us:
#   policy [name=FILE] [with=FILE[,FILE]] [error=CODE | warning=CODE]
#       is written to FILE (or a scratch name), behind the blocks that `with` names, and must pass `proviso check`;
#       with error=CODE, `check` must fail and tell that code; with warning=CODE, pass and tell it.
#   text|json name=FILE
#       is written to FILE.
#   console
#       lines that begin with `$ ` run, and must print exactly the lines that follow. A line `...` stands for any lines.
#   console session
#       is compared with the quickstart by session.sh.
# Blocks without such a word (sh, c, sql, text without a name) are for reading only; a page with none that runs is an error.
set -euo pipefail
page=${1:?page}
: "${PV_BUILD:?}" "${PV_ROOT:?}"
page=$(realpath "$page")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
PATH=$PV_BUILD/bin:$PATH
export PROVISO_LIBRARY=$PV_ROOT/policies NO_COLOR=1 LC_ALL=C.UTF-8 PROVISO_PASSPHRASE=
cd "$dir"
mkdir .blocks
awk -v out="$dir/.blocks" '
  /^```/ { if (inside) { close(file); inside = 0 } else { inside = 1; n++; info = substr($0, 4); file = sprintf("%s/%04d", out, n); print info > (file ".info"); print NR > (file ".line"); close(file ".info"); close(file ".line"); printf "" > file } next }
  inside { print > file }' "$page"

failed=0 ran=0
fail() { echo "$page:$line: $*"; failed=1; }

# matches EXPECTED ACTUAL: whole text, `...` on a line of its own stands for any lines.
matches() {
  awk -v actual="$2" '
    BEGIN { na = split(actual, a, "\n") }
    { e[++ne] = $0 }
    function match_from(i, j,   k) {
      while (i <= ne) {
        if (e[i] == "...") { for (k = j; k <= na + 1; k++) if (match_from(i + 1, k)) return 1; return 0 }
        if (j > na || e[i] != a[j]) return 0
        i++; j++
      }
      return j == na + 1
    }
    END { if (ne == 0) { ne = 0 } if (actual == "") na = 0; exit !match_from(1, 1) }' <<<"$1"
}

for block in .blocks/[0-9][0-9][0-9][0-9]; do
  [ -e "$block" ] || break
  info=$(cat "$block.info") line=$(cat "$block.line")
  name='' with='' error='' warning=''
  read -r lang rest <<<"$info" || true
  for word in $rest; do
    case $word in
      name=*) name=${word#name=} ;;
      with=*) with=${word#with=} ;;
      error=*) error=${word#error=} ;;
      warning=*) warning=${word#warning=} ;;
      session) lang=session ;;
      *) fail "unknown word in the fence: $word" ;;
    esac
  done
  case $lang in
    policy)
      ran=$((ran + 1))
      file=${name:-.snippet$line.policy}
      : >"$file.new"
      IFS=, read -ra parts <<<"$with"
      for part in ${parts[@]+"${parts[@]}"}; do cat "$part" >>"$file.new"; done
      cat "$block" >>"$file.new"
      mkdir -p "$(dirname "$file")"
      mv "$file.new" "$file"
      if output=$(proviso check "$file" 2>&1); then status=0; else status=$?; fi
      if [ -n "$error" ]; then
        [ "$status" = 1 ] && grep -qF "[$error]" <<<"$output" || fail "expected error $error, exit 1; got exit $status: $output"
      elif [ "$status" != 0 ]; then
        fail "does not pass check: $output"
      elif [ -n "$warning" ] && ! grep -qF "[$warning]" <<<"$output"; then
        fail "expected warning $warning; got: $output"
      fi
      ;;
    console)
      ran=$((ran + 1))
      command='' expected=''
      run() {
        [ -n "$command" ] || return 0
        local output
        output=$(bash -c "$command" 2>&1 </dev/null) || true
        if [ -z "$expected" ] && [ -z "$output" ]; then return 0; fi
        matches "${expected%$'\n'}" "$output" || fail "\$ $command"$'\n'"printed:"$'\n'"$output"$'\n'"and not:"$'\n'"$expected"
      }
      while IFS= read -r text || [ -n "$text" ]; do
        if [[ $text == '$ '* ]]; then run; command=${text#\$ } expected=''; else expected+=$text$'\n'; fi
      done <"$block"
      run
      ;;
    *)
      if [ -n "$name" ]; then mkdir -p "$(dirname "$name")"; cp "$block" "$name"; fi
      ;;
  esac
done
[ "$ran" -gt 0 ] || { echo "$page: no snippet was run"; exit 1; }
[ "$failed" = 0 ] && echo "$page: $ran snippets"
exit $failed
