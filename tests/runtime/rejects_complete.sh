#!/bin/bash
# Every sentence with which the loader and the verifier refuse a bundle is expected by a test: a rule without a damaged
# bundle that breaks it would be a rule that nobody has seen at work.
set -euo pipefail
cd "${PV_ROOT:?}"
files=(runtime/tables.c runtime/verify.c runtime/bundle.c)
# String literals of a sentence's length that are no file names and no formats of other functions.
mapfile -t sentences < <(grep -hv '#include' "${files[@]}" | grep -oE '"([^"\]|\\.)*"' | grep -E '[a-z]{2} ' | sort -u)
[ "${#sentences[@]}" -gt 90 ] || { echo "only ${#sentences[@]} sentences found"; exit 1; }
# Conditions of the machine, not of the bundle.
allowed='out of memory|the content hash could not be computed|the host.s time zone cannot be read'
expected=$(cat tests/runtime/rejects/*.txt tests/runtime/bundle_test.c | sed 's/\\"//g')
missing=0
for sentence in "${sentences[@]}"; do
  sentence=${sentence:1:${#sentence}-2}
  [[ $sentence =~ ^($allowed)$ ]] && continue
  # Formats stand for what was put in; the longest piece between them must be found.
  piece=$(sed -E 's/\\"//g; s/%[a-z]+/\n/g' <<<"$sentence" | awk '{ if (length($0) > length(best)) best = $0 } END { print best }')
  if ! grep -qF -- "$piece" <<<"$expected"; then
    echo "no test expects: $sentence"
    missing=1
  fi
done
exit $missing
