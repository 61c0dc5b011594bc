#!/bin/bash
# The library needs libc and nothing else, and exports what its headers declare and nothing else.
set -euo pipefail
cd "${PV_ROOT:?}"
library=$(find "${PV_BUILD:?}/runtime" -name 'libproviso.so.*.*' -type f | head -n 1)
[ -n "$library" ] || { echo "no shared library was built"; exit 1; }

needed=$(objdump -p "$library" | awk '$1 == "NEEDED" {print $2}' | grep -vE '^(libc\.so\.6|ld-linux.*)$' || true)
if grep -q '^PV_SANITIZE:STRING=.' "$PV_BUILD/CMakeCache.txt"; then
  needed= # the sanitizer's runtime comes along
else
  wanted=$(nm -D --undefined-only "$library" | awk '{print $NF}' | grep -vE '@GLIBC_|^(__cxa_finalize|_ITM_.*|__gmon_start__)' || true)
  [ -z "$wanted" ] || { printf 'wants what libc does not have:\n%s\n' "$wanted"; exit 1; }
fi
[ -z "$needed" ] || { printf 'needs libraries beside libc:\n%s\n' "$needed"; exit 1; }

exported=$(nm -D --defined-only "$library" | awk '{print $NF}' | sort)
declared=$(cat runtime/proviso.h runtime/verify.h | tr '\n' ' ' | grep -oE 'PV_API[^;(]*[ *](pv_[a-z_0-9]+)(\(|\[)' | grep -oE 'pv_[a-z_0-9]+(\(|\[)$' | tr -d '([' | sort)
[ "$(wc -l <<<"$declared")" -gt 50 ] || { echo "only $(wc -l <<<"$declared") declarations found"; exit 1; }
if [ "$exported" != "$declared" ]; then
  diff <(echo "$declared") <(echo "$exported") | sed -n 's/^</declared, not exported:/p; s/^>/exported, not declared:/p'
  exit 1
fi
