#!/bin/bash
# Static checks of the files that we wrote: static.sh format|tidy|cppcheck
set -euo pipefail
cd "${PV_ROOT:?}"
mapfile -t sources < <(git ls-files 'runtime/*.c' 'engine/*.c' 'agentd/*.c' 'tests/*.c')
mapfile -t headers < <(git ls-files 'runtime/*.h' 'engine/*.h' 'grammar/*.h' 'agentd/*.h' 'tests/*.h')
[ "${#sources[@]}" -gt 20 ] || { echo "only ${#sources[@]} sources found: nothing would be checked"; exit 1; }

case ${1:?} in
format)
  clang-format --dry-run -Werror "${sources[@]}" "${headers[@]}"
  ;;
tidy)
  # Only what this build compiles: the compilation database names the flags.
  mapfile -t compiled < <(jq -r '.[].file' "${PV_BUILD:?}/compile_commands.json" | sed "s|^$PWD/||" | sort -u)
  mapfile -t files < <(comm -12 <(printf '%s\n' "${sources[@]}" | sort) <(printf '%s\n' "${compiled[@]}" | sort) | grep -v '^tests/')
  [ "${#files[@]}" -gt 20 ] || { echo "only ${#files[@]} compiled sources found"; exit 1; }
  printf '%s\n' "${files[@]}" | xargs -P 2 -n 4 clang-tidy --quiet -p "$PV_BUILD" 2>&1 | { grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter|^$' || true; } >"$PV_BUILD/tidy.log"
  if [ -s "$PV_BUILD/tidy.log" ]; then cat "$PV_BUILD/tidy.log"; exit 1; fi
  ;;
cppcheck)
  cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem \
    --error-exitcode=1 -j 2 -I . -D_GNU_SOURCE -DPV_VERSION='"0"' "${sources[@]}"
  ;;
*) echo "static.sh: unknown check $1"; exit 2 ;;
esac
