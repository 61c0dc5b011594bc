#!/bin/bash
# The direction of dependencies: who may include whom, in the sources, and what the built programs link.
#   runtime -> libc · engine, grammar -> runtime · agentd -> runtime, its own libraries · engine/cli -> all of them
# The rules are checked on the tree, and the checker on a planted violation, so that it cannot pass by seeing nothing.
set -euo pipefail
root=${PV_ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}

# The folder that a file belongs to, as far as the arrows care.
layer() {
  case $1 in
    engine/cli/*) echo cli ;;
    engine/* | grammar/*) echo engine ;;
    runtime/*) echo runtime ;;
    agentd/*) echo agentd ;;
    *) echo other ;;
  esac
}

# allowed FROM TO
allowed() {
  case "$1>$2" in
    runtime\>runtime | engine\>engine | engine\>runtime | agentd\>agentd | agentd\>runtime) return 0 ;;
    cli\>*) return 0 ;;
    *) return 1 ;;
  esac
}

# check DIR: prints each violation; the number of includes that were looked at goes to descriptor 3.
check() {
  local dir=$1 bad=0 seen=0 file line target from to
  cd "$dir"
  while IFS=: read -r file _ line; do
    target=$(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' <<<"$line")
    [ -n "$target" ] || continue
    case $target in */*) ;; *) [ -e "$(dirname "$file")/$target" ] && target=$(dirname "$file")/$target ;; esac
    from=$(layer "$file") to=$(layer "$target")
    seen=$((seen + 1))
    [ "$to" = other ] && continue
    if ! allowed "$from" "$to"; then
      echo "$file includes $target: $from must not depend on $to"
      bad=1
    fi
  done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' --include='*.c' --include='*.h' --include='*.re' --include='*.y' runtime engine grammar agentd)
  # Libraries from outside: what each layer may name.
  while IFS=: read -r file _ line; do
    from=$(layer "$file")
    case "$from:$line" in
      *sodium.h* ) [ "$from" = agentd ] || [ "$from" = cli ] || { echo "$file: $from must not use libsodium"; bad=1; } ;;
      *sqlite3.h* ) [ "$from" = agentd ] || [ "$from" = cli ] || { echo "$file: $from must not use sqlite3"; bad=1; } ;;
      *jansson.h* ) [ "$from" = agentd ] || [ "$from" = cli ] || { echo "$file: $from must not use jansson"; bad=1; } ;;
    esac
  done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<(sodium|sqlite3|jansson)\.h>' --include='*.c' --include='*.h' runtime engine grammar agentd || true)
  echo "$seen" >&3
  return $bad
}

seen=$(check "$root" 3>&1 >/dev/stderr) || { echo "arrows: the tree breaks the direction of dependencies"; exit 1; }
[ "$seen" -gt 50 ] || { echo "arrows: only $seen includes were found; the check sees too little"; exit 1; }

planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT
mkdir -p "$planted"/{runtime,engine/cli,grammar,agentd}
for violation in 'runtime/a.c "engine/ast.h"' 'engine/a.c "agentd/wire.h"' 'agentd/a.c "engine/ast.h"' 'runtime/a.c <sodium.h>' 'engine/a.c <jansson.h>'; do
  rm -f "$planted"/*/*.c
  set -- $violation
  printf '#include %s\n' "$2" >"$planted/$1"
  if (check "$planted" 3>/dev/null >/dev/null); then
    echo "arrows: a planted violation was not seen: $violation"
    exit 1
  fi
done
echo "arrows: $seen includes, all in the allowed direction"
