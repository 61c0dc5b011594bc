#!/bin/bash
# What is tracked: the top level is the project's own, nothing generated, no build tree, no large file, scripts executable.
set -euo pipefail
cd "${PV_ROOT:?}"
git rev-parse --git-dir >/dev/null 2>&1 || { echo "not a git checkout: nothing to check"; exit 1; }
status=0
allowed=' CMakeLists.txt CMakePresets.json LICENSE README.md grammar engine runtime policies agentd tests examples docs .ci .clang-format .clang-tidy .gitignore '
for entry in $(git ls-files | cut -d/ -f1 | sort -u); do
  case $allowed in *" $entry "*) ;; *) echo "unexpected at the top level: $entry"; status=1 ;; esac
done
while read -r mode _ _ path; do
  case $path in
    *.o | *.a | *.so | *.bundle | *.db | build/*) echo "generated file is tracked: $path"; status=1 ;;
  esac
  size=$(stat -c %s "$path" 2>/dev/null || echo 0)
  [ "$size" -lt 1000000 ] || { echo "large file is tracked: $path ($size bytes)"; status=1; }
  if [ "$(head -c 2 "$path" 2>/dev/null | tr -d '\0')" = '#!' ] && [ "$mode" != 100755 ]; then
    echo "has an interpreter line and is not executable: $path"; status=1
  fi
done < <(git ls-files -s)
exit $status
